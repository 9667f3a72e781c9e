"""What one may choose of a job server, and what it counts. No I/O."""

from __future__ import annotations

import msgspec

from genii.gearman.protocol import MAX_BODY

__all__ = ["Settings", "Statistics"]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What one may choose of a job server; the defaults are gearmand's but for ``wakeup`` and ``max_body``."""

    prefix: bytes = b"H:localhost"
    """How job handles begin."""
    attempts: int = 0
    """How often a job is given to a worker that vanishes or takes too long, before it fails; 0: without end."""
    round_robin: bool = False
    """Whether a worker is served its functions in turn instead of in the order of their registration."""
    wakeup: int = 1
    """How many sleeping workers are woken for a job; 0: all."""
    linger: float = 0.0
    """Seconds for which a worker that asks for a job when there is none is kept waiting for the next one, if the last
    time that it was sent to sleep it was called again as soon; 0: no time at all."""
    exceptions: bool = False
    """Whether every client gets exceptions, not only those that asked for them."""
    max_body: int = MAX_BODY
    durable: bool = False
    """Whether background jobs are written to a journal before they are acknowledged."""
    version: str = "1.1"
    verbosity: str = "ERROR"
    pid: int = 0
    """What the text commands tell of the server."""


class Statistics(msgspec.Struct, frozen=True):
    """Counts since the start, and of now."""

    submitted: int
    completed: int
    failed: int
    requeued: int
    refused: int
    queued: int
    waiting: int
    running: int
    connections: int
    workers: int
    functions: int
