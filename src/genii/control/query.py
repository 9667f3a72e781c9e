"""The bodies of requests and answers of the control API that are not reports. No I/O."""

from __future__ import annotations

import msgspec

from genii.supervise.handover import Origin  # noqa: TC001 -- as below
from genii.supervise.report import (  # noqa: TC001 -- msgspec reads the annotations when it decodes
    ActionResult,
    Difference,
    Event,
    PoolStatus,
    ProcessDetails,
    ProcessStatus,
)

__all__ = [
    "ActionQuery",
    "Details",
    "Differences",
    "Events",
    "LogLines",
    "Results",
    "Statuses",
    "UpdateQuery",
    "UpgradeQuery",
    "Upgrading",
]


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


class LogLines(msgspec.Struct, frozen=True):
    """Some lines of one log, in order."""

    name: str
    stream: str
    """``stdout``, ``stderr``, or ``both`` where they are one file."""
    lines: list[str]
