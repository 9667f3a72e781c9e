"""The reports of a supervisor as a client gets them: JSON objects, with their keys typed. No I/O.

They mirror ``genii.supervise.report`` key by key (a test holds it). The command line reads plain JSON because msgspec
takes longer to import than a whole ``genii status`` may last; this module is imported for its types only.
"""

from __future__ import annotations

from typing import NotRequired, TypedDict

__all__ = [
    "DetailsRow",
    "DifferenceRow",
    "EventRow",
    "FunctionRow",
    "LogRow",
    "Overview",
    "PoolRow",
    "ProgramRow",
    "QueuedJobRow",
    "ResultRow",
    "ScheduleRow",
    "ServerRow",
    "StatusRow",
    "SupervisorRow",
    "UpgradingRow",
]


class StatusRow(TypedDict):
    """``ProcessStatus``."""

    name: str
    program: str
    state: str
    wanted: bool
    pid: int
    since: float
    started: float
    restarts: int
    ready: bool
    healthy: bool | None
    exit_status: int | None
    reason: str
    adopted: bool
    trigger: str
    next_run: float
    next_attempt: float
    busy: bool | None
    note: str
    busy_since: float
    job: str
    jobs_left: int | None
    jobs_done: int | None
    memory: int
    paused: bool
    leaving: bool


class PoolRow(TypedDict):
    """``PoolStatus``."""

    program: str
    minimum: int
    maximum: int
    slots: int
    busy: int
    starting: int
    leaving: int
    waiting: int
    paused: bool


class ScheduleRow(TypedDict):
    """``DeclaredSchedule``."""

    cron: str
    timezone: str
    overlap: str
    missed: str
    words: str
    next: list[float]


class ProgramRow(TypedDict):
    """``DeclaredProgram``."""

    name: str
    group: str
    description: str
    command: list[str]
    worker: str
    kind: str
    autostart: bool
    restart: str
    exit_codes: list[int]
    minimum: int
    maximum: int
    depends_on: list[str]
    schedule: ScheduleRow | None
    watches: list[str]
    user: str
    directory: str
    stop: str
    stdin: str
    recycle: dict[str, float]


class FunctionRow(TypedDict):
    """``QueuedFunction``."""

    name: str
    waiting: int
    running: int
    workers: int
    high: int
    normal: int
    low: int
    completed: int | None
    failed: int | None
    median: float | None
    late: float | None


class ServerRow(TypedDict):
    """``JobServer``; its workers are not looked at here."""

    address: str
    version: str
    error: str
    functions: list[FunctionRow]
    workers: list[dict[str, object]]


class QueuedJobRow(TypedDict):
    """``QueuedJob``."""

    handle: str
    state: str
    priority: str
    retries: int
    background: bool
    unique: str
    size: int
    payload: str


class Overview(TypedDict):
    """``Statuses``."""

    processes: list[StatusRow]
    pools: list[PoolRow]


class DetailsRow(TypedDict):
    """``ProcessDetails``."""

    status: StatusRow
    command: list[str]
    directory: str
    user: str
    environment: dict[str, str]
    limits: dict[str, list[int]]
    declared_limits: dict[str, list[int]]
    memory: int
    cpu: float
    threads: int
    files: int
    depends_on: list[str]
    sockets: dict[str, str]
    stdout: str
    stderr: str
    lost_bytes: int


class SupervisorRow(TypedDict):
    """``SupervisorStatus``."""

    pid: int
    version: str
    started: float
    config: str
    state: str
    keeper_pid: int
    programs: int
    processes: int
    upgrades: int
    upgrade_failure: str


class UpgradingRow(TypedDict):
    """``Upgrading``."""

    version: str
    before: str
    upgrades: int


class ResultRow(TypedDict):
    """``ActionResult``."""

    name: str
    ok: bool
    code: str
    message: str
    output: str


class EventRow(TypedDict):
    """``Event``."""

    serial: int
    time: float
    kind: str
    name: str
    data: dict[str, str | int | float | bool | None]


class DifferenceRow(TypedDict):
    """``Difference``."""

    added: list[str]
    removed: list[str]
    changed: dict[str, list[str]]
    adjusted: dict[str, list[str]]
    settings: list[str]


class LogRow(TypedDict):
    """``LogLines``."""

    name: str
    stream: str
    lines: list[str]
    skipped: NotRequired[int]
    place: NotRequired[str]
