"""A line at the bottom of the terminal that tells how far things are; nothing where there is no terminal."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from genii.cli.terminal import Paint
from genii.units import format_duration

if TYPE_CHECKING:
    from typing import TextIO

__all__ = ["Bar"]

_BETWEEN = 0.1
_WIDEST = 30


class Bar:
    """Draw the bar at most ten times a second; ``clear`` makes room for a line above it."""

    def __init__(self, stream: TextIO, total: int, *, shown: bool = True) -> None:
        self._stream = stream
        self._total = total
        self._on = shown and stream.isatty() and os.environ.get("TERM") != "dumb" and total > 1
        self._paint = Paint(stream)
        self._begin = time.monotonic()
        self._drawn = 0.0
        self._visible = False
        self._done = 0
        self._failed = 0
        self._running = 0
        self._note = ""

    def begin(self) -> None:
        """Count one more that runs."""
        self._running += 1
        self.draw()

    def end(self, *, ok: bool, begun: bool = True) -> None:
        """Count one that has ended."""
        self._running -= begun
        self._done += 1
        self._failed += not ok
        self.draw()

    def pause(self) -> None:
        """Count one less that runs; what became of it is told later."""
        self._running -= 1

    def note(self, text: str) -> None:
        """Show some words at the end of the line."""
        self._note = text
        self.draw()

    def clear(self) -> None:
        """Take the bar away; the next ``draw`` brings it back."""
        if self._visible:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._visible = False
            self._drawn = 0.0

    def draw(self) -> None:
        """Show how far things are."""
        now = time.monotonic()
        if not self._on or now - self._drawn < _BETWEEN:
            return
        self._drawn, self._visible = now, True
        self._stream.write(f"\r{self._line(now)}\x1b[K")
        self._stream.flush()

    def _line(self, now: float) -> str:
        width = min(_WIDEST, max(5, self._columns() - 60))
        full = width * self._done // max(1, self._total)
        bar = self._paint("━" * full, "green") + self._paint("━" * (width - full), "dim")
        failed = self._paint(f"  {self._failed} failed", "red") if self._failed else ""
        elapsed = format_duration(float(int(now - self._begin)))
        return f"{bar} {self._done}/{self._total}{failed}  {self._running} running  {elapsed}  {self._note}"

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self._stream.fileno()).columns
        except OSError:
            return 80
