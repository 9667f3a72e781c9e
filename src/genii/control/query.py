"""The bodies of requests and answers of the control API that are not reports. No I/O."""

from __future__ import annotations

import msgspec

from genii.control.audit import Entry  # noqa: TC001 -- as below
from genii.control.usage import Curve  # noqa: TC001 -- as below
from genii.supervise.origin import Origin  # noqa: TC001 -- as below
from genii.supervise.report import (  # noqa: TC001 -- msgspec reads the annotations when it decodes
    ActionResult,
    Difference,
    Event,
    PoolStatus,
    ProcessDetails,
    ProcessStatus,
    SupervisorStatus,
)

__all__ = [
    "ActionQuery", "AuditEntries", "Change", "Curves", "Details", "Differences", "Events", "InputQuery", "JobQuery",
    "LogLines", "LoginQuery", "Pools", "Readings", "Results", "SessionAnswer", "Snapshot", "Statuses", "UpdateQuery",
    "UpgradeQuery", "Upgrading",
]  # fmt: skip


class ActionQuery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What start, stop, restart, reload, signal and scale are asked."""

    names: tuple[str, ...] = ()
    wait: bool = True
    timeout: float = 0.0
    """Seconds after which the answer is ``timeout``; what was begun goes on. 0: as long as it takes."""
    rolling: bool = False
    signal: int | str = 0
    minimum: int = -1
    maximum: int = -1


class InputQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a process is to read."""

    name: str
    text: str


class UpdateQuery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What an update is asked."""

    dry_run: bool = False


class UpgradeQuery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Which version an upgrade is to execute; None: the one that is found where the running one was."""

    origin: Origin | None = None


class Upgrading(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of an upgrade that is about to be done."""

    version: str
    before: str
    upgrades: int
    """How often it was done before this time."""


class Statuses(msgspec.Struct, frozen=True):
    """The answer of ``GET /api/v1/processes``."""

    processes: list[ProcessStatus]
    pools: list[PoolStatus] = []


class Pools(msgspec.Struct, frozen=True):
    """The answer of ``GET /api/v1/pools``."""

    pools: list[PoolStatus]


class Details(msgspec.Struct, frozen=True):
    """The answer of ``GET /api/v1/processes/NAME``."""

    processes: list[ProcessDetails]


class Results(msgspec.Struct, frozen=True):
    """The answer of an action."""

    results: list[ActionResult]


class Differences(msgspec.Struct, frozen=True):
    """The answer of an update."""

    difference: Difference


class Events(msgspec.Struct, frozen=True):
    """The answer of ``GET /api/v1/events``."""

    events: list[Event]


class LogLines(msgspec.Struct, frozen=True, omit_defaults=True):
    """Some lines of one log, in order."""

    name: str
    stream: str
    """``stdout``, ``stderr``, or ``both`` where they are one file."""
    lines: list[str]
    skipped: int = 0
    """How many bytes were left out before these lines, because more came than anybody could read."""
    place: str = ""
    """Where the next line of this log begins, to be given as ``after`` by who wants to go on there."""


class LoginQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a browser sends to log in."""

    user: str
    password: str


class SessionAnswer(msgspec.Struct, frozen=True):
    """Who a page works for."""

    user: str
    role: str
    """``nobody``, ``reader`` or ``operator``."""
    login: bool
    """Whether one has to log in here."""
    token: str
    """What the page sends as X-Genii-Token with whatever changes something; empty: nothing."""


class Snapshot(msgspec.Struct, frozen=True):
    """The beginning of a live stream."""

    supervisor: SupervisorStatus
    processes: list[ProcessStatus]
    usage: dict[str, tuple[float, int]]
    """By process: percent of one processor, resident bytes."""
    every: float
    """Seconds between two readings of a process."""


class Change(msgspec.Struct, frozen=True):
    """What is different now."""

    processes: list[ProcessStatus]
    removed: list[str]


class Readings(msgspec.Struct, frozen=True):
    """What processes use, those whose figures changed."""

    time: float
    usage: dict[str, tuple[float, int]]


class Curves(msgspec.Struct, frozen=True):
    """The answer of ``GET /api/v1/history``."""

    series: dict[str, Curve]


class AuditEntries(msgspec.Struct, frozen=True):
    """The answer of ``GET /api/v1/audit``."""

    entries: list[Entry]


class JobQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is asked of a job server: ``handle`` of the job to cancel, nothing to drain it."""

    server: str
    handle: str = ""
