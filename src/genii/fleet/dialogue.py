"""Answer what a program asks on a terminal: patterns against its output, an answer for each. No I/O."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from genii.errors import GeniiError, UsageError
from genii.fleet.secret import Mask, Secret

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Answer", "Answers", "Dialogue", "ExpectFailed"]

Answer: TypeAlias = "str | Secret | Sequence[str | Secret] | Callable[[re.Match[str]], str | Secret | None] | None"
"""A line to type; a secret one; a different one each time; what a function makes of the match; None: nothing."""
Answers: TypeAlias = "Mapping[str, Answer] | Sequence[tuple[str, Answer]]"

_WINDOW = 1 << 16
_LARGEST_TRANSCRIPT = 1 << 20
_TOO_OFTEN = 1000
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()][A-Z0-9]|[=>78cM])|\r")
_TAIL = 200


class ExpectFailed(GeniiError):
    """A dialogue did not go as expected; the text tells what was waited for, and what came last."""

    code = "expect-failed"


class _Rule:
    """One pattern, and what it is answered with."""

    def __init__(self, pattern: str, answer: Answer) -> None:
        try:
            self.pattern = re.compile(pattern, re.MULTILINE)
        except re.error as error:
            raise UsageError(f"expect: {pattern!r} is no regular expression: {error}") from None
        if self.pattern.search("") is not None:
            raise UsageError(f"expect: {pattern!r} matches nothing at all, so it would be answered for ever")
        self._answer = answer
        self._left = None if isinstance(answer, str | Secret) or answer is None or callable(answer) else list(answer)
        self._times = 0

    def secrets(self) -> Iterable[str]:
        answers = [self._answer] if self._left is None else self._left
        return [one.reveal() for one in answers if isinstance(one, Secret)]

    def answer(self, match: re.Match[str]) -> str | Secret | None:
        """Return what to type now; raises ExpectFailed when there is nothing more to say."""
        self._times += 1
        answer: Answer = self._answer
        if self._left is not None:
            answer = self._left.pop(0) if self._left else _NOTHING_LEFT
        elif callable(answer):
            answer = answer(match)
        elif isinstance(answer, Secret) and self._times > 1:
            answer = _NOTHING_LEFT
        if answer is _NOTHING_LEFT or self._times > _TOO_OFTEN:
            raise ExpectFailed(f"asked again for {self.pattern.pattern!r}: the answer was not accepted")
        if answer is not None and not isinstance(answer, str | Secret):
            raise UsageError(f"expect: {self.pattern.pattern!r} is answered with {answer!r}; expected a text")
        return answer


_NOTHING_LEFT: Answer = Secret("")


class Dialogue:
    """The side of a dialogue that answers.

    With a mapping, whatever is asked is answered, in any order and as often as it comes (a secret only once: if it is
    asked for again, it was wrong). With a list of pairs, each is waited for in turn.
    """

    def __init__(self, answers: Answers) -> None:
        pairs = answers.items() if isinstance(answers, Mapping) else answers
        self._rules = [_Rule(pattern, answer) for pattern, answer in pairs]
        self._in_order = not isinstance(answers, Mapping)
        self.mask = Mask(secret for rule in self._rules for secret in rule.secrets())
        self._unseen = ""
        self._transcript = ""
        self.matched = 0
        """How often something that is waited for has come."""

    def feed(self, text: str) -> list[str]:
        """Take what the program printed; return what to type, line by line.

        Raises:
            ExpectFailed: it asks again for what was answered.
        """
        self._transcript = (self._transcript + text)[-_LARGEST_TRANSCRIPT:]
        self._unseen = _ESCAPE.sub("", self._unseen + text)[-_WINDOW:]
        typed = []
        while (found := self._next()) is not None:
            rule, match = found
            self.matched += 1
            self._unseen = self._unseen[match.end() :]
            if self._in_order:
                self._rules.remove(rule)
            answer = rule.answer(match)
            if isinstance(answer, Secret):
                self.mask.add(answer.reveal())
                answer = answer.reveal()
            if answer is not None:
                typed.append(answer + "\n")
        return typed

    def _next(self) -> tuple[_Rule, re.Match[str]] | None:
        """Return the rule that what came first asks for."""
        rules = self._rules[:1] if self._in_order else self._rules
        found = [(match, rule) for rule in rules if (match := rule.pattern.search(self._unseen)) is not None]
        if not found:
            return None
        match, rule = min(found, key=lambda one: one[0].start())
        return rule, match

    @property
    def done(self) -> bool:
        """Whether all of a list has been answered."""
        return self._in_order and not self._rules

    @property
    def waiting_for(self) -> str:
        """What is waited for, for an error message."""
        rules = self._rules[:1] if self._in_order else self._rules
        return " or ".join(repr(rule.pattern.pattern) for rule in rules) or "its end"

    @property
    def transcript(self) -> str:
        """What was printed, with the secrets hidden; of very much only the last part."""
        return self.mask(_ESCAPE.sub("", self._transcript))

    @property
    def tail(self) -> str:
        """The last words, for an error message."""
        return self.transcript.rstrip()[-_TAIL:]

    def check_end(self) -> None:
        """Say that the program has ended.

        Raises:
            ExpectFailed: something of a list was never asked for.
        """
        if self._in_order and self._rules:
            raise ExpectFailed(f"it ended before {self.waiting_for} came; it said last: {self.tail!r}")
