"""One line of a text file: there, gone, or in place of what a pattern finds. No I/O."""

from __future__ import annotations

import re

from genii.fleet.state.plan import StateError, one_line

__all__ = ["with_line", "without_line"]


def with_line(text: str, line: str, *, matching: str = "", after: str = "", before: str = "") -> str:
    """Return the text with a line in it: in place of the last that ``matching`` finds, else where it belongs.

    Where it belongs is behind the last line that ``after`` finds, before the first that ``before`` finds, else at the
    end. All three are regular expressions that are searched in each line.

    Raises:
        StateError: the line is none, a pattern is wrong, or a replacement would not be found again.
    """
    one_line("line of a file", line)
    if after and before:
        raise StateError("a line goes after something or before something; leave out one of them")
    lines = text.splitlines()
    patterns = {name: _compiled(pattern) for name, pattern in (("m", matching), ("a", after), ("b", before)) if pattern}
    found = [number for number, one in enumerate(lines) if "m" in patterns and patterns["m"].search(one)]
    if found:
        if lines[found[-1]] == line:
            return text
        lines[found[-1]] = line
    elif line in lines:
        return text
    else:
        lines.insert(_position(lines, patterns), line)
    return _joined(lines)


def _position(lines: list[str], patterns: dict[str, re.Pattern[str]]) -> int:
    if "a" in patterns:
        found = [number for number, one in enumerate(lines) if patterns["a"].search(one)]
        return found[-1] + 1 if found else len(lines)
    if "b" in patterns:
        return next((number for number, one in enumerate(lines) if patterns["b"].search(one)), len(lines))
    return len(lines)


def without_line(text: str, line: str = "", *, matching: str = "") -> str:
    """Return the text without the lines that are equal to ``line``, or that ``matching`` finds.

    Raises:
        StateError: neither is given, or the pattern is wrong.
    """
    if not line and not matching:
        raise StateError("name the line that shall go, or a pattern with matching=")
    pattern = _compiled(matching) if matching else None
    lines = text.splitlines()
    kept = [one for one in lines if not (one == line if pattern is None else pattern.search(one))]
    return text if len(kept) == len(lines) else _joined(kept)


def _joined(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise StateError(f"{pattern!r} is no regular expression: {error}") from None
