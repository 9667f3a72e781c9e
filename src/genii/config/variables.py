r"""Files of variables (``.env``): lines of ``NAME=value``. No I/O.

Empty lines and lines that begin with ``#`` count for nothing, ``export`` in front is allowed. A value in single quotes
is taken as it is; in double quotes ``\n``, ``\t``, ``\"``, ``\\`` and ``\$`` are escapes; both may span lines.
Without quotes it ends at the end of the line or before `` #``. Nothing is expanded.
"""

from __future__ import annotations

import re

__all__ = ["parse_variables"]

_LINE = re.compile(
    r"""[ \t]*(?:\#[^\n]*|
    (?:export[ \t]+)?(?P<name>[A-Za-z_][A-Za-z0-9_.]*)[ \t]*=[ \t]*
    (?:(?:'(?P<single>[^']*)'|"(?P<double>(?:[^"\\]|\\.)*)")[ \t]*(?:\#[^\n]*)?
    |(?P<plain>(?!['"])[^\n]*)))?(?:\n|\Z)""",
    re.VERBOSE | re.DOTALL,
)
_COMMENT = re.compile(r"(?:^|[ \t])#")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


def parse_variables(text: str) -> dict[str, str]:
    """Return the variables; raises ValueError that names the line."""
    found: dict[str, str] = {}
    text, offset = text.replace("\r\n", "\n"), 0
    while offset < len(text):
        match = _LINE.match(text, offset)
        if match is None:
            line = text.count("\n", 0, offset) + 1
            raise ValueError(f"line {line}: expected NAME=value, with quotes that are closed")
        if match["name"]:
            found[match["name"]] = _value(match)
        offset = match.end()
    return found


def _value(match: re.Match[str]) -> str:
    if match["double"] is not None:
        return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), match["double"], flags=re.DOTALL)
    if match["single"] is not None:
        return match["single"]
    plain = match["plain"]
    return plain[: comment.start()].rstrip() if (comment := _COMMENT.search(plain)) else plain.rstrip()
