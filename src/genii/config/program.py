"""One program: its table, laid over the defaults, made into the model. No I/O.

What has to be looked up outside (files of variables, time zones) is asked of an ``Outside``.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec
from msgspec import UNSET

from genii.backoff import Backoff
from genii.config import parts
from genii.config.command import shell_text, split_command
from genii.config.expand import Names, expand, expand_table
from genii.config.schema import (
    HealthTable,
    LogsTable,
    LogTable,
    ProcessesTable,
    ProgramTable,
    ReadyTable,
    ScheduleTable,
    SocketTable,
    WatchTable,
)
from genii.config.shape import convert
from genii.config.source import Faults, Layer, Scope, quote
from genii.supervise.model import (
    Health,
    Log,
    Logs,
    Probe,
    ProbeKind,
    Program,
    Ready,
    Recycle,
    Restart,
    Scaling,
    Schedule,
    SocketSpec,
    Stop,
    Watch,
)
from genii.supervise.template import escape, fill, placeholders
from genii.units import parse_duration, parse_mode, parse_signal, parse_size

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from genii.config.locate import Path

__all__ = ["Context", "Outside", "log", "read_program"]

Value = TypeVar("Value")
Raw = TypeVar("Raw")

_PER_PROCESS_KEYS = frozenset(
    {"command", "check", "environment", "directory", "logs", "ready", "health", "process_name"}
)
_COMMANDS: tuple[Path, ...] = (("command",), ("check",), ("ready", "command"), ("health", "command"))
_MERGED = frozenset({"environment", "limits", "stop", "logs", "backoff", "recycle", "scaling"})
"""Tables that are laid over those of the defaults key by key; everything else replaces."""
_SECRET = re.compile(r"PASSW|PASSPHRASE|SECRET|TOKEN|CREDENTIAL|(?:^|_)(?:API|PRIVATE|ACCESS)?_?KEY(?:$|_)|(?:^|_)PWD$")
_VARIABLE = re.compile(r"[^=\0\s][^=\0]*")
_MOST_PROCESSES = 10_000
_ANY_PROCESS: dict[str, str | int] = {"process_num": 0, "process_name": "x"}
_STANDARD = Program(name="", command=())
"""What holds where a table says nothing. The very same objects, as msgspec writes those down only that differ."""
_WORKER_READY = Ready(probe=Probe(kind=ProbeKind.NOTIFY))
"""A worker says when its class is loaded and it asks for jobs."""


class Outside(Protocol):
    """What the configuration asks of the machine."""

    def variables(self, path: str) -> Mapping[str, str]:
        """Return the variables in a file of ``NAME=value`` lines; raises ValueError that says what is wrong."""

    def first_line(self, path: str) -> str:
        """Return the first line of a file; raises ValueError that says why not."""

    def knows_timezone(self, name: str) -> bool:
        """Say whether there is such a time zone."""


class Context(msgspec.Struct):
    """What holds for all programs of one configuration."""

    folder: str
    """Where relative paths start."""
    directory: str
    log_dir: str
    python: str
    environ: Mapping[str, str]
    outside: Outside
    faults: Faults
    servers: tuple[str, ...] = ()
    """The job servers of workers."""
    job_program: str = ""
    """The program that runs one of them; empty: they all run elsewhere."""
    shared: dict[Any, Any] = msgspec.field(default_factory=dict)
    """Equal parts of programs are kept once: with 1,000 programs the daemon's memory shows it."""

    def share(self, value: Value) -> Value:
        """Return the first value that was equal to this one."""
        found: Value = self.shared.setdefault(value, value)
        return found


def read_program(name: str, layers: tuple[Layer, ...], context: Context) -> Program | None:
    """Return the program, or None where too little of it can be understood; faults go to the context."""
    scope = Scope(context.faults, layers)
    variables = _file_variables(layers, context, scope)
    merged = _merge([(layer, _expanded(layer, name, variables, context)) for layer in layers])
    table = convert(merged, ProgramTable, scope)
    return None if table is None else _Reader(name, table, variables, context, scope).program()


