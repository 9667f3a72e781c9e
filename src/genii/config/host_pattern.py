"""How hosts are named: lists of terms, ranges such as ``web[001-200].example``, and ``user@host:port``. No I/O.

Every function raises ``ValueError`` with what to write instead.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from genii.config.source import quote

__all__ = ["Address", "expand_ranges", "parse_address", "split_terms"]

_MOST = 100_000
"""More hosts than this in one term is a slip of the finger."""

_RANGE = re.compile(r"\[([A-Za-z0-9_,:/-]+)\]")
_NUMBERS = re.compile(r"(\d+)(?:[-:](\d+)(?:[/:](\d+))?)?")
_LETTERS = re.compile(r"([A-Za-z])[-:]([A-Za-z])")
_HOST = re.compile(
    r"(?:(?P<user>[^@\s]+)@)?(?:\[(?P<six>[0-9A-Fa-f:.%\w]+)\]|(?P<bare>[0-9A-Fa-f]*:[0-9A-Fa-f:.]*:[\w%.:]*)"
    r"|(?P<name>[^@:\s\[\]/]+))(?::(?P<port>\d{1,5}))?"
)


class Address(NamedTuple):
    """A host as people write it; what is empty was not written."""

    host: str
    user: str = ""
    port: int = 0


def parse_address(text: str) -> Address:
    """Read ``[user@]host[:port]``; an IPv6 address with a port stands in brackets."""
    match = _HOST.fullmatch(text)
    if match is None or text.startswith("-"):
        raise ValueError(f"{quote(text)} is not a host; write [user@]host[:port]")
    port = int(match["port"] or 0)
    if port > 65535:
        raise ValueError(f"{port} is not a port; write one between 1 and 65535")
    return Address(match["six"] or match["bare"] or match["name"], match["user"] or "", port)


def split_terms(text: str) -> list[str]:
    """Split ``"web,db[1,3] !web007"`` at commas and blanks that are not within brackets."""
    terms, depth, start = [], 0, 0
    for position, character in enumerate(text):
        depth += (character == "[") - (character == "]")
        if depth <= 0 and character in ", \t\n":
            terms.append(text[start:position])
            start = position + 1
    terms.append(text[start:])
    return [term for term in terms if term]


def expand_ranges(text: str) -> list[str]:
    """Return the names that a term with ranges stands for: ``web[08-10]``, ``db[1,3]``, ``[a-c]``, ``[0-10/2]``.

    Numbers keep the width of the first one. Ansible's ``[1:10:2]`` is read, too.
    """
    match = _first_range(text)
    if match is None:
        if "[" in text and not _is_ipv6(text):
            raise ValueError(f"{quote(text)} is not a range; write for example web[001-200].example or db[1,3,7-9]")
        return [text]
    head, tail = text[: match.start()], text[match.end() :]
    following = expand_ranges(tail)
    members = _members(match[1], text)
    if len(members) * len(following) > _MOST:
        raise ValueError(f"{quote(text)} stands for more than {_MOST} hosts; narrow it")
    return [f"{head}{member}{rest}" for member in members for rest in following]


def _is_ipv6(text: str) -> bool:
    return re.search(r"\[[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*:[^\]]*\]", text) is not None


def _first_range(text: str) -> re.Match[str] | None:
    match = _RANGE.search(text)
    return None if match is not None and _is_ipv6(match[0]) and not _NUMBERS.fullmatch(match[1]) else match


def _members(body: str, text: str) -> list[str]:
    found: list[str] = []
    for part in body.split(","):
        numbers, letters = _NUMBERS.fullmatch(part), _LETTERS.fullmatch(part)
        if numbers is not None:
            found += _count(numbers, text)
        elif letters is not None and letters[1] <= letters[2]:
            found += [chr(code) for code in range(ord(letters[1]), ord(letters[2]) + 1)]
        elif re.fullmatch(r"\w+", part):
            found.append(part)
        else:
            raise ValueError(f"[{part}] in {quote(text)} is not a range; write for example [01-20], [1,3] or [a-c]")
    return found


def _count(match: re.Match[str], text: str) -> list[str]:
    first, last, step = match[1], match[2] or match[1], int(match[3] or 1)
    if int(last) < int(first) or step < 1:
        raise ValueError(f"[{match[0]}] in {quote(text)} counts backwards; write the smaller number first")
    if (int(last) - int(first)) // step >= _MOST:
        raise ValueError(f"{quote(text)} stands for more than {_MOST} hosts; narrow it")
    width = len(first) if first.startswith("0") or len(first) == len(last) else 0
    return [str(number).zfill(width) for number in range(int(first), int(last) + 1, step)]
