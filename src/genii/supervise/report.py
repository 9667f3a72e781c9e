"""What a supervisor tells about its programs: status records, results of requests, events, differences. No I/O.

These records are what the API sends as JSON and what the command line prints. Times are seconds since the epoch.
"""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["ActionResult", "Difference", "Event", "PoolStatus", "ProcessDetails", "ProcessStatus", "SupervisorStatus"]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The base of the records here."""


class ProcessStatus(Report, frozen=True, kw_only=True):
    """The state of one process, as one row of ``genii status``."""

    name: str
    """Of the process: the program's name, or ``program:N``."""
    program: str
    state: str
    """A name of ``genii.supervise.model.State``."""
    wanted: bool
    """Whether genii means it to run."""
    pid: int = 0
    since: float = 0.0
    """When it entered its state."""
    started: float = 0.0
    """When the process behind it was started; 0: there is none, or never was one."""
    restarts: int = 0
    """How often it was started again without being asked."""
    ready: bool = False
    healthy: bool | None = None
    """What the health probe said last; None: there is no probe or no answer yet."""
    exit_status: int | None = None
    """How its last process ended: exit code, or -N for signal N."""
    reason: str = ""
    """Why it is in this state, for people: what it waits for, why it failed."""
    adopted: bool = False
    """Whether the process was taken over from an earlier supervisor (its exit code can't be known)."""
    trigger: str = ""
    """What starts it when not start-up: ``cron */5 * * * *``, ``watch assets``."""
    next_run: float = 0.0
    """When its schedule starts it next; 0: it has none."""
    next_attempt: float = 0.0
    """When it is started again after a back-off."""
    busy: bool | None = None
    """Whether a worker said that it is at work; None: it never said."""
    note: str = ""
    """What the process says of itself (``STATUS=`` of sd_notify)."""
    busy_since: float = 0.0
    """When it became busy or idle; 0: it never said."""
    job: str = ""
    """What a busy worker does."""
    jobs_left: int | None = None
    """How many jobs a worker will still take before it is replaced; None: any number."""
    jobs_done: int | None = None
    """How many it has done; None: not known."""
    memory: int = 0
    """Resident bytes of a worker."""
    paused: bool = False
    """Whether a worker takes no jobs for now."""
    leaving: bool = False
    """Whether it ends when it has done what it does, and its slot goes with it."""


class ProcessDetails(Report, frozen=True, kw_only=True):
    """All about one process, for ``genii status NAME``."""

    status: ProcessStatus
    command: tuple[str, ...]
    directory: str
    user: str
    environment: dict[str, str]
    """What genii sets, secrets masked."""
    limits: dict[str, tuple[int, int]]
    """The limits in force, read from the kernel, soft and hard; -1: unlimited; empty: it does not run."""
    declared_limits: dict[str, tuple[int, int]]
    """Those of the configuration, which reach it at its next start."""
    memory: int = 0
    """Resident bytes."""
    cpu: float = 0.0
    """Seconds of processor time used."""
    threads: int = 0
    files: int = 0
    """Open descriptors."""
    depends_on: tuple[str, ...] = ()
    sockets: dict[str, str] = {}
    stdout: str = ""
    """Path of its log; empty: discarded."""
    stderr: str = ""
    lost_bytes: int = 0
    """Output thrown away because no log could be written (full disk)."""


class PoolStatus(Report, frozen=True, kw_only=True):
    """The slots of a program whose number of processes follows its load, or that is a worker."""

    program: str
    minimum: int
    maximum: int
    slots: int
    """Processes that run."""
    busy: int
    """Those of them that are at work."""
    starting: int = 0
    leaving: int = 0
    waiting: int = 0
    """Jobs that nobody has taken, where the program follows its queue and all are busy."""
    paused: bool = False


class SupervisorStatus(Report, frozen=True, kw_only=True):
    """The supervisor itself."""

    pid: int
    version: str
    started: float
    config: str
    state: Literal["starting", "running", "stopping"]
    """Of the supervisor, not of its programs."""
    keeper_pid: int = 0
    programs: int = 0
    processes: int = 0
    upgrades: int = 0
    """How often this process was replaced by another version of itself (``genii upgrade``)."""
    upgrade_failure: str = ""
    """Why the last attempt to do so failed after it had begun."""


class ActionResult(Report, frozen=True, kw_only=True):
    """What became of a request for one process."""

    name: str
    ok: bool
    code: str = "done"
    """``done``, ``already``, or the code of an error (``check-failed``, ``timeout``, …)"""
    message: str = ""
    output: str = ""
    """What the program's own check printed."""


class Event(Report, frozen=True, kw_only=True):
    """Something that happened; ``serial`` grows by one with each event of a supervisor."""

    serial: int
    time: float
    kind: str
    """``process.state``, ``process.output``…, ``program.added``, ``supervisor.stopping``; see docs/events.md."""
    name: str = ""
    """Of the process or program it is about."""
    data: dict[str, str | int | float | bool | None] = {}


class Difference(Report, frozen=True, kw_only=True):
    """What an update does or would do: programs by name, with the keys that changed."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: dict[str, tuple[str, ...]] = {}
    """Name -> keys; its processes are restarted."""
    adjusted: dict[str, tuple[str, ...]] = {}
    """Name -> keys that take effect without a restart (or at the next one)."""
    settings: tuple[str, ...] = ()
    """Changed keys of the supervisor itself that take effect at its next start."""

    @property
    def empty(self) -> bool:
        """Say whether nothing changed."""
        return not (self.added or self.removed or self.changed or self.adjusted or self.settings)