def _file_variables(layers: tuple[Layer, ...], context: Context, scope: Scope) -> dict[str, str]:
    layer = next((layer for layer in layers if "env_file" in layer.table), None)
    if layer is None:
        return {}
    raw = layer.table["env_file"]
    if isinstance(raw, str):
        raw = [raw]
    if not isinstance(raw, list) or not all(isinstance(path, str) for path in raw):
        return {}
    found: dict[str, str] = {}
    for path in raw:
        try:
            words = Names(context.environ, {"here": layer.source.folder})
            found.update(context.outside.variables(parts.absolute(expand(path, words), context.folder)))
        except ValueError as error:
            scope.error(("env_file",), str(error))
    return found


def _expanded(layer: Layer, name: str, variables: Mapping[str, str], context: Context) -> dict[str, Any]:
    environ = {**context.environ, **variables} if variables else context.environ
    words = {"program": name, "here": layer.source.folder}
    later, now = Names(environ, words, per_process=True), Names(environ, words)

    def names_for(path: Path) -> Names | None:
        if path in _COMMANDS or path[0] == "env_file":
            return None
        return later if path[0] in _PER_PROCESS_KEYS else now

    def fault(path: Path, message: str) -> None:
        label = ".".join(str(step) for step in path if isinstance(step, str))
        context.faults.add(layer.source.problem((*layer.path, *path), f"{label}: {message}"))

    table: dict[str, Any] = expand_table(layer.table, names_for, fault)
    for path in _COMMANDS:
        if path[0] in table:
            table = _with_command(table, path, later, fault)
    return table


def _with_command(
    table: dict[str, Any], path: Path, names: Names, fault: Callable[[Path, str], None]
) -> dict[str, Any]:
    key = str(path[-1])
    owner: object = table.get(str(path[0])) if len(path) == 2 else table
    text = owner.get(key) if isinstance(owner, dict) else None
    if not isinstance(owner, dict) or not isinstance(text, str):
        return table
    made: object
    try:
        made = shell_text(text, names) if len(path) == 2 else list(split_command(text, names))
    except ValueError as error:
        fault(path, str(error))
        made = "false" if len(path) == 2 else ["false"]  # stands in, so that the rest is still looked at
    return table | ({str(path[0]): owner | {key: made}} if len(path) == 2 else {key: made})


def _merge(layers: list[tuple[Layer, dict[str, Any]]]) -> dict[str, Any]:
    own = layers[0][1]
    merged: dict[str, Any] = {}
    for layer, table in reversed(layers):
        for key, value in table.items():
            if layer is not layers[0][0] and {key, *own} >= {"command", "worker"} and key not in own:
                continue  # a program that says what it is doesn't get the other kind from the defaults
            before = merged.get(key)
            merge = key in _MERGED and isinstance(before, dict) and isinstance(value, dict)
            merged[key] = {**before, **value} if merge and before is not None else value
    return merged


