"""When a schedule runs next: cron expressions, intervals and times of day, right through changes of the clock. No I/O.

What can be written:

- ``5 minutes``, ``1 seconds``, ``1h30m``: every so often, aligned to the epoch (1970-01-01 00:00 UTC), so that every
  process and every restart agree: ``5 seconds`` runs at :00, :05, :10 …
- ``06:30`` or ``06:30:15``: each day at this time.
- ``@hourly @daily @midnight @weekly @monthly @yearly @annually``, and ``@every 5m`` for an interval.
- five fields (minute, hour, day of month, month, day of week) as in crontab(5), or six with the **second first**.
  ``*``, ``a-b``, ``a,b``, ``*/n``, ``a-b/n``, ``a/n`` (from a to the end), names (JAN, MON), ``L`` and ``LW`` (last
  day, last working day of the month), ``5L`` (last Friday), ``FRI#2`` (second Friday). Days and weekdays that are both
  restricted are alternatives, as in crontab(5).

Daylight saving follows Vixie cron, cron(8): a job for a fixed time (neither minute nor hour begins with ``*``) whose
time is skipped runs once right after the change, and doesn't run again when an hour is repeated; a job with a wildcard
runs by the clock on the wall, in both passes of a repeated hour. ``cronsim`` does the calendar in plain wall time; the
step from wall time to instants is done here, since it must hold for half-hour shifts (Lord Howe) too.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Protocol

from cronsim import CronSim, CronSimError

from genii.units import format_duration, parse_duration

__all__ = ["Calendar", "Expression", "Interval", "parse"]

_ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_FIELDS = {
    "second": "0-59",
    "minute": "0-59",
    "hour": "0-23",
    "day-of-month": "1-31 (a day that the months given have), L or LW",
    "month": "1-12 or JAN-DEC",
    "day-of-week": "0-7 or SUN-SAT (0 and 7 are Sunday), 5L or FRI#2",
}
_INTERVAL = re.compile(r"(?:\d+(?:\.\d+)?\s*[a-z]+\s*)+", re.IGNORECASE)
_TIME_OF_DAY = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?")
_SINGLE_RANGE = re.compile(r"\b0*(\w+)-0*\1/\d+", re.IGNORECASE)
"""``5-5/2`` is 5 alone; cronsim takes it for ``5/2``, which goes on to the end."""
_LONGEST_TEXT = 500
_DAY = 86400.0
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 -- wall time without a zone is what the calendar counts in


class Expression(Protocol):
    """A schedule that was understood; times are seconds since the epoch."""

    @property
    def text(self) -> str:
        """Return what was written."""

    def next_after(self, wall_time: float) -> float:
        """Return the first run strictly after ``wall_time``; infinity when there is none."""

    def upcoming(self, wall_time: float, count: int) -> list[float]:
        """Return the next ``count`` runs."""

    def explain(self) -> str:
        """Say in English when it runs."""


def parse(text: str, zone: tzinfo = UTC) -> Expression:
    """Read an expression; ``zone`` is where its hours and days are (``genii.events.zone`` loads one).

    Raises:
        ValueError: names the field that is wrong and what was expected.
    """
    words = text.split() if len(text) <= _LONGEST_TEXT else []
    if not words:
        raise ValueError(f"{text[:40]!r} is not a schedule; write for example '*/5 * * * *', '5 minutes' or '@daily'")
    joined = " ".join(words)
    if words[0].startswith("@"):
        return _parse_alias(joined, zone)
    if _INTERVAL.fullmatch(joined):
        return _parse_interval(joined, joined)
    if (time_of_day := _TIME_OF_DAY.fullmatch(joined)) is not None:
        hour, minute, second = time_of_day.groups(default="0")
        return _parse_fields(joined, [second, minute, hour, "*", "*", "*"], zone)
    return _parse_fields(joined, words, zone)


def _parse_alias(text: str, zone: tzinfo) -> Expression:
    name, _, rest = text.partition(" ")
    if name.lower() == "@every" and rest:
        return _parse_interval(text, rest)
    fields = _ALIASES.get(text.lower())
    if fields is None:
        hint = "; what runs once at the start is no schedule" if name.lower() == "@reboot" else ""
        raise ValueError(f"{text!r}: expected one of {', '.join(_ALIASES)} or '@every 5m'{hint}")
    return _parse_fields(text, fields.split(), zone)


def _parse_interval(text: str, duration: str) -> Interval:
    seconds = parse_duration(duration)
    if seconds < 1:
        raise ValueError(f"{text!r}: expected an interval of one second or more; for shorter ones use a timer (every)")
    return Interval(text, seconds)


def _parse_fields(text: str, words: list[str], zone: tzinfo) -> Calendar:
    if len(words) not in (5, 6):
        raise ValueError(
            f"{text!r} has {len(words)} field{'s' * (len(words) != 1)}: expected five (minute hour day-of-month month "
            "day-of-week), six (second first), an interval such as '5 minutes', a time such as '06:30', or '@daily'"
        )
    fields = ["0", *words] if len(words) == 5 else words
    for position, (name, expected) in enumerate(_FIELDS.items()):
        for term in fields[position].split(","):
            _check_term(text, name, expected, position, term)
    calendar = Calendar(text, " ".join(_SINGLE_RANGE.sub(r"\1", field) for field in fields), zone)
    try:
        CronSim(calendar.fields, _EPOCH)
    except CronSimError:
        raise ValueError(f"{text!r}: {_wrong('day-of-month', fields[3], _FIELDS['day-of-month'])}") from None
    if calendar.next_after(0.0) == math.inf:
        raise ValueError(f"{text!r} never runs: no date of the next fifty years matches it")
    return calendar


def _check_term(text: str, name: str, expected: str, position: int, term: str) -> None:
    """Try one term of one field alone, so that the message can name it."""
    others = ["*"] * len(_FIELDS)
    others[position] = term
    try:
        CronSim(" ".join(others), _EPOCH)
    except (CronSimError, ValueError):
        raise ValueError(f"{text!r}: {_wrong(name, term, expected)}") from None


def _wrong(name: str, term: str, expected: str) -> str:
    return f"{name} {term!r} is wrong: expected {expected}, also *, lists (a,b), rising ranges (a-b) and steps (*/n)"


@dataclass(frozen=True, slots=True)
class Interval:
    """Run every ``seconds`` since the epoch."""

    text: str
    seconds: float

    def next_after(self, wall_time: float) -> float:
        """Return the first multiple of the interval strictly after ``wall_time``."""
        count = math.floor(wall_time / self.seconds) + 1
        while (run := count * self.seconds) <= wall_time:  # a fraction that binary numbers can't hold
            count += 1
        return run

    def upcoming(self, wall_time: float, count: int) -> list[float]:
        """Return the next ``count`` runs."""
        return _upcoming(self, wall_time, count)

    def explain(self) -> str:
        """Say in English when it runs."""
        length = format_duration(self.seconds).removesuffix("00s").removesuffix("00m")
        return f"Every {length}, counted from 1970-01-01 00:00 UTC"


@dataclass(frozen=True, slots=True)
class Calendar:
    """Run when the clock on the wall of ``zone`` shows what the six ``fields`` (second first) say."""

    text: str
    fields: str
    zone: tzinfo

    @property
    def fixed(self) -> bool:
        """Say whether it names a time of day, and so runs exactly once when the clocks are changed."""
        _, minute, hour, *_ = self.fields.split()
        return not minute.startswith("*") and not hour.startswith("*")

    def next_after(self, wall_time: float) -> float:
        """Return the first run strictly after ``wall_time``; infinity when the calendar ends before."""
        try:
            instant = float(math.floor(wall_time))
            return self._next_fixed(instant) if self.fixed else self._next_wildcard(instant)
        except (OverflowError, StopIteration):
            return math.inf

    def upcoming(self, wall_time: float, count: int) -> list[float]:
        """Return the next ``count`` runs."""
        return _upcoming(self, wall_time, count)

    def explain(self) -> str:
        """Say in English when it runs."""
        from cronsim.explain import Expression as Words

        return Words(self.fields.split()).explain()

    def _next_fixed(self, instant: float) -> float:
        """Run at the first instant at which the wall clock has reached a matching time that it never reached before."""
        reached = instant + self._offset(instant)
        change = self._change_between(instant - 2 * _DAY, instant)
        if change is not None:
            # In the second pass of a repeated hour the first one has been there already.
            reached = max(reached, change - 1 + self._offset(change - 1))
        wanted = self._match_after(reached)
        found = _EPOCH + timedelta(seconds=wanted)
        run = found.replace(tzinfo=self.zone, fold=0).timestamp()
        if run + self._offset(run) == wanted:
            return run
        skipped_at = self._change_between(run - 2 * _DAY, run)
        return run if skipped_at is None else skipped_at

    def _next_wildcard(self, instant: float) -> float:
        """Run at the first instant whose wall time matches, walking from one change of the clocks to the next."""
        after = instant
        while True:
            # ``instant`` has the offset that holds from there on; what matches must lie after ``after``.
            offset = self._offset(instant)
            run = self._match_after(after + offset) - offset
            change = self._change_between(instant, min(run, instant + _DAY))
            if change is not None:
                instant, after = change, change - 1
            elif run <= instant + _DAY:
                return run
            else:
                # Nothing matches on the way, and walls further off than a day don't come back: look at the end only.
                instant = after = max(instant + _DAY, run - 2 * _DAY)

    def _match_after(self, wall: float) -> float:
        """Return the first match after ``wall``; both count seconds of wall time since 1970."""
        return (next(CronSim(self.fields, _EPOCH + timedelta(seconds=wall))) - _EPOCH).total_seconds()

    def _offset(self, instant: float) -> float:
        """Return the seconds by which the zone is ahead of UTC."""
        offset = datetime.fromtimestamp(instant, self.zone).utcoffset()
        return offset.total_seconds() if offset is not None else 0.0

    def _change_between(self, start: float, end: float) -> float | None:
        """Return the first second in (start, end] with another offset than at ``start``, if it still holds at the end.

        The span is at most two days: no zone changes twice in that time.
        """
        before = self._offset(start)
        if self._offset(end) == before:
            return None
        low, high = int(start), int(end)
        while high - low > 1:
            middle = (low + high) // 2
            if self._offset(middle) == before:
                low = middle
            else:
                high = middle
        return float(high)


def _upcoming(expression: Expression, wall_time: float, count: int) -> list[float]:
    runs: list[float] = []
    while len(runs) < count and (wall_time := expression.next_after(wall_time)) != math.inf:
        runs.append(wall_time)
    return runs
