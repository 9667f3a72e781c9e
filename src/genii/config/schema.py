"""The raw shape of genii.toml: its tables and keys, their types and what each is for. No I/O.

These records say what may be written; ``resolve`` turns them into the model. The descriptions reach editors through the
JSON Schema and readers through docs/configuration.md. A key that is absent is ``UNSET``; there is no null in TOML.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

__all__ = [
    "ROOT_TABLES",
    "BackoffTable",
    "DeployHealthTable",
    "DeployTable",
    "File",
    "FleetTable",
    "GroupTable",
    "HealthTable",
    "HookTable",
    "HostTable",
    "HttpTable",
    "InstallTable",
    "LimitTable",
    "LogTable",
    "LogsTable",
    "ProcessesTable",
    "ProgramTable",
    "ReadyTable",
    "RecycleTable",
    "ScalingTable",
    "ScheduleTable",
    "SocketTable",
    "StopTable",
    "SupervisorTable",
    "TlsTable",
    "WatchTable",
]

ROOT_TABLES = ("supervisor", "http", "jobs", "fleet", "hosts", "groups", "deploy")
"""The tables that only the main file may have."""


def _text(pattern: str) -> Meta:
    # The pattern guides editors only: genii parses the text itself and says more than "does not match".
    return Meta(extra_json_schema={"pattern": rf"{pattern}|\$\{{"})


def _key(description: str, default: Any = None, example: Any = None, *, otherwise: str = "") -> Meta:
    # ``otherwise`` is a default that is no literal value: for readers, not for an editor to insert.
    extra = {} if default is None else {"default": default}
    if otherwise:
        extra["x-default"] = otherwise
    return Meta(description=description, examples=None if example is None else [example], extra_json_schema=extra)


Seconds = Annotated[float, Meta(ge=0)]
Duration = Seconds | Annotated[str, _text(r"^\s*\d+(\.\d+)?\s*([a-zA-Z]+\s*(\d+(\.\d+)?\s*[a-zA-Z]+\s*)*)?$")]
Natural = Annotated[int, Meta(ge=0, le=1_000_000_000)]
Bytes = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Size = Bytes | Annotated[str, _text(r"^\s*\d+(\.\d+)?\s*[kmgtKMGT]?([iI]?[bB])?\s*$")]
Mode = Annotated[str, _text(r"^0?[0-7]{1,4}$")]
Signal = Annotated[int, Meta(ge=1, le=64)] | str
Count = Annotated[int, Meta(ge=1, le=1_000_000_000)]
Words = str | list[str]
Limit = Annotated[int, Meta(ge=-1, le=2**63 - 1)] | str
TcpQuestion = Annotated[
    Annotated[int, Meta(ge=1, le=65535)] | str | UnsetType,
    _key("This port (of 127.0.0.1) or `host:port` accepts a connection.", example="127.0.0.1:8000"),
]
HttpQuestion = Annotated[
    str | UnsetType,
    _key("This http:// URL answers with a status below 400.", example="http://127.0.0.1:8000/health"),
]


class Table(Struct, kw_only=True, forbid_unknown_fields=True, gc=False):
    """The base of all tables of the file: keys that are not named here are errors."""


class StopTable(Table, kw_only=True, forbid_unknown_fields=True, gc=False):
    """How a process is asked to end."""

    signal: Annotated[Signal | UnsetType, _key("The signal that asks it to end.", "TERM", "INT")] = UNSET
    timeout: Annotated[Duration | UnsetType, _key("How long it may take before it is killed.", "10s")] = UNSET
    group: Annotated[bool | UnsetType, _key("Signal its whole process group, not only itself.", default=True)] = UNSET


class ReadyTable(Table, kw_only=True, forbid_unknown_fields=True, gc=False):
    """How a starting process shows that it is ready; exactly one of the questions `alive` to `command`."""

    alive: Annotated[Duration | UnsetType, _key("It lived for this long (the same as `startsecs`).", example="5s")] = (
        UNSET
    )
    line: Annotated[
        str | UnsetType, _key("It wrote a line that this regular expression finds.", example="^listening on")
    ] = UNSET
    notify: Annotated[bool | UnsetType, _key("It sent `READY=1` to `$NOTIFY_SOCKET`, as for systemd.")] = UNSET
    tcp: TcpQuestion = UNSET
    http: HttpQuestion = UNSET
    command: Annotated[Words | UnsetType, _key("This command exits with 0.", example="pg_isready -q")] = UNSET
    timeout: Annotated[Duration | UnsetType, _key("How long it has to become ready.", "30s")] = UNSET
    interval: Annotated[Duration | UnsetType, _key("How often it is asked.", "100ms")] = UNSET


class HealthTable(Table, kw_only=True, forbid_unknown_fields=True, gc=False):
    """How a running process is asked whether it is well; exactly one of the questions `tcp`, `http` and `command`."""

    tcp: TcpQuestion = UNSET
    http: HttpQuestion = UNSET
    command: Annotated[Words | UnsetType, _key("This command exits with 0.", example="redis-cli ping")] = UNSET
    timeout: Annotated[Duration | UnsetType, _key("How long one answer may take.", "5s")] = UNSET
    interval: Annotated[Duration | UnsetType, _key("How often it is asked.", "10s")] = UNSET
    failures: Annotated[Count | UnsetType, _key("After how many bad answers in a row it is restarted.", 3)] = UNSET


class BackoffTable(Table, kw_only=True, forbid_unknown_fields=True, gc=False):
    """How long to wait before a process that failed is started again."""

    initial: Annotated[Duration | UnsetType, _key("The wait before the first new attempt.", "100ms")] = UNSET
    factor: Annotated[
        Annotated[float, Meta(ge=1)] | UnsetType, _key("By how much each wait is longer than the one before.", 2)
    ] = UNSET
    cap: Annotated[Duration | UnsetType, _key("The longest wait.", "1m")] = UNSET
    jitter: Annotated[
        Annotated[float, Meta(ge=0, le=1)] | UnsetType, _key("The part of each wait that is random.", 0.1)
    ] = UNSET


class ProcessesTable(Table, kw_only=True, forbid_unknown_fields=True, gc=False):
    """An elastic number of processes, driven by how many are busy."""

    min: Annotated[Count | UnsetType, _key("How many run always.", 1)] = UNSET
    max: Annotated[Count, _key("How many run at most.", example=5)]


class ScalingTable(Table, kw_only=True, forbid_unknown_fields=True, gc=False):
    """How an elastic number of processes follows the load."""

    follow: Annotated[
        Literal["busy", "queue", "cpu"] | UnsetType,
        _key("What makes more: all are busy; also what waits in the job servers (workers); all use the processor.",
             default="busy"),
    ] = UNSET  # fmt: skip
    spare: Annotated[Count | UnsetType, _key("How many idle ones are kept while others are busy.", 1)] = UNSET
    burst: Annotated[
        Count | UnsetType, _key("How many may be started at once.", otherwise="1; the maximum where it follows a queue")
    ] = UNSET
    interval: Annotated[Duration | UnsetType, _key("Between two starts beyond the minimum.", 0)] = UNSET
    grace: Annotated[Duration | UnsetType, _key("How long one must have been idle before it is let go.", "10s")] = UNSET
    cooldown: Annotated[Duration | UnsetType, _key("Between a start or an end and the next end.", "1s")] = UNSET
    cpu: Annotated[
        Annotated[float, Meta(gt=0, le=1000)] | UnsetType,
        _key('The part of a processor above which a process counts as busy, for `follow = "cpu"`.', 0.8),
    ] = UNSET


class ScheduleTable(Table, kw_only=True, forbid_unknown_fields=True, gc=False):
    """When the clock starts a program."""

    cron: Annotated[
        str,
        _key(
            "Five cron fields, or six with seconds first; or `@daily` and the like, `06:30`, `5 minutes`.",
            example="*/5 * * * *",
        ),
    ]
    timezone: Annotated[
        str | UnsetType, _key("The time zone of the fields.", example="Europe/Berlin", otherwise="local time")
    ] = UNSET
    overlap: Annotated[
        Literal["skip", "queue", "allow"] | UnsetType, _key("What happens when the last run still goes on.", "skip")
    ] = UNSET
    jitter: Annotated[Duration | UnsetType, _key("Start up to this much later, at random.", 0)] = UNSET
    missed: Annotated[
        Literal["skip", "run"] | UnsetType,
        _key("Whether a run that was missed while genii was down is made up.", "skip"),
    ] = UNSET


class WatchTable(Table, kw_only=True, forbid_unknown_fields=True, gc=False):
    """Which file changes start a program, or restart it when it runs."""

    paths: Annotated[list[str], _key("Files and directories (recursive).", example=["assets"])]
    ignore: Annotated[list[str] | UnsetType, _key("Patterns of names that do not count.", example=["*.tmp"])] = UNSET
    only: Annotated[list[str] | UnsetType, _key("Patterns of the only names that count.", example=["*.py"])] = UNSET
    debounce: Annotated[Duration | UnsetType, _key("How long it must be quiet after a change.", "200ms")] = UNSET


class RecycleTable(Table, kw_only=True, forbid_unknown_fields=True, gc=False):
    """When a process is replaced although it is well; 0 is never."""

    jobs: Annotated[Natural | UnsetType, _key("After this many jobs or requests (of a worker).", 0, 1000)] = UNSET
    age: Annotated[Duration | UnsetType, _key("At this age.", 0, "1d")] = UNSET
    memory: Annotated[Size | UnsetType, _key("Above this much memory (RSS).", 0, "400MB")] = UNSET


class LogTable(Table, kw_only=True, forbid_unknown_fields=True, gc=False):
    """Where one output stream goes and how its file is rotated."""

    path: Annotated[str | UnsetType, _key("The file; `-`: genii's own output; `none`: nowhere.")] = UNSET
    size: Annotated[Size | UnsetType, _key("Rotate when the file is this big; 0: never.", "50MB")] = UNSET
    backups: Annotated[Natural | UnsetType, _key("How many old files are kept.", 10)] = UNSET
    every: Annotated[Duration | UnsetType, _key("Rotate this often; 0: never.", 0, "1d")] = UNSET
    compress: Annotated[bool | UnsetType, _key("Compress old files with gzip.", default=False)] = UNSET


class LogsTable(Table, kw_only=True, forbid_unknown_fields=True, gc=False):
    """Where the output goes; `size`, `backups`, `every` and `compress` hold for both streams."""

    stdout: Annotated[
        str | LogTable | UnsetType,
        _key(
            "The file; `-`: genii's own output; `none`: nowhere.",
            example="log/web.log",
            otherwise="LOG_DIR/{process_name}.log",
        ),
    ] = UNSET
    stderr: Annotated[
        str | LogTable | UnsetType, _key("The same for errors; `stdout`: merged into it, in order.", "stdout")
    ] = UNSET
    size: Annotated[Size | UnsetType, _key("Rotate when the file is this big; 0: never.", "50MB")] = UNSET
    backups: Annotated[Natural | UnsetType, _key("How many old files are kept.", 10)] = UNSET
    every: Annotated[Duration | UnsetType, _key("Rotate this often; 0: never.", 0, "1d")] = UNSET
    compress: Annotated[bool | UnsetType, _key("Compress old files with gzip.", default=False)] = UNSET


class SocketTable(Table, kw_only=True, forbid_unknown_fields=True, gc=False):
    """A listening socket that genii binds once and passes to the program."""

    url: Annotated[str, _key("`tcp://host:port` or `unix:///path`.", example="tcp://127.0.0.1:8000")]
    backlog: Annotated[Count | UnsetType, _key("How many connections may wait.", 2048)] = UNSET
    mode: Annotated[Mode | UnsetType, _key("The permissions of a unix socket.", "0600")] = UNSET
    user: Annotated[str | UnsetType, _key("The owner of a unix socket.")] = UNSET
    group: Annotated[str | UnsetType, _key("The group of a unix socket.")] = UNSET


class LimitTable(Table, kw_only=True, forbid_unknown_fields=True, gc=False):
    """A soft limit and the hard limit up to which the program may raise it."""

    soft: Annotated[Limit, _key("The limit that holds.")]
    hard: Annotated[Limit, _key("The limit up to which it may be raised.")]


class ProgramTable(Table, kw_only=True, forbid_unknown_fields=True, gc=False):
    """A program: a command (or a worker class), what triggers it, how many, whether it is well, how it ends."""

    command: Annotated[
        Words | UnsetType,
        _key("What to run. A string is split as a shell does (and run by one where needed); a list is run as it is.",
             example="uvicorn shop:app --port 8000"),
    ] = UNSET  # fmt: skip
    worker: Annotated[
        str | UnsetType,
        _key("Instead of `command`: the worker class to run, `module:Class`.", example="shop.workers:Thumbs"),
    ] = UNSET
    libs: Annotated[list[str] | UnsetType, _key("Directories to import the worker from.", example=["lib"])] = UNSET
    description: Annotated[str | UnsetType, _key("A line for people, shown in the status.")] = UNSET

    autostart: Annotated[bool | UnsetType, _key("Start it when genii starts.", default=True)] = UNSET
    schedule: Annotated[
        str | ScheduleTable | UnsetType,
        _key("Start it by the clock: cron fields, `@daily`, `06:30`, `5 minutes`, or a table.", example="*/5 * * * *"),
    ] = UNSET
    watch: Annotated[
        str | list[str] | WatchTable | UnsetType,
        _key("Start (or restart) it when files change: a path, a list of paths, or a table.", example=["src"]),
    ] = UNSET
    depends_on: Annotated[
        list[str] | UnsetType, _key("Programs that must be ready before it starts.", example=["database"])
    ] = UNSET
    priority: Annotated[
        Annotated[int, Meta(ge=-1_000_000_000, le=1_000_000_000)] | UnsetType,
        _key("Among programs that are free to start, the lowest starts first and stops last.", 999),
    ] = UNSET

    processes: Annotated[
        Count | Annotated[str, _text(r"^\s*\d+\s*$")] | ProcessesTable | UnsetType,
        _key("How many run: a number, or `{ min, max }` for an elastic number.", 1, 4),
    ] = UNSET
    scaling: Annotated[
        ScalingTable | UnsetType,
        _key("How an elastic number follows the load.", example={"follow": "queue", "grace": "30s"}),
    ] = UNSET
    warm: Annotated[
        bool | UnsetType,
        _key("Fork workers from a process that has the class loaded: they start several times faster.", default=False),
    ] = UNSET
    process_name: Annotated[
        str | UnsetType,
        _key(
            "The template of the names of its processes.",
            example="{program}-{process_num:02}",
            otherwise="the program's name, `name:0`… where there are several",
        ),
    ] = UNSET

    startsecs: Annotated[Duration | UnsetType, _key("How long it must live to count as started.", "1s")] = UNSET
    ready: Annotated[ReadyTable | UnsetType, _key("How it shows that it is ready.", example={"tcp": 8000})] = UNSET
    health: Annotated[
        HealthTable | UnsetType,
        _key("How it is asked whether it is still well.", example={"http": "http://127.0.0.1:8000/health"}),
    ] = UNSET
    check: Annotated[
        Words | UnsetType, _key("A command that must succeed before a running program is restarted or reloaded.",
                                example="nginx -t"),
    ] = UNSET  # fmt: skip
    check_timeout: Annotated[Duration | UnsetType, _key("How long the check may take.", "1m")] = UNSET

    restart: Annotated[
        Literal["always", "on-failure", "never"] | UnsetType,
        _key("When it is started again after it ended by itself; scheduled programs: `never`.", "on-failure"),
    ] = UNSET
    exit_codes: Annotated[
        list[Annotated[int, Meta(ge=0, le=255)]] | UnsetType, _key("The exit codes that count as success.", [0])
    ] = UNSET
    retries: Annotated[Natural | UnsetType, _key("After how many failed starts in a row it is given up.", 10)] = UNSET
    backoff: Annotated[BackoffTable | UnsetType, _key("How long to wait before the next attempt.")] = UNSET
    stop: Annotated[
        str | StopTable | UnsetType, _key("How it is asked to end: a signal, or a table.", example="INT")
    ] = UNSET
    reload: Annotated[str | UnsetType, _key("What `genii reload` does: a signal, or `restart`.", "HUP")] = UNSET
    recycle: Annotated[RecycleTable | UnsetType, _key("When it is replaced although it is well.")] = UNSET
    orphans: Annotated[
        Literal["adopt", "stop", "ignore"] | UnsetType,
        _key("What to do with its processes that outlived an earlier genii.", "adopt"),
    ] = UNSET

    user: Annotated[str | UnsetType, _key("The user it runs as: a name or a number (only root may change it).")] = UNSET
    group: Annotated[str | UnsetType, _key("Its group.", otherwise="the user's")] = UNSET
    groups: Annotated[list[str] | UnsetType, _key("Its supplementary groups.", otherwise="the user's")] = UNSET
    directory: Annotated[
        str | UnsetType,
        _key("The directory it starts in.", otherwise="the folder of the main file; `/` for the system file"),
    ] = UNSET
    umask: Annotated[Mode | UnsetType, _key("Its umask, in octal.", example="027", otherwise="the supervisor's")] = (
        UNSET
    )
    environment: Annotated[
        dict[str, str | int | float] | UnsetType, _key("Variables to set.", example={"PORT": "8000"})
    ] = UNSET
    env_file: Annotated[Words | UnsetType, _key("Files of `NAME=value` lines to set.", example=".env")] = UNSET
    clear_environment: Annotated[
        bool | UnsetType, _key("Start from an empty environment, not from genii's own.", default=False)
    ] = UNSET
    secret_variables: Annotated[
        list[str] | UnsetType,
        _key("Variables never to be shown; names with PASSWORD, SECRET, TOKEN, KEY and the like never are.",
             example=["DATABASE_URL"]),
    ] = UNSET  # fmt: skip
    limits: Annotated[
        dict[str, Limit | list[Limit] | LimitTable] | UnsetType,
        _key("Resource limits: `nofile`, `nproc`, `memory`, `core`, `cpu`…; a value, `[soft, hard]` or `unlimited`.",
             example={"nofile": 100000, "memory": "512MB"}),
    ] = UNSET  # fmt: skip
    stdin: Annotated[
        Literal["null", "pipe"] | UnsetType,
        _key("What it reads: nothing, or what `a` in `genii top` and the dashboard's *Send* give it.", "null"),
    ] = UNSET
    nice: Annotated[Annotated[int, Meta(ge=-20, le=19)] | UnsetType, _key("Its nice value.", 0)] = UNSET
    oom_score: Annotated[
        Annotated[int, Meta(ge=-1000, le=1000)] | UnsetType, _key("How readily the kernel kills it for memory.")
    ] = UNSET
    sockets: Annotated[
        dict[str, str | SocketTable] | UnsetType,
        _key(
            "Listening sockets that genii binds once and passes on, by name.", example={"http": "tcp://127.0.0.1:8000"}
        ),
    ] = UNSET
    logs: Annotated[
        str | LogsTable | UnsetType,
        _key("Where its output goes: a file, `-` (genii's own output), `none`, or a table.", example="log/web.log"),
    ] = UNSET


class SupervisorTable(Table, kw_only=True, forbid_unknown_fields=True, gc=False):
    """The supervisor itself."""

    include: Annotated[
        Words | UnsetType, _key("More files with programs; patterns relative to this file.", example=["conf.d/*.toml"])
    ] = UNSET
    identifier: Annotated[str | UnsetType, _key("The name of this supervisor.", "genii")] = UNSET
    state_dir: Annotated[
        str | UnsetType,
        _key("Pid file, control socket and records.", otherwise=".genii; /run/genii for the system file"),
    ] = UNSET
    log_dir: Annotated[
        str | UnsetType,
        _key("Logs that have no path of their own.", otherwise="STATE_DIR/log; /var/log/genii for the system file"),
    ] = UNSET
    log: Annotated[
        str | LogTable | UnsetType,
        _key("The supervisor's own log: a file, `-`, `none`, or a table.", otherwise="LOG_DIR/genii.log as a daemon"),
    ] = UNSET
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"] | UnsetType, _key("How much the supervisor tells.", "info")
    ] = UNSET
    umask: Annotated[Mode | UnsetType, _key("The umask, in octal.", "022")] = UNSET
    user: Annotated[str | UnsetType, _key("The user the supervisor itself becomes (only root may change it).")] = UNSET
    socket_mode: Annotated[Mode | UnsetType, _key("The permissions of the control socket.", "0600")] = UNSET
    socket_owner: Annotated[
        str | UnsetType, _key("The owner of the control socket, `user` or `user:group`.", example="root:adm")
    ] = UNSET


class TlsTable(Table, kw_only=True, forbid_unknown_fields=True, gc=False):
    """The certificate of the control API."""

    certificate: Annotated[str, _key("The certificate chain, a PEM file.")]
    key: Annotated[str, _key("Its private key, a PEM file.")]


class HttpTable(Table, kw_only=True, forbid_unknown_fields=True, gc=False):
    """The control API over TCP; without `listen` there is only the unix socket."""

    listen: Annotated[
        str | UnsetType, _key("`host:port`; beyond loopback only with a password.", example="127.0.0.1:9001")
    ] = UNSET
    username: Annotated[str | UnsetType, _key("Who may see and change everything.")] = UNSET
    password: Annotated[
        str | UnsetType, _key("The password: a `scrypt$…` or `{SHA}…` hash; plain text is discouraged.")
    ] = UNSET
    password_file: Annotated[str | UnsetType, _key("A file whose first line is the password or its hash.")] = UNSET
    readonly_username: Annotated[str | UnsetType, _key("Who may only look.")] = UNSET
    readonly_password: Annotated[str | UnsetType, _key("That user's password, as above.")] = UNSET
    tls: Annotated[TlsTable | UnsetType, _key("Serve HTTPS.")] = UNSET
    metrics_public: Annotated[bool | UnsetType, _key("Serve `/metrics` without a password.", default=False)] = UNSET


class JobsTable(Table, kw_only=True, forbid_unknown_fields=True, gc=False):
    """Where the workers get their jobs: a job server that genii runs itself, or a farm of servers."""

    listen: Annotated[
        str | UnsetType,
        _key("Run a job server at this address, as the program `jobs`.", example="127.0.0.1:4730"),
    ] = UNSET
    servers: Annotated[
        list[str] | UnsetType,
        _key("Job servers that run elsewhere: genii's or C `gearmand`s.", example=["a:4730", "b:4730"]),
    ] = UNSET
    durability: Annotated[
        Literal["group", "each", "none"] | UnsetType,
        _key("When an accepted background job is on the disk: synced together, each by itself, or as the kernel does.",
             default="group"),
    ] = UNSET  # fmt: skip
    journal: Annotated[str | UnsetType, _key("The folder of its journal.", otherwise="STATE_DIR/jobs")] = UNSET
    http: Annotated[str | UnsetType, _key("Serve its status page and metrics there.", example="127.0.0.1:4731")] = UNSET


Port = Annotated[int, Meta(ge=1, le=65535)]


class FleetTable(Table, kw_only=True, forbid_unknown_fields=True, gc=False):
    """How remote hosts are reached."""

    transport: Annotated[
        Literal["asyncssh", "openssh", "salt", "local"] | UnsetType,
        _key(
            "What carries commands: a library, the system's `ssh`, a Salt master, or this machine itself.", "asyncssh"
        ),
    ] = UNSET
    ssh_config: Annotated[
        str | UnsetType, _key("The SSH configuration that is honoured.", otherwise="~/.ssh/config")
    ] = UNSET
    salt_config: Annotated[
        str | UnsetType, _key("The folder of the Salt master's configuration, for that transport.", "/etc/salt")
    ] = UNSET
    known_hosts: Annotated[
        Literal["strict", "accept-new"] | UnsetType,
        _key("What happens with a host whose key is not known: refuse it, or write its key down.", "strict"),
    ] = UNSET
    limit: Annotated[Count | UnsetType, _key("How many hosts are worked on at once.", 50)] = UNSET
    jump_limit: Annotated[
        Count | UnsetType, _key("How many connections at once are opened through one jump host.", 20)
    ] = UNSET
    connect_timeout: Annotated[Duration | UnsetType, _key("How long a host may take to let us in.", "10s")] = UNSET
    timeout: Annotated[
        Duration | UnsetType, _key("How long a command may take before it is killed.", otherwise="no limit")
    ] = UNSET
    retries: Annotated[
        Natural | UnsetType, _key("How often a connection that was dropped while it was opened is tried again.", 5)
    ] = UNSET
    inventory: Annotated[
        Words | UnsetType,
        _key("Inventories of others: lists of hosts, Ansible inventories, Salt rosters.", example=["hosts.ini"]),
    ] = UNSET
    socket: Annotated[
        str | UnsetType,
        _key(
            "The control socket of the hosts' supervisors, for `genii status --on` and the like; a host's variable "
            "`genii_socket` goes before it.",
            "/run/genii/genii.sock",
        ),
    ] = UNSET


class HostTable(Table, kw_only=True, forbid_unknown_fields=True, gc=False):
    """One remote host, or a range of them; what is left out is for the SSH configuration to say."""

    address: Annotated[str | UnsetType, _key("Where to connect to.", otherwise="its name")] = UNSET
    user: Annotated[str | UnsetType, _key("The user to become there.", example="admin")] = UNSET
    port: Annotated[Port | UnsetType, _key("The port of its SSH server.", 22)] = UNSET
    identity: Annotated[str | UnsetType, _key("The file of a private key.", example="~/.ssh/id_ed25519")] = UNSET
    jump: Annotated[str | UnsetType, _key("The jump hosts on the way, as ProxyJump.", example="gate.example")] = UNSET
    tags: Annotated[list[str] | UnsetType, _key("Groups that it belongs to as well.", example=["db"])] = UNSET
    variables: Annotated[dict[str, Any] | UnsetType, _key("Values for tasks and templates.")] = UNSET


class GroupTable(Table, kw_only=True, forbid_unknown_fields=True, gc=False):
    """A group of hosts that share more than their name."""

    hosts: Annotated[Words, _key("Its hosts, `@groups`, and `!` what is not.", example=["web[01-20].example"])]
    user: Annotated[str | UnsetType, _key("The user to become there.", example="admin")] = UNSET
    port: Annotated[Port | UnsetType, _key("The port of their SSH servers.", 22)] = UNSET
    identity: Annotated[str | UnsetType, _key("The file of a private key.", example="~/.ssh/id_ed25519")] = UNSET
    jump: Annotated[str | UnsetType, _key("The jump hosts on the way, as ProxyJump.", example="gate.example")] = UNSET
    variables: Annotated[dict[str, Any] | UnsetType, _key("Values for tasks and templates.")] = UNSET


class DeployHealthTable(Table, kw_only=True, forbid_unknown_fields=True, gc=False):
    """How a host shows that a release is well; asked on the host itself. Exactly one of `tcp`, `http` and `command`."""

    tcp: TcpQuestion = UNSET
    http: HttpQuestion = UNSET
    command: Annotated[str | UnsetType, _key("This shell command exits with 0.", example="bin/smoke-test")] = UNSET
    expect: Annotated[
        str | UnsetType,
        _key("What the answer must contain, so that the old version can't answer for the new.", example="$REVISION"),
    ] = UNSET
    timeout: Annotated[Duration | UnsetType, _key("How long it has to become well.", "30s")] = UNSET
    interval: Annotated[Duration | UnsetType, _key("How long to wait between two questions.", "200ms")] = UNSET


class InstallTable(Table, kw_only=True, forbid_unknown_fields=True, gc=False):
    """How the dependencies of a release are installed, and when those of the release before will do."""

    command: Annotated[Words, _key("Shell commands, run in the new release.", example="npm ci --omit=dev")]
    inputs: Annotated[
        list[str] | UnsetType,
        _key("Files that decide: while they stay the same, `outputs` are taken over and the command is left out.",
             example=["package-lock.json"]),
    ] = UNSET  # fmt: skip
    outputs: Annotated[
        list[str] | UnsetType,
        _key("What the command makes, hard-linked from the release before.", example=["node_modules"]),
    ] = UNSET


class HookTable(Table, kw_only=True, forbid_unknown_fields=True, gc=False):
    """A command around a step that not every host runs."""

    command: Annotated[str, _key("The shell command, run in the release.", example="bin/migrate")]
    roles: Annotated[list[str] | UnsetType, _key("Only on hosts of these roles.", example=["db"])] = UNSET
    once: Annotated[bool | UnsetType, _key("Only on the first of these hosts.", default=False)] = UNSET


class DeployTable(Table, kw_only=True, forbid_unknown_fields=True, gc=False):
    """A release: what is brought to which hosts, how it is made ready, switched to, watched and taken back."""

    repository: Annotated[
        str | UnsetType, _key("A git repository: a URL or a path.", example="git@example.org:shop.git")
    ] = UNSET
    branch: Annotated[str | UnsetType, _key("The branch, tag or commit to release.", otherwise="HEAD")] = UNSET
    mirror: Annotated[
        Literal["control", "host"] | UnsetType,
        _key("Where the copy of the repository is kept: here, and only files travel; or on each host.", "control"),
    ] = UNSET
    directory: Annotated[str | UnsetType, _key("Instead: a directory of this machine.", example="dist")] = UNSET
    exclude: Annotated[
        list[str] | UnsetType,
        _key("Patterns of names in it that stay here.", [".git", ".genii", "__pycache__", ".venv"], ["*.log"]),
    ] = UNSET
    archive: Annotated[
        str | UnsetType, _key("Instead: a tar (any compression) or zip file.", example="build/shop.tar.gz")
    ] = UNSET
    strip: Annotated[Natural | UnsetType, _key("How many leading directories of an archive to drop.", 0, 1)] = UNSET
    wheel: Annotated[
        str | UnsetType, _key("Instead: a Python wheel, by a pattern that matches one.", example="dist/*.whl")
    ] = UNSET

    to: Annotated[
        str,
        _key(
            "The directory on the hosts (Capistrano's `deploy_to`); `{host}` in it is the host's name.",
            example="/srv/shop",
        ),
    ]
    hosts: Annotated[list[str] | UnsetType, _key("Hosts and groups.", example=["@web", "db1"])] = UNSET
    roles: Annotated[
        dict[str, list[str]] | UnsetType,
        _key("Roles: which hosts have them; these hosts are deployed to, too.", example={"db": ["db1"]}),
    ] = UNSET
    linked_dirs: Annotated[
        list[str] | UnsetType, _key("Directories that all releases share.", example=["log", "tmp/pids"])
    ] = UNSET
    linked_files: Annotated[
        list[str] | UnsetType, _key("Files that all releases share; they must exist.", example=["config/settings.env"])
    ] = UNSET
    keep: Annotated[Count | UnsetType, _key("How many good releases are kept.", 5)] = UNSET
    reuse: Annotated[
        Literal["link", "copy"] | UnsetType,
        _key("How files that did not change get into the next release: hard links, or copies.", "link"),
    ] = UNSET

    install: Annotated[
        Words | InstallTable | UnsetType,
        _key("Shell commands that install the dependencies, in the new release.", example="uv sync --frozen"),
    ] = UNSET
    check: Annotated[
        Words | UnsetType,
        _key("Shell commands that must succeed before the switch, in the new release.", example="./selfcheck"),
    ] = UNSET
    programs: Annotated[
        list[str] | UnsetType, _key("Programs of the host's genii that run this release.", example=["web"])
    ] = UNSET
    restart: Annotated[
        Literal["restart", "rolling", "reload", "stop"] | UnsetType,
        _key("How they get it; `stop`: stopped before the switch, started after it.", "restart"),
    ] = UNSET
    genii: Annotated[str | UnsetType, _key("How genii is called on the hosts.", "genii")] = UNSET
    health: Annotated[
        DeployHealthTable | UnsetType,
        _key("What must be true after the restart; otherwise the release before comes back.",
             example={"http": "http://127.0.0.1:8000/health"}),
    ] = UNSET  # fmt: skip
    order: Annotated[
        Literal["safe", "classic"] | UnsetType,
        _key("`classic`: stop, update, switch, install, check, start; `safe`: all that can fail before the switch.",
             "safe"),
    ] = UNSET  # fmt: skip
    hooks: Annotated[
        dict[str, str | HookTable | list[str | HookTable]] | UnsetType,
        _key("Commands around steps: `before_STEP`, `after_STEP`, `failed`.", example={"after_install": "bin/migrate"}),
    ] = UNSET
    steps: Annotated[
        dict[str, Words] | UnsetType,
        _key("Commands in place of a step's own.", example={"restart": "systemctl reload shop"}),
    ] = UNSET
    env: Annotated[
        dict[str, str] | UnsetType, _key("Variables of all these commands.", example={"APP_ENV": "production"})
    ] = UNSET
    secrets: Annotated[
        list[str] | dict[str, str] | UnsetType,
        _key("More of them, never shown: names of variables here, or a table of names and `file:PATH`, `env:NAME`.",
             example=["DATABASE_URL"]),
    ] = UNSET  # fmt: skip

    batches: Annotated[
        list[int | str] | UnsetType,
        _key("In what portions hosts switch, the last one repeated; the first is the canary.", example=[1, "25%"]),
    ] = UNSET
    min_ok: Annotated[
        Count | str | UnsetType,
        _key("How many hosts must get as far as the switch for the others to go on without the rest.",
             example="90%", otherwise="all"),
    ] = UNSET  # fmt: skip
    limit: Annotated[Count | UnsetType, _key("How many hosts are worked on at once.", 50)] = UNSET
    timeout: Annotated[Duration | UnsetType, _key("How long one step may take.", "10m")] = UNSET
    tasks: Annotated[
        str | UnsetType, _key("The Python file whose `@genii.step` functions redefine steps.", "tasks.py")
    ] = UNSET


_PROGRAM_NAMES = {"propertyNames": {"pattern": "^(?!all$)[A-Za-z0-9_][A-Za-z0-9_.@+-]*$"}}


class File(Table, kw_only=True, forbid_unknown_fields=True, gc=False):
    """A genii.toml file: what genii keeps running."""

    supervisor: Annotated[SupervisorTable | UnsetType, _key("The supervisor itself.")] = UNSET
    http: Annotated[HttpTable | UnsetType, _key("The control API over TCP.")] = UNSET
    defaults: Annotated[
        ProgramTable | UnsetType, _key("Keys for all programs of this file; each program overrides them.")
    ] = UNSET
    program: Annotated[
        dict[str, ProgramTable] | UnsetType,
        Meta(description="The programs, by name.", extra_json_schema=_PROGRAM_NAMES),
    ] = UNSET
    jobs: Annotated[JobsTable | UnsetType, _key("Where the workers get their jobs.")] = UNSET
    fleet: Annotated[FleetTable | UnsetType, _key("How remote hosts are reached.")] = UNSET
    hosts: Annotated[
        dict[str, HostTable] | UnsetType,
        _key("Remote hosts, by name: only what the SSH configuration does not say already."),
    ] = UNSET
    groups: Annotated[
        dict[str, str | list[str] | GroupTable] | UnsetType,
        _key("Groups of hosts, by name.", example={"web": ["web[01-20].example", "!web07.example"]}),
    ] = UNSET
    deploy: Annotated[
        dict[str, DeployTable] | UnsetType,
        Meta(description="Releases, by name.", extra_json_schema=_PROGRAM_NAMES),
    ] = UNSET
