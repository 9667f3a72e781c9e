"""What the terminal can show: colours, width, and a table in columns."""

from __future__ import annotations

import os

from genii.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

__all__ = ["STATE_COLOURS", "Paint", "format_table", "printable", "table_width"]

_CODES = {"red": "31", "green": "32", "yellow": "33", "blue": "34", "magenta": "35", "cyan": "36", "bold": "1",
          "dim": "2"}  # fmt: skip
_ESCAPES = r"\x1b\[[0-9;]*m"
_CONTROLS = r"[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f\x80-\x9f]|\x1b(?!\[[0-9;]*m)"
STATE_COLOURS = {
    "RUNNING": "green",
    "STARTING": "yellow",
    "STOPPING": "yellow",
    "BACKOFF": "yellow",
    "FATAL": "red",
    "UNKNOWN": "red",
    "EXITED": "dim",
    "STOPPED": "dim",
}


class Paint:
    """Colour text for one stream; leaves it plain where it is no terminal, or NO_COLOR is set."""

    def __init__(self, stream: TextIO) -> None:
        environ = os.environ
        plain = environ.get("NO_COLOR") or environ.get("TERM") == "dumb"
        self.on = not plain and (bool(environ.get("FORCE_COLOR")) or stream.isatty())

    def __call__(self, text: str, colour: str) -> str:
        """Return the text in a colour (``red``, ``dim``, …; empty: as it is)."""
        return f"\x1b[{_CODES[colour]}m{text}\x1b[0m" if self.on and colour and text else text


def table_width(stream: TextIO) -> int:
    """Return how wide a table may be: COLUMNS, or the terminal; 0: as wide as it is, for what reads along."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal():
        return int(columns)
    try:
        return os.get_terminal_size(stream.fileno()).columns if stream.isatty() else 0
    except OSError:
        return 0


def format_table(rows: Sequence[Sequence[str]], width: int = 0) -> list[str]:
    """Align the cells of rows, the last column as it is, and cut them at a width; colours take no room."""
    widths = [max(_width(row[column]) for row in rows) for column in range(len(rows[0]))] if rows else []
    lines = []
    for row in rows:
        cells = [cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)]
        line = "  ".join(cells).rstrip()
        lines.append(_cut(line, width) if width and _width(line) > width else line)
    return lines


def _cut(line: str, width: int) -> str:
    """Return what fits into a width, colours unbroken."""
    import re  # late, here and below: seldom needed, and not for nothing

    kept, room = [], max(1, width - 1)
    for piece in re.split(f"({_ESCAPES})", line):
        if piece.startswith("\x1b"):
            kept.append(piece)
        else:
            kept.append(piece[:room])
            room -= len(kept[-1])
            if len(kept[-1]) < len(piece):
                kept.append("…")
                room = 0
                break
    return "".join(kept) + ("\x1b[0m" if "\x1b" in line else "")


def _width(cell: str) -> int:
    if "\x1b" not in cell:
        return len(cell)
    import re

    return len(re.sub(_ESCAPES, "", cell))


def printable(line: str) -> str:
    """Return a line of a program without what could take over the terminal; colours stay."""
    import re

    return re.sub(_CONTROLS, "\N{REPLACEMENT CHARACTER}", line)
