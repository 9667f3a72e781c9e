"""What became of a command or a wanted state on one host, and what must not be seen in it. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Mask", "Result", "Secret"]

_HIDDEN = "******"


class Secret:
    """A text that shows itself only to who asks: a password, a token; ``str()`` and ``repr()`` hide it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text itself."""
        return self._text

    def __repr__(self) -> str:
        return f"Secret({_HIDDEN!r})"

    def __str__(self) -> str:
        return _HIDDEN

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


class Mask:
    """Hide secrets in texts that people or files get to see."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: list[str] = []
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> None:
        """Hide one more text; an empty one is ignored."""
        if secret and secret not in self._secrets:
            self._secrets.append(secret)
            self._secrets.sort(key=len, reverse=True)  # one that contains another goes first

    def __call__(self, text: str) -> str:
        """Return the text with each secret replaced by stars."""
        for secret in self._secrets:
            text = text.replace(secret, _HIDDEN)
        return text


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one command or wanted state on one host; true if it went well, its text is the output."""

    host: str
    command: str
    """What was run, or which state was wanted; secrets are hidden."""
    status: int = 0
    """The exit status; 128 + N after signal N."""
    stdout: str = ""
    stderr: str = ""
    changed: bool = False
    """Whether the host is different now, or would be (``planned``). A plain command counts as a change."""
    difference: str = ""
    """What changed, for people: a unified diff of a file, a line for each package, …"""
    planned: bool = False
    """Whether this is a dry run: nothing was done."""
    truncated: bool = False
    """Whether there was more output than is kept."""

    @property
    def ok(self) -> bool:
        """Whether it went well."""
        return self.status == 0

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        return self.stdout.rstrip("\n")