class _Reader:
    """Read one table into a program; what is wrong is reported and its default taken, so that all faults are seen."""

    def __init__(
        self, name: str, table: ProgramTable, variables: Mapping[str, str], context: Context, scope: Scope
    ) -> None:
        self.name = name
        self.table = table
        self.variables = variables
        self.context = context
        self.scope = scope

    def parsed(self, path: Path, raw: Raw, parse: Callable[[Any], Value], default: Value) -> Value:
        """Return what ``parse`` makes of a value; the default where there is none or it is wrong."""
        if raw is UNSET:
            return default
        try:
            return parse(raw)
        except ValueError as error:
            self.scope.error(path, str(error))
            return default

    def duration(self, path: Path, raw: Raw, default: float) -> float:
        """Return seconds."""
        return self.parsed(path, raw, parse_duration, default)

    def positive(self, path: Path, raw: Raw, default: float) -> float:
        """Return seconds that must be more than none."""
        return self.parsed(path, raw, _positive_duration, default)

    def given(self, **values: Any) -> dict[str, Any]:
        """Return the keys that the table has: the model's own defaults hold for the rest."""
        return {key: value for key, value in values.items() if value is not UNSET}

    def program(self) -> Program:
        """Return the program."""
        table, name, share = self.table, self.name, self.context.share
        minimum, maximum = self.processes()
        environment = self.environment()
        plain = self.given(
            description=table.description, autostart=table.autostart, priority=table.priority, retries=table.retries,
            orphans=table.orphans, user=table.user, group=table.group, clear_environment=table.clear_environment,
            nice=table.nice, oom_score=table.oom_score, warm=table.warm, stdin=table.stdin,
        )  # fmt: skip
        if table.groups is not UNSET:
            plain["groups"] = share(tuple(table.groups))
        return Program(
            name=name,
            command=self.command(),
            worker=self.parsed(("worker",), table.worker, parts.worker_class, ""),
            libs=self.paths(("libs",), table.libs),
            schedule=self.schedule(),
            watch=self.watch(),
            depends_on=share(self.depends_on()),
            processes=minimum,
            processes_max=maximum,
            scaling=self.scaling(maximum),
            process_name=self.process_name(maximum),
            startsecs=self.startsecs(),
            ready=self.ready(),
            health=self.health(),
            check=self.words(("check",), table.check),
            check_timeout=self.positive(("check_timeout",), table.check_timeout, _STANDARD.check_timeout),
            restart=self.restart(),
            exit_codes=share(tuple(table.exit_codes)) if table.exit_codes is not UNSET else _STANDARD.exit_codes,
            backoff=self.backoff(),
            stop=self.stop(),
            reload_signal=self.parsed(("reload",), table.reload, parts.reload_signal, 1),
            recycle=share(self.recycle()),
            directory=self.directory(),
            umask=self.parsed(("umask",), table.umask, parse_mode, -1),
            environment=environment,
            secret_variables=share(self.secrets(environment)),
            limits=self.limits(),
            sockets=self.sockets(),
            logs=share(self.logs()),
            **plain,
        )

    def command(self) -> tuple[str, ...]:
        """Return the words to execute; those that run the worker where the program is one."""
        table = self.table
        if table.worker is not UNSET and table.command is not UNSET:
            self.scope.error(("worker",), "a program is a command or a worker; remove one of the two", key=True)
        if table.command is not UNSET:
            return self.words(("command",), table.command)
        if table.worker is not UNSET:
            return self.worker_command(table.worker)
        if not self.scope.has(("command",)) and not self.scope.has(("worker",)):
            self.scope.error((), 'says nothing to run; add command = "…" (or worker = "module:Class")')
        return ()

    def worker_command(self, worker: str) -> tuple[str, ...]:
        """Return the words that run a worker class for the job servers of ``[jobs]``."""
        words = [self.context.python, "-m", "genii", "work", worker]
        for address in self.context.servers:
            words += ["-s", address]
        for folder in self.paths(("libs",), self.table.libs):
            words += ["-I", folder]
        recycle = self.recycle()
        if recycle is not None and recycle.jobs:
            words += ["--max-jobs", str(recycle.jobs)]
        return tuple(map(self.context.share, words))

    def depends_on(self) -> tuple[str, ...]:
        """Return what must run first: workers need the embedded job server."""
        names = list(self.table.depends_on or ())
        if self.table.worker is not UNSET and self.context.job_program and self.name != self.context.job_program:
            names.append(self.context.job_program)
        return tuple(dict.fromkeys(names))

    def words(self, path: Path, raw: str | list[str] | Any) -> tuple[str, ...]:
        """Return the words of a command; one that was a string has been split when it was expanded."""
        if raw is UNSET:
            return ()
        if not raw or not raw[0]:
            self.scope.error(path, "the command is empty; write what to run")
        return tuple(map(self.context.share, raw))

    def processes(self) -> tuple[int, int]:
        """Return the least and the greatest number of processes."""
        raw = self.table.processes
        if raw is UNSET:
            return 1, 1
        if isinstance(raw, ProcessesTable):
            low, high = (1 if raw.min is UNSET else raw.min), raw.max
        else:
            low = high = self.parsed(("processes",), raw, _count, 1)
        if low > high:
            self.scope.error(("processes", "min"), f"{low} is more than max = {high}; swap or mend them")
            high = low
        if high > _MOST_PROCESSES:
            self.scope.error(("processes",), f"{high} is more than the {_MOST_PROCESSES} that a program may have")
        return low, high

    def scaling(self, maximum: int) -> Scaling:
        """Return how the number moves between its bounds."""
        table, standard = self.table.scaling, _STANDARD.scaling
        if self.table.warm is True and self.table.worker is UNSET:
            self.scope.error(("warm",), "is for workers; a command can't be started this way", key=True)
        if table is UNSET:
            return standard
        queue = table.follow == "queue"
        if queue and self.table.worker is UNSET:
            self.scope.error(("scaling", "follow"), "only a worker has a queue; use 'busy' or 'cpu'")
        rules = self.given(follow=table.follow, spare=table.spare, cpu=table.cpu)
        scaling = Scaling(
            burst=(maximum if queue else 1) if table.burst is UNSET else table.burst,
            interval=self.duration(("scaling", "interval"), table.interval, standard.interval),
            grace=self.duration(("scaling", "grace"), table.grace, standard.grace),
            cooldown=self.duration(("scaling", "cooldown"), table.cooldown, standard.cooldown),
            servers=tuple(map(self.context.share, self.context.servers)) if queue else (),
            **rules,
        )
        return self.context.share(scaling)

    def process_name(self, maximum: int) -> str:
        """Return the template of its processes' names."""
        text = self.table.process_name
        if text is UNSET:
            return ""
        names = set(placeholders(text))
        if maximum > 1 and "process_num" not in names:
            self.scope.error(("process_name",), "needs {process_num}, so that the names of the processes differ")
        if "process_name" in names:
            self.scope.error(("process_name",), "can't contain itself; use {program} and {process_num}")
        elif not re.fullmatch(r"[A-Za-z0-9_.@+:/-]+", fill(text, _ANY_PROCESS)):
            self.scope.error(("process_name",), f"{quote(text)} makes no name; use letters, digits and _ . @ + - : /")
        return text

    def environment(self) -> dict[str, str]:
        """Return the variables of the files and of the table."""
        given = {name: escape(value) for name, value in self.variables.items()}
        for name, value in (self.table.environment or {}).items():
            if not _VARIABLE.fullmatch(name):
                self.scope.error(
                    ("environment", name), f"{quote(name)} can't be a variable; use letters and _", key=True
                )
            given[name] = str(value)
        found: dict[str, str] = self.context.shared.setdefault(("environment", *given.items()), given)
        return found

    def secrets(self, environment: Mapping[str, str]) -> tuple[str, ...]:
        """Return the variables that are never shown."""
        named = list(self.table.secret_variables or ())
        return tuple(dict.fromkeys(named + [name for name in environment if _SECRET.search(name.upper())]))

    def startsecs(self) -> float:
        """Return the seconds to live; ``ready.alive`` is another way to say it."""
        ready = self.table.ready
        if ready is not UNSET and ready.alive is not UNSET:
            if self.table.startsecs is not UNSET:
                self.scope.error(("ready", "alive"), "says the same as startsecs; remove one of the two", key=True)
            return self.duration(("ready", "alive"), ready.alive, _STANDARD.startsecs)
        shown = self.table.ready is not UNSET or self.table.worker is not UNSET
        return self.duration(("startsecs",), self.table.startsecs, 0.0 if shown else _STANDARD.startsecs)

    def ready(self) -> Ready | None:
        """Return how it shows that it is ready; None: by living for ``startsecs``."""
        table = self.table.ready
        if table is UNSET:
            return _WORKER_READY if self.table.worker is not UNSET else None
        timeout = self.positive(("ready", "timeout"), table.timeout, 30.0)
        interval = self.positive(("ready", "interval"), table.interval, 0.1)
        probe = self.probe("ready", table, ("alive", "line", "notify", "tcp", "http", "command"), min(5.0, timeout))
        return None if probe is None else self.context.share(Ready(probe=probe, timeout=timeout, interval=interval))

    def health(self) -> Health | None:
        """Return how it is asked whether it is well."""
        table = self.table.health
        if table is UNSET:
            return None
        timeout = self.positive(("health", "timeout"), table.timeout, 5.0)
        interval = self.positive(("health", "interval"), table.interval, 10.0)
        failures = 3 if table.failures is UNSET else table.failures
        probe = self.probe("health", table, ("tcp", "http", "command"), timeout)
        if probe is None:
            return None
        return self.context.share(Health(probe=probe, interval=interval, failures=failures))

    def probe(self, key: str, table: ReadyTable | HealthTable, kinds: tuple[str, ...], timeout: float) -> Probe | None:
        """Return the one question of a table."""
        asked = [kind for kind in kinds if getattr(table, kind) not in (UNSET, False)]
        refused = [kind for kind in kinds if getattr(table, kind) is UNSET and self.scope.has((key, kind))]
        if refused and not asked:
            return None  # what it asks was reported already
        if len(asked) != 1:
            what = "asks nothing" if not asked else f"asks {len(asked)} questions ({', '.join(asked)})"
            self.scope.error((key,), f"{what}; give exactly one of {', '.join(kinds[:-1])} or {kinds[-1]}", key=True)
            return None
        kind = asked[0]
        if kind == "alive":
            return None
        parse = {
            "line": _template(parts.regular_expression),
            "notify": lambda _: "",
            "tcp": _template(parts.address),
            "http": _template(parts.http_url),
            "command": _command_line,
        }[kind]
        target = self.parsed((key, kind), getattr(table, kind), parse, "")
        return Probe(kind=ProbeKind(kind), target=target, timeout=timeout)

    def restart(self) -> Restart:
        """Return when it is started again: what the clock starts waits for the clock."""
        if self.table.restart is not UNSET:
            return Restart(self.table.restart)
        if self.table.worker is not UNSET:
            return Restart.ALWAYS  # it ends by itself after so many jobs
        return Restart.ON_FAILURE if self.table.schedule is UNSET else Restart.NEVER

    def backoff(self) -> Backoff:
        """Return the waits between attempts."""
        table, standard = self.table.backoff, _STANDARD.backoff
        if table is UNSET:
            return standard
        initial = self.duration(("backoff", "initial"), table.initial, standard.initial)
        cap = self.duration(("backoff", "cap"), table.cap, max(initial, standard.cap))
        if cap < initial:
            self.scope.error(("backoff", "cap"), "is shorter than the first wait (initial); make it longer")
        return self.context.share(
            Backoff(
                initial=initial,
                factor=standard.factor if table.factor is UNSET else table.factor,
                cap=cap,
                jitter=standard.jitter if table.jitter is UNSET else table.jitter,
            )
        )

    def stop(self) -> Stop:
        """Return how it is asked to end."""
        table = self.table.stop
        if table is UNSET:
            return _STANDARD.stop
        if isinstance(table, str):
            return self.context.share(Stop(signal=self.parsed(("stop",), table, _signal, 15)))
        return self.context.share(
            Stop(
                signal=self.parsed(("stop", "signal"), table.signal, _signal, 15),
                timeout=self.duration(("stop", "timeout"), table.timeout, 10.0),
                group=True if table.group is UNSET else table.group,
            )
        )

    def recycle(self) -> Recycle | None:
        """Return when it is replaced."""
        table = self.table.recycle
        if table is UNSET:
            return None
        return Recycle(
            jobs=0 if table.jobs is UNSET else table.jobs,
            age=self.duration(("recycle", "age"), table.age, 0.0),
            memory=self.parsed(("recycle", "memory"), table.memory, parse_size, 0),
        )

    def schedule(self) -> Schedule | None:
        """Return when the clock starts it."""
        table = self.table.schedule
        if table is UNSET:
            return None
        path: Path = ("schedule",) if isinstance(table, str) else ("schedule", "cron")
        if isinstance(table, str):
            table = ScheduleTable(cron=table)
        return self.context.share(
            Schedule(
                cron=self.parsed(path, table.cron, parts.cron, "0 0 1 1 *"),
                timezone=self.parsed(("schedule", "timezone"), table.timezone, self.timezone, ""),
                jitter=self.duration(("schedule", "jitter"), table.jitter, 0.0),
                **self.given(overlap=table.overlap, missed=table.missed),
            )
        )

    def timezone(self, name: str) -> str:
        """Check the name of a time zone."""
        if not self.context.outside.knows_timezone(name):
            raise ValueError(f"unknown time zone {quote(name)}; write for example 'Europe/Berlin' or 'UTC'")
        return name

    def watch(self) -> Watch | None:
        """Return which changes start it."""
        table = self.table.watch
        if table is UNSET:
            return None
        if not isinstance(table, WatchTable):
            paths = [table] if isinstance(table, str) else table
            return Watch(paths=self.watched(("watch",), paths))
        return Watch(
            paths=self.watched(("watch", "paths"), table.paths),
            ignore=tuple(table.ignore or ()),
            only=tuple(table.only or ()),
            debounce=self.duration(("watch", "debounce"), table.debounce, 0.2),
        )

    def watched(self, path: Path, raw: list[str]) -> tuple[str, ...]:
        """Return absolute paths, at least one."""
        if not raw:
            self.scope.error(path, "names no path; write what to watch, or remove it")
        return self.paths(path, raw)

    def paths(self, path: Path, raw: list[str] | Any) -> tuple[str, ...]:
        """Return absolute paths."""
        absolute = partial(parts.absolute, folder=self.context.folder)
        found = [] if raw is UNSET else [self.parsed(path, one, absolute, "") for one in raw]
        return self.context.share(tuple(filter(None, found)))

    def directory(self) -> str:
        """Return the directory to start in."""
        absolute = partial(parts.absolute, folder=self.context.folder)
        found = self.parsed(("directory",), self.table.directory, absolute, escape(self.context.directory))
        return self.context.share(found)

    def limits(self) -> dict[str, tuple[int, int]]:
        """Return the resource limits by their short names."""
        found: dict[str, tuple[int, int]] = {}
        for key, raw in (self.table.limits or {}).items():
            path = ("limits", key)
            try:
                name = parts.limit_name(key)
            except ValueError as error:
                self.scope.error(path, str(error), key=True)
                continue
            if name in found:
                self.scope.error(path, f"the limit {name!r} is given twice; remove one", key=True)
            found[name] = self.parsed(path, raw, partial(parts.limit, name), (-1, -1))
        kept: dict[str, tuple[int, int]] = self.context.shared.setdefault(("limits", *found.items()), found)
        return kept

    def sockets(self) -> tuple[SocketSpec, ...]:
        """Return the listening sockets."""
        found = []
        for name, raw in (self.table.sockets or {}).items():
            table, path = (raw, ("sockets", name, "url")) if isinstance(raw, SocketTable) else (None, ("sockets", name))
            url = self.parsed(path, raw if table is None else table.url, parts.socket_url, "")
            if not re.fullmatch(r"[A-Za-z0-9_.-]{1,100}", name):
                self.scope.error(("sockets", name), "use letters, digits and _ . - for the name of a socket", key=True)
            elif url:
                found.append(self.socket(name, url, table))
        return tuple(found)

    def socket(self, name: str, url: str, table: SocketTable | None) -> SocketSpec:
        """Return one socket."""
        if table is None:
            return SocketSpec(name=name, url=url)
        plain = self.given(backlog=table.backlog, user=table.user, group=table.group)
        mode = self.parsed(("sockets", name, "mode"), table.mode, parse_mode, 0o600)
        if url.startswith("tcp:") and any(key is not UNSET for key in (table.mode, table.user, table.group)):
            self.scope.error(("sockets", name), "mode, user and group are for unix sockets; remove them", key=True)
        return SocketSpec(name=name, url=url, mode=mode, **plain)

    def logs(self) -> Logs:
        """Return where the output goes."""
        table, prefix = self.table.logs, f"{escape(self.context.log_dir)}/{{process_name}}"
        if table is UNSET:
            return Logs(stdout=Log(path=f"{prefix}.log"))
        if isinstance(table, str):
            table = LogsTable(stdout=table)
        stdout = self.log(("logs", "stdout"), table.stdout, table, f"{prefix}.log")
        merged = table.stderr in (UNSET, "stdout") or (
            isinstance(table.stderr, LogTable) and table.stderr.path == "stdout"
        )
        stderr = None if merged else self.log(("logs", "stderr"), table.stderr, table, f"{prefix}.err.log")
        if stderr is not None and stderr.path == "-":
            stderr = Log(path="-2")
        return Logs(stdout=stdout, stderr=stderr)

    def log(self, path: Path, raw: str | LogTable | Any, common: LogsTable, default: str) -> Log:
        """Return one stream's file."""
        table = raw if isinstance(raw, LogTable) else LogTable(path=raw)
        keys = ("size", "backups", "every", "compress")
        both = {key: getattr(table, key) if getattr(table, key) is not UNSET else getattr(common, key) for key in keys}
        where = path if not isinstance(self.table.logs, str) else path[:1]
        return log(self.scope, where, LogTable(path=table.path, **both), self.context.folder, default)


