"""One job of the server. No I/O.

It is small, and out of the garbage collector's sight, because a million may wait.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from genii.gearman.jobs import Function, Peer

__all__ = ["Job", "State"]


class State(IntEnum):
    """Where a job is in its life."""

    COMMITTING = 0
    """Being written to the journal; not yet acknowledged."""
    SCHEDULED = 1
    """Waiting for its time."""
    QUEUED = 2
    RUNNING = 3
    GONE = 4
    """Done, failed, cancelled or abandoned; an entry in a queue may outlive it."""


class Job(msgspec.Struct, gc=False, eq=False):
    """One job. ``unique`` and ``payload`` are as submitted; ``number`` is 0 unless the journal has the job."""

    handle: bytes
    function: Function
    unique: bytes
    payload: bytes
    priority: int
    background: bool
    state: int
    listeners: tuple[Peer, ...] = ()
    worker: Peer | None = None
    number: int = 0
    segment: int = -1
    """Which part of the journal has the job; -1: none has told that it does."""
    retries: int = 0
    progress: tuple[bytes, bytes] | None = None
    """Numerator and denominator of the last WORK_STATUS."""
    reducer: bytes = b""
    when: int = 0
    """Seconds since the epoch before which the job does not run."""
