"""When a job of SUBMIT_JOB_SCHED runs: the next moment that its five fields fit. No I/O.

The fields are minute, hour, day of month, month and day of week (0 is Monday), each a number or ``*``; local time.
Source: the PROTOCOL text of gearmand, which never implemented it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["next_time"]


def next_time(fields: Sequence[bytes], wall: float) -> int:
    """Return the first fitting minute after ``wall``, both in seconds since the epoch.

    Raises ValueError when the fields are no such time.
    """
    from cronsim import CronSim, CronSimError

    minute, hour, day, month, weekday = (field.decode("ascii", "replace").strip() or "*" for field in fields)
    if weekday.isdigit():
        weekday = str((int(weekday) + 1) % 7) if int(weekday) < 7 else "no weekday"
    expression = f"{minute} {hour} {day} {month} {weekday}"
    try:
        moment = next(CronSim(expression, datetime.fromtimestamp(wall, UTC).astimezone()))
    except (CronSimError, StopIteration):
        raise ValueError(f"no time fits minute, hour, day, month, weekday {expression!r}") from None
    return int(moment.timestamp())
