"""What the full-screen view knows of a supervisor: kept up to date by its live stream. No I/O."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from genii.control.rows import EventRow, PoolRow, ProgramRow, QueuedJobRow, ServerRow, StatusRow

__all__ = ["Model", "alarming", "together", "word_of"]

_POINTS = 10
_EVENTS = 300
_LINES = 5000
_BAD = ("fatal", "unknown", "failed", "unhealthy", "backoff", "stopping", "starting", "running", "exited", "stopped")
"""States, the one that tells most about a group first."""


class Model:
    """Processes, what they use, what happened, the log that is looked at; pools, jobs and schedules when asked for."""

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
        self.pools: dict[str, PoolRow] = {}
        self.programs: dict[str, ProgramRow] = {}
        self.servers: list[ServerRow] = []
        self.queue: list[QueuedJobRow] = []
        self.asked: set[str] = set()
        """Pages whose answers have come."""
        self.rates: dict[str, float] = {}
        """Jobs a second: by program, and by server and function."""
        self._done: dict[str, int] = {}
        self._counts: dict[str, deque[tuple[float, int]]] = {}

    def take(self, kind: str, data: Any) -> None:
        """Take in one event of the live stream."""
        if kind == "snapshot":
            self.supervisor = data["supervisor"]
            self.rows = {row["name"]: row for row in data["processes"]}
            self.usage = {name: (cpu, memory) for name, (cpu, memory) in data["usage"].items()}
            self.connected, self.problem = True, ""
        elif kind == "change":
            for row in data["processes"]:
                self._count_jobs(self.rows.get(row["name"]), row)
                self.rows[row["name"]] = row
            for name in data["removed"]:
                self.rows.pop(name, None)
                self.usage.pop(name, None)
                self.curves.pop(name, None)
        elif kind == "usage":
            self.usage.update((name, (cpu, memory)) for name, (cpu, memory) in data["usage"].items())
            self._draw_on()
            for program, done in self._done.items():
                self._rate(program, data["time"], done)
        elif kind == "event":
            self.events.extend(data["events"])

    def _draw_on(self) -> None:
        for name, row in self.rows.items():
            if row["pid"] and name in self.usage:
                self.curves.setdefault(name, deque(maxlen=_POINTS)).append(self.usage[name][0])

    def _count_jobs(self, before: StatusRow | None, row: StatusRow) -> None:
        """Add up the jobs that a program's workers did; a worker that was replaced did what it had left."""
        done = row.get("jobs_done")
        if done is None or before is None or before.get("jobs_done") is None:
            return
        more = done - (before["jobs_done"] or 0)
        if before["pid"] != row["pid"]:
            more = done + (before["jobs_left"] or 0)
        self._done[row["program"]] = self._done.get(row["program"], 0) + max(0, more)

    def _rate(self, key: str, now: float, count: int) -> None:
        counts = self._counts.setdefault(key, deque(maxlen=_POINTS))
        if counts and count < counts[-1][1]:
            counts.clear()  # it was started anew
        counts.append((now, count))
        seconds = now - counts[0][0]
        if seconds > 0:
            self.rates[key] = (count - counts[0][1]) / seconds

    # ------------------------------------------------------------------ what is asked for

    def take_pools(self, pools: Sequence[PoolRow], programs: Sequence[ProgramRow]) -> None:
        """Take in what was asked about pools."""
        self.pools = {pool["program"]: pool for pool in pools}
        self.take_programs(programs)
        self.asked.add("pools")

    def take_programs(self, programs: Sequence[ProgramRow]) -> None:
        """Take in what is declared."""
        self.programs = {program["name"]: program for program in programs}
        self.asked.add("schedules")

    def take_servers(self, servers: Sequence[ServerRow], now: float) -> None:
        """Take in how the job servers are; ``now`` is the wall time."""
        self.servers = list(servers)
        self.asked.add("jobs")
        for server in servers:
            for function in server["functions"]:
                if function["completed"] is not None:
                    self._rate(f"{server['address']} {function['name']}", now, function["completed"])

    def take_queue(self, jobs: Sequence[QueuedJobRow]) -> None:
        """Take in the jobs of the function that is looked at."""
        self.queue = list(jobs)
        self.asked.add("queue")

    def take_log(self, lines: list[str], skipped: int, *, several: str = "") -> None:
        """Take in lines of the log that is looked at; ``several`` is the process they are of, where it matters."""
        if skipped:
            self.skipped += skipped
            self.lines.append(f"… {skipped // 1024} KiB left out: more is written than can be shown …")
        self.lines.extend(f"{several} | {line}" if several else line for line in lines)

    def lose(self, problem: str) -> None:
        """Note that nothing is heard any more."""
        self.connected, self.problem = False, problem

    # ------------------------------------------------------------------ what follows from it

    def members(self, program: str) -> list[StatusRow]:
        """Return the processes of a program."""
        return [row for row in self.rows.values() if row["program"] == program]

    def used(self, row: StatusRow) -> tuple[float, int] | None:
        """Return percent of a processor and resident bytes of a row of the table, which may stand for several."""
        if row["name"] in self.rows:
            return self.usage.get(row["name"]) if row["pid"] else None
        found = [
            self.usage[one["name"]] for one in self.members(row["program"]) if one["pid"] and one["name"] in self.usage
        ]
        return (sum(cpu for cpu, _ in found), sum(memory for _, memory in found)) if found else None


def together(rows: Sequence[StatusRow]) -> StatusRow:
    """Return one row that stands for all processes of a program; its name is the program's."""
    first = min(rows, key=lambda row: _BAD.index(word_of(row)) if word_of(row) in _BAD else 0)
    running = sum(row["state"] == "RUNNING" for row in rows)
    told = f"{running} of {len(rows)} running"
    reason = f"{told}; {first['name']}: {first['reason']}" if first["reason"] else told
    return {
        **first,
        "name": first["program"],
        "reason": reason,
        "note": "",
        "busy": None,
        "restarts": sum(row["restarts"] for row in rows),
        "started": min((row["started"] for row in rows if row["pid"]), default=0.0),
    }


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
