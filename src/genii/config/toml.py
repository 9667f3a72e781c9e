"""TOML text into tables, with the place of what is no TOML. No I/O."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from genii.config.habits import misplaced_section

__all__ = ["LARGEST", "NotToml", "line_column", "parse"]

LARGEST = 2 << 20
"""Bytes: some 10,000 programs. The library reads about 4 MB a second, and the daemon must not stand still."""
_DEEPEST = 50
"""Brackets within brackets, and dotted parts of a key."""

_DEEP_KEY = r"(?m)(?:^|[\[{,])[ \t]*+((?:(?:[A-Za-z0-9_-]++|\"(?:[^\"\\\n]|\\.)*+\"|'[^'\n]*+')[ \t]*+\.[ \t]*+){50})"
_PLACE = r" \(at (?:line (\d+), column (\d+)|end of document)\)$"
_ADVICE: tuple[tuple[str, str], ...] = (
    (r"Cannot declare \((.*?),?\) twice", r"the table [\1] is there twice; merge the two, or rename one"),
    (r"Cannot overwrite a value", "the key is given twice; remove one of the two"),
    (r"Cannot mutate immutable namespace \((.*?),?\)", r"[\1] was written in braces already; put the key in there"),
    (r"Cannot redefine namespace \((.*?),?\)", r"[\1] is there twice; merge the two"),
    (r"Duplicate inline table key '(.*)'", r"the key '\1' is given twice in these braces; remove one of the two"),
    (r"Expected '=' after a key in a key/value pair", "expected '=' after the key; write key = value"),
    (r"Invalid value", "this is no value; text needs quotes, truth is true or false, lists are in [ ]"),
    (r"Illegal character '\\n'", "the string is not closed on its line; close the quotes, or use three of them"),
    (r"Unterminated string", "the string is never closed; close its quotes"),
    (r"Expected \"'''\"|Expected '\"\"\"'", "the string is never closed; close its three quotes"),
    (r"Expected \"'\"", "the string is never closed; close its quotes"),
    (r"Unclosed array", "the list is not closed, or a comma is missing in it; mend it"),
    (r"Unclosed inline table", "the braces are not closed, or a comma is missing between two keys; mend them"),
    (r"Expected newline or end of document after a statement", "expected the end of the line; one key to a line"),
    (r"Expected '\]' at the end of a table declaration", "the table's name needs a closing ]; add it"),
    (r"Expected '\]\]' at the end of an array declaration", "the list of tables needs closing ]]; add them"),
    (r"Invalid initial character for a key part", "expected a key; quote it unless it is letters, digits, _ and -"),
    (r"Unescaped '\\' in a string", "a backslash begins an escape; double it, or use single quotes"),
    (r"Invalid statement", "expected key = value or [table]"),
    (r"Exceeds the limit .* for integer", "a number has thousands of digits; write a smaller one"),
    (r"Illegal character (.*)", r"the character \1 is not allowed here; remove it"),
)  # fmt: skip


class NotToml(ValueError):
    """Say that a text is no TOML: line and column from 1, and what to do."""

    def __init__(self, line: int, column: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


def line_column(text: str, offset: int) -> tuple[int, int]:
    """Return line and column, both counted from 1 in characters, of an offset."""
    return text.count("\n", 0, offset) + 1, offset - (text.rfind("\n", 0, offset) + 1) + 1


def parse(text: str) -> dict[str, Any]:
    """Return the tables of a TOML text.

    Raises NotToml, also for what would take the library too long or too deep.
    """
    _refuse_deep_keys(text)
    try:
        return tomllib.loads(text)
    except RecursionError:
        line, column = line_column(text, _deep_place(text))
        raise NotToml(line, column, f"brackets are nested more than {_DEEPEST} deep; simplify them") from None
    except ValueError as error:
        line, column, message = _explained(text, str(error))
        raise NotToml(line, column, message) from None


def _refuse_deep_keys(text: str) -> None:
    # The library's time for a key of dotted parts grows with the square of their number. A key stands on one line.
    suspect = any(line.count(".") >= _DEEPEST for line in text.split("\n"))
    match = re.search(_DEEP_KEY, text) if suspect else None
    if match is not None:
        line, column = line_column(text, match.start(1))
        raise NotToml(line, column, f"the key has more than {_DEEPEST} dotted parts; simplify it")


def _deep_place(text: str) -> int:
    depth = 0
    for match in re.finditer(r"[\[\]{}]", text):
        depth = depth + 1 if match[0] in "[{" else max(0, depth - 1)
        if depth > _DEEPEST:
            return match.start()
    return 0


def _explained(text: str, error: str) -> tuple[int, int, str]:
    place = re.search(_PLACE, error)
    if place is not None and place[1]:
        line_text = text.split("\n", int(place[1]))[int(place[1]) - 1]
        if section := misplaced_section(line_text):
            return int(place[1]), 1, section
    if place is None:
        line, column = 1, 1
    elif place[1]:
        line, column = int(place[1]), int(place[2])
    else:
        line, column = line_column(text, len(text.rstrip("\n")))
    message = error[: place.start()] if place else error
    if re.match("Cannot |Duplicate ", message):
        # The library tells where the second one ends; where it begins is of more use.
        start = text.split("\n", line)[line - 1]
        column = len(start) - len(start.lstrip()) + 1
    for pattern, advice in _ADVICE:
        match = re.search(pattern, message)
        if match is not None:
            return line, column, _dotted(match.expand(advice))
    return line, column, f"{message}; mend the TOML syntax"


def _dotted(message: str) -> str:
    # The library shows a key as a Python tuple: ('program', 'web').
    return re.sub(r"\[('[^\]]*')\]", lambda match: f"[{match[1].replace(chr(39), '').replace(', ', '.')}]", message)
