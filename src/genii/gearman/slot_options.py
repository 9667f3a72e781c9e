"""What a slot manager is told, read into programs of the supervisor. No I/O.

The options are those of Gearman::SlotManager (Perl) under the same names, and some more; each class overrides
``global``, which overrides the defaults.
"""

from __future__ import annotations

import difflib
import re
import signal
from typing import TYPE_CHECKING, Any, TypedDict

from genii.errors import UsageError
from genii.supervise.model import Log, Logs, Probe, ProbeKind, Program, Ready, Recycle, Restart, Scaling, Stop
from genii.supervise.scaling import Bounds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["LIFELINE", "SlotOptions", "read_slots", "worker_of"]

LIFELINE = "GENII_LIFELINE"
"""The pid of the manager without which a worker is not to live."""
_SERVER = "127.0.0.1:4730"
_OUTPUT = Logs(stdout=Log(path="-"), stderr=Log(path="-2"))
_READY = Ready(probe=Probe(kind=ProbeKind.NOTIFY))


class SlotOptions(TypedDict, total=False):
    """The options of one class, or of all (``global``)."""

    job_servers: Sequence[str]
    """Where jobs come from; default 127.0.0.1:4730."""
    libs: Sequence[str]
    """Folders to import the class from."""
    min: int
    """Processes that always run; default 1."""
    max: int
    """Processes that run at most; default: ``min``."""
    workleft: int
    """Jobs after which a process is replaced; 0 (default): never."""
    worker: str
    """``module:Class``, where the name in ``slots`` does not say it."""
    warm: bool
    """Whether processes are forked from one that has the class loaded."""
    follow: str
    """``busy`` (default), ``queue`` or ``cpu``: what makes more of them."""
    spare: int
    burst: int
    interval: float
    grace: float
    """Seconds that one must have been idle before it is let go."""
    cooldown: float
    patience: float
    """Seconds that a job may still take when the manager stops, before its process is killed; default 10."""
    environment: Mapping[str, str]
    arguments: Sequence[str]
    """More words for ``genii work``."""


_DEFAULTS: SlotOptions = {"job_servers": (_SERVER,), "libs": (), "min": 1, "workleft": 0}
_TYPES: dict[str, tuple[type, ...]] = {
    "min": (int,), "max": (int,), "workleft": (int,), "spare": (int,), "burst": (int,), "worker": (str,),
    "warm": (bool, int), "follow": (str,), "interval": (int, float), "grace": (int, float), "cooldown": (int, float),
    "patience": (int, float),
}  # fmt: skip


def worker_of(name: str) -> str:
    """Return the ``module:Class`` that the name of a slot stands for.

    ``Thumbs`` is the class of that name in the module of that name, ``shop.workers.Thumbs`` that in ``shop.workers``.
    """
    if ":" in name:
        return name
    module, _, last = name.rpartition(".")
    return f"{module or last}:{last}"


def read_slots(slots: Mapping[str, SlotOptions], python: str, manager: int) -> dict[str, Program]:
    """Return a program for each class of ``slots``, by the name of the class.

    ``python`` is the interpreter, ``manager`` the pid without which the workers are not to live.
    Raises UsageError for options that are unknown or make no sense.
    """
    common: SlotOptions = {**_DEFAULTS, **_checked("global", slots.get("global", {}))}
    programs = {}
    for name, given in slots.items():
        if name != "global":
            options: SlotOptions = {**common, **_checked(name, given)}
            program = _program(name, options, python, manager)
            if program.name in programs:
                raise UsageError(f"slots: there are two classes called {program.name}")
            programs[program.name] = program
    if not programs:
        raise UsageError('slots names no class; write for example slots={"TestWorker": {"min": 2, "max": 5}}')
    return programs


def _checked(name: str, given: SlotOptions) -> SlotOptions:
    for key, value in given.items():
        known = list(SlotOptions.__annotations__)
        if key not in known:
            close = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"
            raise UsageError(f"slots: {name}: there is no option {key!r}; {hint}")
        if key in _TYPES and not isinstance(value, _TYPES[key]):
            raise UsageError(f"slots: {name}: {key} can't be {value!r}")
        if key in ("job_servers", "libs", "arguments") and isinstance(value, str):
            raise UsageError(f"slots: {name}: {key} is a list; write [{value!r}]")
    return given


def _program(name: str, options: SlotOptions, python: str, manager: int) -> Program:
    worker = options.get("worker") or worker_of(name)
    if not re.fullmatch(r"[\w.]+:\w+", worker):
        raise UsageError(f"slots: {name}: write the class as module:Class, such as shop.workers:Thumbs")
    minimum, maximum = options["min"], options.get("max", max(1, options["min"]))
    workleft = options["workleft"]
    if workleft < 0:
        raise UsageError(f"slots: {name}: workleft is {workleft}; it is 0 (never replaced) or more")
    scaling = _scaling(name, options, maximum)
    try:
        Bounds(minimum, maximum, scaling.spare, scaling.burst, scaling.interval, scaling.grace, scaling.cooldown)
    except UsageError as error:
        raise UsageError(f"slots: {name}: {error}") from None
    words = [python, "-m", "genii", "work", worker]
    for server in _servers(options):
        words += ["-s", server]
    for folder in options["libs"]:
        words += ["-I", folder]
    if workleft:
        words += ["--jobs", str(workleft)]
    return Program(
        name=worker.rpartition(":")[2],
        command=(*words, *options.get("arguments", ())),
        worker=worker,
        warm=bool(options.get("warm", False)),
        processes=minimum,
        processes_max=maximum,
        process_name=worker.rpartition(":")[2] + ":{process_num}",
        scaling=scaling,
        startsecs=0.0,
        ready=_READY,
        restart=Restart.ALWAYS,
        recycle=Recycle(jobs=workleft) if workleft else None,
        stop=Stop(signal=int(signal.SIGTERM), timeout=float(options.get("patience", 10.0))),
        environment={**options.get("environment", {}), LIFELINE: str(manager)},
        logs=_OUTPUT,
    )


def _scaling(name: str, options: SlotOptions, maximum: int) -> Scaling:
    follow = options.get("follow", "busy")
    if follow not in ("busy", "queue", "cpu"):
        raise UsageError(f"slots: {name}: follow is {follow!r}; it is 'busy', 'queue' or 'cpu'")
    queue = follow == "queue"
    chosen = {key: value for key, value in options.items() if key in ("spare", "interval", "grace", "cooldown")}
    rules: dict[str, Any] = {"burst": maximum if queue else 1, "follow": follow, **chosen}
    if "burst" in options:
        rules["burst"] = options["burst"]
    return Scaling(servers=tuple(_servers(options)) if queue else (), **rules)


def _servers(options: SlotOptions) -> list[str]:
    """Return the servers; an empty name is the default one, as it is for Perl's."""
    return [server or _SERVER for server in options["job_servers"]] or [_SERVER]
