"""What the full-screen view knows of a supervisor: kept up to date by its live stream. No I/O."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genii.control.rows import EventRow, StatusRow

__all__ = ["Model", "alarming", "word_of"]

_POINTS = 10
_EVENTS = 300
_LINES = 5000


class Model:
    """Processes, what they use, what happened, and the log that is looked at."""

    def __init__(self) -> None:
        self.supervisor: dict[str, Any] = {}
        self.rows: dict[str, StatusRow] = {}
        self.usage: dict[str, tuple[float, int]] = {}
        self.curves: dict[str, deque[float]] = {}
        self.events: deque[EventRow] = deque(maxlen=_EVENTS)
        self.lines: deque[str] = deque(maxlen=_LINES)
        self.skipped = 0
        self.connected = False
        self.problem = "connecting"

    def take(self, kind: str, data: Any) -> None:
        """Take in one event of the live stream."""
        if kind == "snapshot":
            self.supervisor = data["supervisor"]
            self.rows = {row["name"]: row for row in data["processes"]}
            self.usage = {name: (cpu, memory) for name, (cpu, memory) in data["usage"].items()}
            self.connected, self.problem = True, ""
        elif kind == "change":
            self.rows.update((row["name"], row) for row in data["processes"])
            for name in data["removed"]:
                self.rows.pop(name, None)
                self.usage.pop(name, None)
                self.curves.pop(name, None)
        elif kind == "usage":
            self.usage.update((name, (cpu, memory)) for name, (cpu, memory) in data["usage"].items())
            self._draw_on()
        elif kind == "event":
            self.events.extend(data["events"])

    def _draw_on(self) -> None:
        for name, row in self.rows.items():
            if row["pid"] and name in self.usage:
                self.curves.setdefault(name, deque(maxlen=_POINTS)).append(self.usage[name][0])

    def take_log(self, lines: list[str], skipped: int, *, several: str = "") -> None:
        """Take in lines of the log that is looked at; ``several`` is the process they are of, where it matters."""
        if skipped:
            self.skipped += skipped
            self.lines.append(f"… {skipped // 1024} KiB left out: more is written than can be shown …")
        self.lines.extend(f"{several} | {line}" if several else line for line in lines)

    def lose(self, problem: str) -> None:
        """Note that nothing is heard any more."""
        self.connected, self.problem = False, problem


def word_of(row: StatusRow) -> str:
    """Return the state in a word for people."""
    if row["state"] == "RUNNING" and row["healthy"] is False:
        return "unhealthy"
    if row["state"] == "EXITED" and row["exit_status"]:
        return "failed"
    return row["state"].lower()


def alarming(row: StatusRow) -> bool:
    """Say whether somebody should look at it."""
    return word_of(row) in ("unhealthy", "failed", "fatal", "backoff", "unknown")
