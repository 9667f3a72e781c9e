"""Learn that somebody set the system's clock: a timer that the kernel cancels then (timerfd_create(2))."""

from __future__ import annotations

import contextlib
import ctypes
import os

__all__ = ["ClockWatch"]

_CLOCK_REALTIME = 0
_ABSTIME_CANCEL_ON_SET = 1 | 2
_FAR = 1 << 40
"""Seconds since the epoch that nobody will see: the timer itself never fires."""


class _Moment(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Timer(ctypes.Structure):
    _fields_ = (("interval", _Moment), ("value", _Moment))


class ClockWatch:
    """A descriptor that becomes readable when the clock is set; then call ``rearm``."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = self._libc.timerfd_create(_CLOCK_REALTIME, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        self._set()

    def _set(self) -> None:
        timer = _Timer(value=_Moment(_FAR, 0))
        if self._libc.timerfd_settime(self._descriptor, _ABSTIME_CANCEL_ON_SET, ctypes.byref(timer), None):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def fileno(self) -> int:
        """Return the descriptor to watch for reading."""
        return int(self._descriptor)

    def rearm(self) -> None:
        """Take note of the change and wait for the next."""
        with contextlib.suppress(OSError):  # ECANCELED is the news itself
            os.read(self._descriptor, 8)
        self._set()

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._descriptor)