def log(scope: Scope, path: Path, table: LogTable, folder: str, default: str) -> Log:
    """Return a log file as the model has it; ``default`` is its path where the table has none."""

    def parsed(key: str, raw: Any, parse: Callable[[Any], Any], otherwise: Any) -> Any:
        try:
            return otherwise if raw is UNSET else parse(raw)
        except ValueError as error:
            scope.error((*path, key), str(error))
            return otherwise

    if table.path in ("-", "none"):
        return Log(path="-" if table.path == "-" else "")
    return Log(
        path=parsed("path", table.path, partial(parts.absolute, folder=folder), default),
        size=parsed("size", table.size, parse_size, 50 << 20),
        backups=10 if table.backups is UNSET else table.backups,
        every=parsed("every", table.every, parse_duration, 0.0),
        compress=False if table.compress is UNSET else table.compress,
    )


def _command_line(raw: str | list[str]) -> str:
    if isinstance(raw, str):
        return raw
    import shlex  # late: seldom needed

    return shlex.join(raw)


def _count(raw: int | str) -> int:
    if isinstance(raw, str) and not re.fullmatch(r"\s*[0-9]{1,9}\s*", raw):
        raise ValueError(f"{quote(raw)} is not a number of processes; write a number, or {{ min = 1, max = 4 }}")
    if int(raw) < 1:
        raise ValueError(f"must be 1 or more, not {quote(raw)}")
    return int(raw)


def _positive_duration(raw: Any) -> float:
    seconds = parse_duration(raw)
    if seconds <= 0:
        raise ValueError(f"must be more than 0, not {quote(raw)}")
    return seconds


def _signal(raw: str | int) -> int:
    return int(parse_signal(raw))


def _template(parse: Callable[[str], str]) -> Callable[[Any], str]:
    """Check a template by what it is for the first process; a template without names becomes what ``parse`` returns."""

    def parsed(raw: Any) -> str:
        text = str(raw)
        filled = fill(text, _ANY_PROCESS)
        result = parse(filled)
        return escape(result) if filled == text else text

    return parsed
