"""The real clock."""

from __future__ import annotations

import time

__all__ = ["SystemClock"]


class SystemClock:
    """Tell the time of the system; see ``genii.clock.Clock``."""

    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)
