"""The functions that jobs wait for, and the connections that they belong to. No I/O.

Everything here is mutable and holds no rule of its own: the broker decides.
"""

from __future__ import annotations

from collections import deque
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from genii.gearman.job import Job
    from genii.gearman.link import Link

__all__ = ["MAX_FUNCTION", "Function", "Peer"]

MAX_FUNCTION = 0xFFFF
"""The longest name of a function, in bytes; the journal has two bytes for its length."""
_TIMES = 256


class Function:
    """The jobs of one name: a queue for each priority, and who would serve them."""

    __slots__ = (
        "by_unique", "completed", "dead", "failed", "guarded", "joint", "limits", "name", "queued", "queues", "running",
        "sleepers", "times", "waiting", "workers",
    )  # fmt: skip

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.joint = b"\0%b\0" % name
        """What is between the handle and the rest when a job is assigned."""
        self.queues: tuple[deque[Job], deque[Job], deque[Job]] = (deque(), deque(), deque())
        self.queued = 0
        """Jobs that could run now."""
        self.waiting = 0
        """Jobs that wait for their time or for the journal."""
        self.running = 0
        self.dead = 0
        """Entries of the queues whose job is gone."""
        self.workers = 0
        self.limits: tuple[int, int, int] | None = None
        """How many jobs of each priority may be there before more are refused; 0: any number."""
        self.guarded = len(name) > MAX_FUNCTION
        """Whether a new job is looked at twice: the queue has limits, or the name is too long."""
        self.sleepers: dict[Peer, None] = {}
        """Workers that asked to be woken, in the order in which they fell asleep."""
        self.by_unique: dict[bytes | tuple[bytes, bytes], Job] = {}
        self.completed = 0
        self.failed = 0
        self.times: deque[float] = deque(maxlen=_TIMES)
        """Seconds that the last jobs took, from being given to a worker to being complete."""

    @property
    def total(self) -> int:
        """Count all its jobs, running ones too."""
        return self.queued + self.waiting + self.running

    def append(self, job: Job) -> None:
        """Queue a job behind the others of its priority."""
        job.state = 2
        self.queues[job.priority].append(job)
        self.queued += 1

    def append_left(self, job: Job) -> None:
        """Queue a job before the others of its priority."""
        job.state = 2
        self.queues[job.priority].appendleft(job)
        self.queued += 1

    def take(self, priority: int) -> Job | None:
        """Take the first job of a priority out of its queue."""
        queue = self.queues[priority]
        while queue:
            job = queue.popleft()
            if job.state == 2:
                self.queued -= 1
                return job
            self.dead -= 1
        return None

    def take_first(self) -> Job | None:
        """Take the first job of the highest priority that has one."""
        if self.queued:
            for queue in self.queues:
                while queue:
                    job = queue.popleft()
                    if job.state == 2:
                        self.queued -= 1
                        return job
                    self.dead -= 1
        return None

    def forget(self, job: Job) -> None:
        """Mark a queued job as gone; its entry goes when a worker reaches it, or when too many have gathered."""
        job.state = 4
        self.queued -= 1
        self.dead += 1
        if self.dead > 64 and self.dead > self.queued:
            for queue in self.queues:
                alive = [entry for entry in queue if entry.state == 2]
                queue.clear()
                queue.extend(alive)
            self.dead = 0


class Peer:
    """One connection as the broker sees it: what it can do, what it has, and the bytes that wait to be sent to it."""

    __slots__ = (
        "abilities", "address", "asked", "asleep", "begun", "client_id", "closing", "descriptor", "dirty", "eager",
        "emit", "excepted", "exceptions", "flight", "held", "jobs", "link", "listening", "local", "need", "order",
        "out", "refused_at", "rest", "rest_size", "timed", "woken_at", "woken_for",
    )  # fmt: skip

    def __init__(self, descriptor: int = 0, address: str = "", *, local: bool = False) -> None:
        self.descriptor = descriptor
        self.address = address
        self.local = local
        """Whether it is on this machine, so that it may stop the server."""
        self.client_id = b"-"
        self.exceptions = False
        self.excepted = b""
        """The job that it ended by an exception last. Perl's worker fails it once more, and dies of an error then."""
        self.closing = False
        """To be closed when what waits has been sent."""
        self.link: Link | None = None
        """What carries the bytes; the broker never looks at it."""

        self.rest: list[bytes] = []
        """Received bytes that do not make a whole packet yet."""
        self.rest_size = 0
        self.need = 1

        self.out: list[bytes] = []
        self.held: list[bytes] | None = None
        """Output that must not overtake an acknowledgement that waits for the journal."""
        self.flight: list[bytes] | None = None
        """The same, for the batch that is being written."""
        self.emit: Callable[[bytes], None] = self.out.append
        self.dirty = False

        self.abilities: dict[Function, float] = {}
        """What it can do -> seconds it may take, 0 without limit."""
        self.order: list[Function] = []
        """The same in the order in which they are served."""
        self.jobs: dict[bytes, Job] = {}
        """The jobs it runs, by handle."""
        self.timed = b""
        """The handle of the job whose time is taken: the last one that was its only one. A time for each job that
        waits would cost a million of them 16 MB."""
        self.begun = 0.0
        """When that one was given to it."""
        self.listening: dict[bytes, Job] = {}
        """The foreground jobs whose results it wants, by handle."""
        self.asleep = False
        self.asked = 0
        """The request for a job that is kept waiting, as magic and type; 0: none. Meanwhile it counts as asleep."""
        self.eager = False
        """Whether its next request is kept waiting when there is no job."""
        self.refused_at = -inf
        """When it was told that there is no job."""
        self.woken_for: Function | None = None
        self.woken_at = 0.0
