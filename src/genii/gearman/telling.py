"""A worker tells whoever started it what it is doing: messages for what matters at once, a worksheet for the rest.

The messages are those of sd_notify(3), to the socket that ``NOTIFY_SOCKET`` names, so that a worker in any language
can send them: ``BUSY=1`` and ``BUSY=0``, with ``JOB=`` (what it does) and ``JOBS_LEFT=`` (how many jobs it will take
after this one). Between two jobs that follow each other at once nothing is said: such a worker has not been idle.
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress

from genii.system.worksheet import Worksheet

__all__ = ["LINGER", "Teller", "make_teller"]

LINGER = 0.05
"""Seconds without a job after which a worker calls itself idle."""


class Teller:
    """What one worker tells; ``max_jobs`` 0: it takes any number."""

    def __init__(self, address: str, max_jobs: int) -> None:
        self._address = "\0" + address[1:] if address[:1] == "@" else address
        self._max_jobs = max_jobs
        self._sheet = Worksheet()
        self._sheet.write(busy=False, done=0, left=max_jobs or None, job=b"")
        self._socket: socket.socket | None = None
        self._done = 0
        self._told_busy = False
        self._note = ""
        self.deadline: float | None = None
        """When ``settle`` is to be called, in monotonic seconds; None: there is nothing to tell."""

    def begin(self, job: bytes) -> None:
        """Take note that a job begins."""
        left = self._max_jobs - self._done - 1 if self._max_jobs else None
        self._sheet.write(busy=True, done=self._done, left=left, job=job)
        self.deadline = None
        if not self._told_busy or left == 0:
            rest = "" if left is None else f"\nJOBS_LEFT={left}"
            self._told_busy = self.say(f"BUSY=1\nJOB={job.decode(errors='replace')}{rest}")

    def end(self, job: bytes) -> None:
        """Take note that a job has ended; the next one may follow at once."""
        self._done += 1
        left = max(0, self._max_jobs - self._done) if self._max_jobs else None
        self._sheet.write(busy=False, done=self._done, left=left, job=job)
        self.deadline = time.monotonic() + LINGER

    def settle(self) -> None:
        """Tell that it is idle, if it still is when it is time to."""
        if self.deadline is not None and time.monotonic() >= self.deadline:
            # Who can't be told now (its buffer is full) is told a little later.
            self.deadline = None if self.say("BUSY=0") else time.monotonic() + LINGER
            self._told_busy = self.deadline is not None

    def note(self, text: str) -> None:
        """Have people read this about the worker; empty: nothing in particular."""
        if text != self._note and self.say(f"STATUS={text}"):
            self._note = text

    def say(self, message: str) -> bool:
        """Send a message; never blocks. Say whether it was sent, or nobody is there to hear it."""
        for _ in range(2):
            try:
                if self._socket is None:
                    self._socket = _connect(self._address)
                self._socket.send(message.encode())
                return True
            except BlockingIOError:
                return False
            except OSError:
                self._drop()  # the listener is another one now, or will be
        return True

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def close(self) -> None:
        """Say nothing more, and take the worksheet away."""
        self._drop()
        self._sheet.close()


def _connect(address: str) -> socket.socket:
    sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        sender.connect(address)
    except OSError:
        sender.close()
        raise
    return sender


def make_teller(max_jobs: int) -> Teller | None:
    """Return the teller of this process; None: nobody started it who would listen."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return None
    with suppress(OSError):  # no memfd: then nothing is told
        return Teller(address, max_jobs)
    return None
