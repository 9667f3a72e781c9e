"""What an init system has to know of the supervisor of one configuration. No I/O."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from genii.config.find import SYSTEM_FILE
from genii.supervise.plan import start_order

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from genii.supervise.model import Program, Settings

__all__ = ["SupervisorService", "describe", "stop_seconds"]

_MARGIN = 10.0
"""Seconds for the end of the supervisor itself, and for what KILL takes."""
_OPEN_FILES = 524288
"""The hard limit that systemd gives, and below which programs may be given any."""


@dataclass(frozen=True, slots=True)
class SupervisorService:
    """A supervisor as a service of the system."""

    name: str
    command: tuple[str, ...]
    """What runs genii, without the configuration."""
    config: str
    stop_seconds: float = _MARGIN
    user: str = ""
    """Whom the service is run as; empty: root, whom ``[supervisor] user`` may have it give up by itself."""
    open_files: int = _OPEN_FILES
    """The hard limit; -1: none."""

    @property
    def folder(self) -> str:
        """Return where the configuration is."""
        return self.config.rpartition("/")[0] or "/"

    def words(self, *command: str) -> tuple[str, ...]:
        """Return the command line of a command of genii for this configuration."""
        return (*self.command, "-c", self.config, *command)


def describe(settings: Settings, command: Sequence[str], owner: str) -> SupervisorService:
    """Say what the service of a configuration is; ``owner`` is whose file it is (empty: root's).

    What somebody may change must not be run as root, unless it says itself which of it runs as whom.
    """
    programs = settings.programs
    drops = bool(settings.user) or any(program.user for program in programs.values())
    return SupervisorService(
        name=_name(settings),
        command=tuple(command),
        config=settings.path,
        stop_seconds=stop_seconds(programs) + _MARGIN,
        user="" if drops else owner,
        open_files=_open_files(programs),
    )


def stop_seconds(programs: Mapping[str, Program]) -> float:
    """Return how long it may take to stop all: what depends on a program is stopped before it, the rest at once."""
    until: dict[str, float] = {}
    for name in start_order(programs, programs):
        program = programs[name]
        before = max((until[other] for other in program.depends_on if other in until), default=0.0)
        until[name] = before + program.stop.timeout
    return max(until.values(), default=0.0)


def _name(settings: Settings) -> str:
    """Return the name of the service: the identifier of the supervisor, if it has one, else that of its folder."""
    name = settings.identifier
    if name in ("genii", "supervisor") and settings.path != SYSTEM_FILE:
        name = f"genii-{settings.path.split('/')[-2]}"
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.") or "genii"


def _open_files(programs: Mapping[str, Program]) -> int:
    wanted = [math.inf if hard < 0 else hard for hard in (p.limits.get("nofile", (0, 0))[1] for p in programs.values())]
    most = max(wanted, default=0)
    return -1 if most == math.inf else max(_OPEN_FILES, int(most))
