"""Which paths of a tree count: patterns as in gitignore(5), or regular expressions. No I/O.

A pattern without a slash is for names at any depth (``*.tmp``); one with a slash is for paths from the watched
directory on (``/build``, ``docs/*.md``); ``**`` crosses directories; one that ends in a slash is for directories only.
``re:`` begins a regular expression that is searched for in the relative path. In a list for ``ignore`` the last pattern
that matches decides, and ``!`` before one takes a path back in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["PathFilter", "read_gitignore"]


@dataclass(frozen=True, slots=True)
class _Rule:
    pattern: re.Pattern[str]
    negated: bool
    directories: bool

    def matches(self, path: str, directory: bool) -> bool:
        return (directory or not self.directories) and self.pattern.search(path) is not None


class PathFilter:
    """Accept or refuse paths, relative to the watched directory and with ``/`` between their parts.

    Args:
        ignore: what to leave out; nothing below an ignored directory is looked at.
        only: if there are any, files must match one of them; directories are searched all the same.

    Raises:
        ValueError: a pattern can't be understood.
    """

    def __init__(self, ignore: Iterable[str] = (), only: Iterable[str] = ()) -> None:
        self._ignore = [_compile(pattern) for pattern in ignore]
        self._only = [_compile(pattern) for pattern in only]
        if any(rule.negated for rule in self._only):
            raise ValueError("'!' has no meaning in a list of what to accept; put the pattern into the other list")

    def accepts(self, path: str, *, directory: bool) -> bool:
        """Say whether a path counts, provided that the directory it is in does."""
        ignored = False
        for rule in self._ignore:
            if ignored == rule.negated and rule.matches(path, directory):
                ignored = not rule.negated
        if ignored or directory or not self._only:
            return not ignored
        return any(rule.matches(path, directory) for rule in self._only)


def read_gitignore(text: str) -> list[str]:
    """Return the patterns of a .gitignore file."""
    lines = (line.rstrip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _compile(pattern: str) -> _Rule:
    negated = pattern.startswith("!")
    body = pattern.removeprefix("!")
    if body.startswith("re:"):
        return _Rule(_expression(body.removeprefix("re:"), pattern), negated, directories=False)
    directories = body.endswith("/")
    body = body.rstrip("/")
    if not body:
        raise ValueError(f"{pattern!r} is not a pattern; write for example '*.tmp', 'build/' or 're:[.]py$'")
    anchored = "/" in body
    start = "" if anchored else "(?:.*/)?"
    return _Rule(_expression(rf"\A{start}{_translate(body.lstrip('/'))}\Z", pattern), negated, directories)


def _expression(text: str, pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(text, re.DOTALL)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"{pattern!r} is not a pattern: {error}") from None


def _translate(glob: str) -> str:
    """Write a glob as a regular expression."""
    parts, position = [], 0
    while position < len(glob):
        rest = glob[position:]
        if rest.startswith("**/"):
            parts.append("(?:.*/)?")
            position += 3
        elif rest.startswith("**"):
            parts.append(".*")
            position += 2
        elif rest[0] == "*":
            parts.append("[^/]*")
            position += 1
        elif rest[0] == "?":
            parts.append("[^/]")
            position += 1
        elif rest[0] == "[" and (end := rest.find("]", 2)) > 0:
            inside = rest[1:end].replace("\\", "\\\\").replace("[", "\\[")
            parts.append("[^" + inside[1:] + "]" if inside[0] in "!^" else "[" + inside + "]")
            position += end + 1
        elif rest[0] == "\\" and len(rest) > 1:
            parts.append(re.escape(rest[1]))
            position += 2
        else:
            parts.append(re.escape(rest[0]))
            position += 1
    return "".join(parts)
