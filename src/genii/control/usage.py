"""What processes use over time: processor and memory, as short series for charts. No I/O."""

from __future__ import annotations

from array import array
from typing import NamedTuple

__all__ = ["Curve", "Point", "Usages", "points_for", "share"]

_ALL_POINTS = 60_000
_FEWEST, _MOST = 60, 300


class Point(NamedTuple):
    """One reading."""

    cpu: float
    """Percent of one processor since the reading before."""
    memory: int
    """Resident bytes."""


class Curve(NamedTuple):
    """The readings of one process, oldest first; times in seconds since the epoch."""

    time: list[float]
    cpu: list[float]
    memory: list[int]


def points_for(processes: int) -> int:
    """Return how many readings of each process are kept: 300, less where there are many processes."""
    return max(_FEWEST, min(_MOST, _ALL_POINTS // max(1, processes)))


def share(processes: int, budget: int = 100) -> int:
    """Return the number of turns in which all processes are read, ``budget`` of them in each."""
    return max(1, -(-processes // budget))


class _Series:
    __slots__ = ("begin", "cpu", "memory", "pid", "seconds", "times", "when")

    def __init__(self, pid: int, now: float) -> None:
        self.pid = pid
        self.begin = now
        self.seconds = 0.0
        self.when = 0.0
        self.times = array("f")
        self.cpu = array("f")
        self.memory = array("f")  # in KiB: exact up to 16 GiB


class Usages:
    """The series of all processes by name."""

    def __init__(self) -> None:
        self._series: dict[str, _Series] = {}

    def add(self, name: str, pid: int, now: float, memory: int, seconds: float, keep: int) -> Point:
        """Take in a reading: resident bytes, seconds of processor time so far; returns what it means."""
        series = self._series.get(name)
        if series is None:
            series = self._series[name] = _Series(pid, now)
        first = series.pid != pid or series.when == 0.0
        passed = now - series.when
        cpu = 0.0 if first or passed <= 0 else max(0.0, 100.0 * (seconds - series.seconds) / passed)
        series.pid, series.seconds, series.when = pid, seconds, now
        for values, value in ((series.times, now - series.begin), (series.cpu, cpu), (series.memory, memory / 1024)):
            values.append(value)
            if len(values) > keep + keep // 4:  # cut in one go: an array is a poor queue
                del values[: len(values) - keep]
        return Point(round(cpu, 1), memory)

    def keep_only(self, names: set[str]) -> None:
        """Forget all others."""
        for name in self._series.keys() - names:
            del self._series[name]

    def curve(self, name: str, points: int = _MOST) -> Curve:
        """Return the last readings of a process; empty: there are none."""
        series = self._series.get(name)
        if series is None or points <= 0:
            return Curve([], [], [])
        return Curve(
            [round(series.begin + value, 1) for value in series.times[-points:]],
            [round(value, 1) for value in series.cpu[-points:]],
            [int(value) * 1024 for value in series.memory[-points:]],
        )
