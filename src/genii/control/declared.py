"""What is declared, for people to read: programs with their triggers, all settings with secrets masked. No I/O."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec

from genii.supervise.environment import masked

if TYPE_CHECKING:
    from genii.supervise.model import Program, Schedule, Settings

__all__ = ["Configuration", "DeclaredProgram", "DeclaredSchedule", "Programs", "configuration", "declared_programs"]

_RUNS = 3
_MASK = "****"


class DeclaredSchedule(msgspec.Struct, frozen=True):
    """When a program is started by the clock."""

    cron: str
    timezone: str
    overlap: str
    missed: str
    words: str
    """The same in English."""
    next: list[float]
    """The next runs, in seconds since the epoch."""


class DeclaredProgram(msgspec.Struct, frozen=True):
    """A program as it is declared."""

    name: str
    group: str
    """The group it belongs to; empty: none."""
    description: str
    command: tuple[str, ...]
    worker: str
    kind: str
    """``service``, ``schedule``, ``watch`` or ``worker``."""
    autostart: bool
    restart: str
    exit_codes: tuple[int, ...]
    """Those that count as success."""
    minimum: int
    maximum: int
    depends_on: tuple[str, ...]
    schedule: DeclaredSchedule | None
    watches: tuple[str, ...]
    user: str
    directory: str
    stop: str
    stdin: str
    """``pipe`` where it reads what it is sent."""
    recycle: dict[str, float]


class Programs(msgspec.Struct, frozen=True):
    """The answer of ``GET /api/v1/programs``."""

    programs: list[DeclaredProgram]
    job_servers: list[str]


class Configuration(msgspec.Struct, frozen=True):
    """The answer of ``GET /api/v1/configuration``."""

    path: str
    files: list[str]
    settings: dict[str, Any]
    """As it was read: resolved, defaults left out, secrets masked."""


def declared_programs(settings: Settings, now: float) -> list[DeclaredProgram]:
    """Return all programs in the order of the files; ``now`` is the wall time that runs are counted from."""
    return [_declared(program, now) for program in settings.programs.values()]


def _declared(program: Program, now: float) -> DeclaredProgram:
    recycle = program.recycle
    return DeclaredProgram(
        name=program.name,
        group=program.member_of,
        description=program.description,
        command=program.command,
        worker=program.worker,
        kind=_kind(program),
        autostart=program.autostart,
        restart=str(program.restart),
        exit_codes=program.exit_codes,
        minimum=program.processes,
        maximum=max(program.processes, program.processes_max),
        depends_on=program.depends_on,
        schedule=_schedule(program.schedule, now) if program.schedule else None,
        watches=program.watch.paths if program.watch else (),
        user=program.user,
        directory=program.directory,
        stop=f"{program.stop.signal} within {program.stop.timeout:g} s",
        stdin=program.stdin,
        recycle={} if recycle is None else {"jobs": recycle.jobs, "age": recycle.age, "memory": recycle.memory},
    )


def _kind(program: Program) -> str:
    if program.schedule is not None:
        return "schedule"
    if program.watch is not None:
        return "watch"
    return "worker" if program.worker else "service"


def _schedule(schedule: Schedule, now: float) -> DeclaredSchedule:
    from genii.events import cron
    from genii.events.zone import load_zone

    expression = cron.parse(schedule.cron, load_zone(schedule.timezone))
    return DeclaredSchedule(
        cron=schedule.cron,
        timezone=schedule.timezone,
        overlap=schedule.overlap,
        missed=schedule.missed,
        words=expression.explain(),
        next=[run for run in expression.upcoming(now, _RUNS) if math.isfinite(run)],
    )


def configuration(settings: Settings) -> Configuration:
    """Return all settings as plain values, without anything secret."""
    plain = msgspec.to_builtins(settings)
    plain.pop("supervisord", None)  # a declaration of its own, with passwords
    for key in plain.get("http", {}):
        if "password" in key:
            plain["http"][key] = _MASK
    for name, program in plain.get("programs", {}).items():
        declared = settings.programs[name]
        if declared.environment:
            program["environment"] = masked(declared.environment, declared.secret_variables)
    return Configuration(path=settings.path, files=list(settings.files), settings=plain)
