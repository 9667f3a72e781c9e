"""What a program is: the declaration that the configuration files are read into, and the states of a process. No I/O.

Everything here is resolved: durations in seconds, sizes in bytes, paths absolute, commands split, variables expanded,
users still by name (they are looked up when a process starts, as the user database may change under us).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec

from genii.backoff import Backoff
from genii.supervise.state import Restart, State
from genii.supervise.template import fill

__all__ = [
    "Health",
    "Http",
    "Log",
    "Logs",
    "Probe",
    "ProbeKind",
    "Program",
    "Ready",
    "Recycle",
    "Restart",
    "Scaling",
    "Schedule",
    "Settings",
    "SocketSpec",
    "State",
    "Stop",
    "Watch",
]


class Frozen(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The base of the records here: immutable, compact, and left alone by the garbage collector."""


class Stop(Frozen, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """How a process is asked to end: signal, patience in seconds, then KILL; to its whole group or to it alone."""

    signal: int = 15
    timeout: float = 10.0
    group: bool = True
    kill_group: bool = False
    """Whether KILL goes to the whole group although the signal goes to the process alone."""


class ProbeKind(StrEnum):
    """How a process is asked whether it is well."""

    LINE = "line"
    NOTIFY = "notify"
    TCP = "tcp"
    HTTP = "http"
    COMMAND = "command"


class Probe(Frozen, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One question to a process; ``target`` is a regular expression, an address, a URL or a shell command."""

    kind: ProbeKind
    target: str = ""
    timeout: float = 5.0


class Ready(Frozen, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """When a starting process counts as running: the probe says yes within ``timeout`` seconds."""

    probe: Probe
    timeout: float = 30.0
    interval: float = 0.1


class Health(Frozen, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """When a running process counts as sick: ``failures`` probes in a row said no; it is then restarted."""

    probe: Probe
    interval: float = 10.0
    failures: int = 3


class Log(Frozen, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Where one output stream goes, and how its file is rotated.

    ``path`` is absolute; ``""`` discards; ``"-"`` is genii's own standard output (2 for stderr: ``"-2"``).
    ``size`` 0 never rotates by size, ``every`` 0 never by time (seconds, aligned to local midnight).
    """

    path: str
    size: int = 50 << 20
    backups: int = 10
    every: float = 0.0
    compress: bool = False


class Logs(Frozen, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The two output streams; ``stderr`` None: it goes where stdout goes, through the same pipe and in order."""

    stdout: Log
    stderr: Log | None = None


class SocketSpec(Frozen, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A listening socket that genii binds once and passes on; ``url`` is ``tcp://host:port`` or ``unix:///path``."""

    name: str
    url: str
    backlog: int = 2048
    mode: int = 0o600
    user: str = ""
    group: str = ""


class Schedule(Frozen, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """When a program is started by the clock; ``cron`` may have a seconds field."""

    cron: str
    timezone: str = ""
    overlap: Literal["skip", "queue", "allow"] = "skip"
    jitter: float = 0.0
    missed: Literal["skip", "run"] = "skip"


class Watch(Frozen, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Which file changes start (or restart) a program; paths absolute, patterns as ``genii.events.watch`` has them."""

    paths: tuple[str, ...]
    ignore: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    debounce: float = 0.2


class Recycle(Frozen, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """When a running process is replaced although it is well; 0: never for this reason."""

    jobs: int = 0
    age: float = 0.0
    memory: int = 0


class Scaling(Frozen, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """How the number of processes moves between its bounds; see ``genii.supervise.scaling`` for the rules."""

    follow: Literal["busy", "queue", "cpu"] = "busy"
    """What makes more of them: that all say they are busy; also what waits in the job servers' queues; or that all
    use the processor."""
    spare: int = 1
    burst: int = 1
    interval: float = 0.0
    grace: float = 10.0
    cooldown: float = 1.0
    cpu: float = 0.8
    """The part of one processor above which a process counts as busy."""
    servers: tuple[str, ...] = ()
    """The job servers whose queues are looked at."""


class Program(Frozen, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One program: a command plus the five answers (trigger, number, health, end, resources)."""

    name: str
    command: tuple[str, ...]
    """The words to execute; a command that needs a shell is ``("/bin/sh", "-c", text)``."""
    worker: str = ""
    """``module:Class`` when the program is a slot of job workers; ``command`` then runs the worker."""
    libs: tuple[str, ...] = ()
    warm: bool = False
    """Whether its workers are forked from a process that has the class loaded already."""
    description: str = ""

    autostart: bool = True
    schedule: Schedule | None = None
    watch: Watch | None = None
    depends_on: tuple[str, ...] = ()
    priority: int = 999

    processes: int = 1
    """How many run from the start: the lower bound where ``processes_max`` is above it."""
    processes_max: int = 1
    scaling: Scaling = Scaling()
    process_name: str = ""
    """Template of its processes' names (``{process_num}``, ``{process_num:02}``); empty: its name, or ``name:N``."""

    startsecs: float = 1.0
    ready: Ready | None = None
    health: Health | None = None
    check: tuple[str, ...] = ()
    check_timeout: float = 60.0

    restart: Restart = Restart.ON_FAILURE
    exit_codes: tuple[int, ...] = (0,)
    """The exit codes that count as success."""
    early_exit_fails: bool = False
    """Whether any end before ``startsecs``, even a success or a missing command, is a start that is tried again, as it
    is for supervisord."""
    retries: int = 10
    backoff: Backoff = Backoff()
    stop: Stop = Stop()
    reload_signal: int = 1
    """What ``genii reload`` sends; 0: reload restarts the program."""
    recycle: Recycle | None = None
    orphans: Literal["adopt", "stop", "ignore"] = "adopt"

    user: str = ""
    group: str = ""
    groups: tuple[str, ...] | None = None
    """Supplementary groups; None: those that the user database gives the user."""
    directory: str = ""
    umask: int = -1
    environment: dict[str, str] = {}
    """The variables to set; with ``clear_environment`` the only ones."""
    clear_environment: bool = False
    secret_variables: tuple[str, ...] = ()
    """Names of variables whose values are masked wherever they are shown."""
    limits: dict[str, tuple[int, int]] = {}
    """Resource limits by their short name (``nofile``): soft and hard, -1 for unlimited."""
    nice: int = 0
    oom_score: int | None = None
    sockets: tuple[SocketSpec, ...] = ()
    stdin: Literal["null", "pipe", "socket"] = "null"
    """What it reads: nothing, a pipe that others write to, or its first listening socket (FastCGI)."""
    logs: Logs = Logs(stdout=Log(path=""))
    member_of: str = ""
    """The group of programs that it belongs to, under whose name it can be steered with the others."""

    def name_of(self, number: int) -> str:
        """Return the name of its process of a number, counted from 0."""
        return self.process_names(number + 1)[number]

    def process_names(self, count: int | None = None) -> list[str]:
        """Return the names of its first ``count`` processes (default: ``processes``)."""
        count = self.processes if count is None else count
        if self.process_name:
            return [fill(self.process_name, {"process_num": number}) for number in range(count)]
        if self.processes_max == 1 and self.processes == 1:
            return [self.name, *(f"{self.name}:{number}" for number in range(1, count))][:count]
        return [f"{self.name}:{number}" for number in range(count)]


class Http(Frozen, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Where the control API is served over TCP, and to whom; without ``listen`` only the unix socket is."""

    listen: str = ""
    username: str = ""
    password: str = ""
    """``scrypt$…`` or ``{SHA}…`` hash, or plain text (discouraged)."""
    readonly_username: str = ""
    readonly_password: str = ""
    tls_certificate: str = ""
    tls_key: str = ""
    metrics_public: bool = False


class Settings(Frozen, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """All that one configuration says about the supervisor: its own settings and its programs."""

    path: str = ""
    """The file it was read from."""
    files: tuple[str, ...] = ()
    """All files that were read, includes too."""
    state_dir: str = ".genii"
    log_dir: str = ""
    """Where logs go that have no path of their own; empty: ``state_dir/log``."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log: Log | None = None
    """The supervisor's own log; None: standard error in the foreground, ``log_dir/genii.log`` as a daemon."""
    umask: int = 0o022
    user: str = ""
    identifier: str = "genii"
    socket_mode: int = 0o600
    socket_owner: str = ""
    http: Http = Http()
    job_servers: tuple[str, ...] = ()
    """Addresses of the job servers that ``[jobs]`` names."""
    supervisord: str = ""
    """What only a file in supervisord's language says, as JSON of ``genii.config.ini.declaration``; else empty."""
    programs: dict[str, Program] = {}
