"""The terminal as a screen: raw keys in, changed lines out, and everything put back at the end."""

from __future__ import annotations

import os
import shutil
import termios
import tty
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Screen"]

_ENTER = b"\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
_LEAVE = b"\x1b[?7h\x1b[?25h\x1b[?1049l"


class Screen:
    """The alternate screen of a terminal, while the context lasts."""

    def __init__(self, keyboard: int, display: int) -> None:
        self.keyboard = keyboard
        self._display = display
        self._shown: list[str] = []
        self._before: list[object] = []

    def __enter__(self) -> Self:
        self.enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.leave()

    def enter(self) -> None:
        """Take the terminal: keys come one by one and are not shown; Ctrl-C and Ctrl-Z still are signals."""
        self._before = termios.tcgetattr(self.keyboard)
        tty.setcbreak(self.keyboard)
        self._shown = []
        self._write(_ENTER)

    def leave(self) -> None:
        """Give the terminal back as it was."""
        if self._before:
            self._write(_LEAVE)
            termios.tcsetattr(self.keyboard, termios.TCSADRAIN, self._before)  # type: ignore[arg-type]
            self._before = []

    def size(self) -> tuple[int, int]:
        """Return columns and lines."""
        found = (
            shutil.get_terminal_size((80, 24)) if not os.isatty(self._display) else os.get_terminal_size(self._display)
        )
        return max(20, found.columns), max(6, found.lines)

    def forget(self) -> None:
        """Have the next drawing write all lines: the size has changed."""
        self._shown = []

    def show(self, lines: list[str]) -> None:
        """Write the lines that are others than before."""
        changed = [
            f"\x1b[{number + 1};1H{line}"
            for number, line in enumerate(lines)
            if number >= len(self._shown) or self._shown[number] != line
        ]
        if len(self._shown) != len(lines):
            changed.insert(0, "\x1b[2J")
        self._shown = lines
        if changed:
            self._write("".join(changed).encode("utf-8", "replace"))

    def _write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._display, data) :]
