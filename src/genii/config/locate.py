"""Where in the text of a TOML file a key and its value stand, as the TOML library does not tell. No I/O.

The text has been accepted by ``tomllib``, so this reader only follows the outline and believes the rest.
"""

from __future__ import annotations

import re
import tomllib
from contextlib import suppress

from genii.config.toml import line_column

__all__ = ["Locator", "Path"]

Path = tuple[str | int, ...]
"""The way to a value: keys of tables and numbers of array items."""

_BLANK = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_BASIC = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_LITERAL = re.compile(r"'[^'\n]*'")
_LONG_BASIC = re.compile(r'"""(?:[^"\\]|\\.|"{1,2}(?!"))*"{3,5}', re.DOTALL)
_LONG_LITERAL = re.compile(r"'''(?:[^']|'{1,2}(?!'))*'{3,5}")
_STRINGS = (_LONG_BASIC, _LONG_LITERAL, _BASIC, _LITERAL)
_SCALAR = re.compile(r"[^,\]}#\n]*")


class Locator:
    """Find keys and values in one text; it is read once, at the first question."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._keys: dict[Path, int] = {}
        self._values: dict[Path, int] = {}
        self._array_sizes: dict[Path, int] = {}
        self._outlined = False

    def key(self, path: Path) -> tuple[int, int]:
        """Return the place of the key at the end of ``path``, or of the longest part of it that the text has."""
        return self._place(self._keys, path)

    def value(self, path: Path) -> tuple[int, int]:
        """Return the place of the value at ``path``; of its key where the value is a whole ``[table]``."""
        return self._place(self._values, path)

    def _place(self, places: dict[Path, int], path: Path) -> tuple[int, int]:
        if not self._outlined:
            self._outlined = True
            with suppress(RecursionError):  # too deep for anything of ours: the outline up to there has to do
                self._outline()
        for length in range(len(path), 0, -1):
            for table in (places, self._keys, self._values):
                if path[:length] in table:
                    return line_column(self._text, table[path[:length]])
        return 1, 1

    def _outline(self) -> None:
        table: Path = ()
        offset = self._blank(0)
        while offset < len(self._text):
            if self._text.startswith("[", offset):
                table, offset = self._header(offset)
            else:
                offset = self._pair(table, offset)
            following = self._blank(offset)
            if following == offset:
                return  # no progress: not the TOML we know
            offset = following

    def _blank(self, offset: int) -> int:
        match = _BLANK.match(self._text, offset)
        return match.end() if match else offset

    def _header(self, offset: int) -> tuple[Path, int]:
        array = self._text.startswith("[[", offset)
        parts, offset = self._dotted(offset + (2 if array else 1))
        path: Path = ()
        for number, (name, place) in enumerate(parts):
            path = (*path, name)
            self._keys.setdefault(path, place)
            if array and number == len(parts) - 1:
                self._array_sizes[path] = self._array_sizes.get(path, 0) + 1
            if path in self._array_sizes:
                path = (*path, self._array_sizes[path] - 1)
                self._keys.setdefault(path, place)
        return path, self._text.find("]", offset) + (2 if array else 1)

    def _dotted(self, offset: int) -> tuple[list[tuple[str, int]], int]:
        parts: list[tuple[str, int]] = []
        while True:
            offset = self._space(offset)
            match = next(filter(None, (form.match(self._text, offset) for form in (_BARE, _BASIC, _LITERAL))), None)
            if match is None:
                return parts, offset
            word = match[0]
            parts.append((tomllib.loads(f"key = {word}")["key"] if word[0] in "\"'" else word, offset))
            offset = self._space(match.end())
            if not self._text.startswith(".", offset):
                return parts, offset
            offset += 1

    def _space(self, offset: int) -> int:
        match = _SPACE.match(self._text, offset)
        return match.end() if match else offset

    def _pair(self, table: Path, offset: int) -> int:
        parts, offset = self._dotted(offset)
        path = table
        for name, place in parts:
            path = (*path, name)
            self._keys.setdefault(path, place)
        return self._value(path, self._space(offset + 1))

    def _value(self, path: Path, offset: int) -> int:
        self._values.setdefault(path, offset)
        opening = self._text[offset : offset + 1]
        if opening == "[":
            return self._array(path, offset + 1)
        if opening == "{":
            return self._inline_table(path, offset + 1)
        for form in _STRINGS:
            match = form.match(self._text, offset)
            if match is not None:
                return match.end()
        match = _SCALAR.match(self._text, offset)
        return match.end() if match else offset

    def _array(self, path: Path, offset: int) -> int:
        number = 0
        while True:
            offset = self._blank(offset)
            if self._text[offset : offset + 1] in ("]", ""):
                return offset + 1
            offset = self._blank(self._value((*path, number), offset))
            number += 1
            if self._text.startswith(",", offset):
                offset += 1

    def _inline_table(self, path: Path, offset: int) -> int:
        while True:
            offset = self._blank(offset)
            if self._text[offset : offset + 1] in ("}", ""):
                return offset + 1
            offset = self._blank(self._pair(path, offset))
            if self._text.startswith(",", offset):
                offset += 1
