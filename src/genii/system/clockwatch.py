"""Learn that the system's wall clock was set (timerfd_create(2), TFD_TIMER_CANCEL_ON_SET), without polling."""

from __future__ import annotations

import errno
import os

__all__ = ["ClockWatch"]

_CLOCK_REALTIME = 0
_NONBLOCK_CLOEXEC = os.O_NONBLOCK | os.O_CLOEXEC
_ABSOLUTE_CANCEL_ON_SET = 1 | 2
_NEVER = 1 << 33
"""In the year 2242."""


class ClockWatch:
    """A descriptor that is readable after the clock was set, or the machine slept."""

    def __init__(self) -> None:
        import ctypes

        self._ctypes = ctypes
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = self._libc.timerfd_create(_CLOCK_REALTIME, _NONBLOCK_CLOEXEC)
        if self._descriptor < 0:
            raise self._error("timerfd_create")
        self._arm()

    def fileno(self) -> int:
        """Return the descriptor."""
        return int(self._descriptor)

    def was_set(self) -> bool:
        """Say whether the clock was set since the last call."""
        try:
            os.read(self._descriptor, 8)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno != errno.ECANCELED:
                raise
        self._arm()
        return True

    def close(self) -> None:
        """Watch no more."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _arm(self) -> None:
        # struct itimerspec: interval and value, each in seconds and nanoseconds
        setting = (self._ctypes.c_long * 4)(0, 0, _NEVER, 0)
        if self._libc.timerfd_settime(self._descriptor, _ABSOLUTE_CANCEL_ON_SET, setting, None) != 0:
            raise self._error("timerfd_settime")

    def _error(self, what: str) -> OSError:
        number = self._ctypes.get_errno()
        return OSError(number, os.strerror(number), what)
