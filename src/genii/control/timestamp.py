"""The time at which a log line says it was written. No I/O."""

from __future__ import annotations

import re
from datetime import datetime

__all__ = ["line_time"]

_ISO = re.compile(r"\W{0,2}(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,6})\d*)?(Z|[+-]\d\d:?\d\d)?")


def line_time(line: str) -> float | None:
    """Read an ISO 8601 time at the beginning of a line (local time unless it says otherwise); None: it has none."""
    match = _ISO.match(line)
    if match is None:
        return None
    day, clock, fraction, zone = match.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}{'+00:00' if zone == 'Z' else zone or ''}")
    except ValueError:
        return None
    return moment.timestamp() + (int(fraction) / 10 ** len(fraction) if fraction else 0.0)
