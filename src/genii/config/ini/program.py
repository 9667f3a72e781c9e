"""The sections of programs, made into processes: one program of the model for each. No I/O.

See http://supervisord.org/configuration.html#program-x-section-settings.
"""

from __future__ import annotations

import shlex
from posixpath import join
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from genii.backoff import Backoff
from genii.config.ini import values
from genii.config.ini.daemon import existing_path, owner
from genii.config.ini.declaration import Member, Stream
from genii.config.ini.expand import environment, expand, exported
from genii.config.ini.names import namespec
from genii.config.source import quote
from genii.supervise.model import Log, Logs, Program, Restart, SocketSpec, Stop
from genii.supervise.template import escape

if TYPE_CHECKING:
    from collections.abc import Mapping

    from genii.config.ini.declaration import Daemon
    from genii.config.ini.reader import Outside, Reader

__all__ = ["ACCOUNT", "AUTO_MARK", "Context", "Process", "read_processes", "read_socket"]

_MOST_PROCESSES = 10_000
ACCOUNT = ("HOME", "USER", "LOGNAME", "SHELL")
AUTO_MARK = "XXXXXXXX"
"""Stands in the name of an AUTO log for what makes it unpredictable."""


class Context(NamedTuple):
    """What the programs of a configuration have in common."""

    daemon: Daemon
    url: str
    """Under which programs reach the supervisor; empty: there is no server."""
    outside: Outside


class Process(NamedTuple):
    """One process: its program in the model, and what its clients are told besides."""

    program: Program
    member: Member


class _Common(NamedTuple):
    """What all processes of a section share."""

    program: Program
    member: Member
    redirect: bool


def read_processes(reader: Reader, group: str, context: Context, kind: str) -> list[Process]:
    """Return the processes of a section, in the order of their priorities (all have one) and numbers."""
    common = _read_common(reader, group, context)
    numprocs = reader.get("numprocs", values.integer, 1)
    first = reader.get("numprocs_start", values.integer, 0)
    template = reader.option("process_name")
    pattern = template.value if template else "%(program_name)s"
    if numprocs > 1 and "%(process_num)" not in pattern:
        reader.error("%(process_num) must be present within process_name when numprocs > 1", "process_name")
        return []
    if numprocs > _MOST_PROCESSES:
        reader.error(f"more than {_MOST_PROCESSES} processes are not supported", "numprocs")
        return []
    if not reader.has("command"):
        reader.error("does not specify a command; add command = …")
        return []
    found = []
    for number in range(first, first + numprocs):
        process = _read_one(reader, pattern, common, {"process_num": number, "numprocs": numprocs}, context, kind)
        if process is not None:
            found.append(process)
    return found


def _read_common(reader: Reader, group: str, context: Context) -> _Common:
    """Read the options that don't differ between the processes of a section."""
    get = reader.get
    restart = get("autorestart", values.autorestart, None)
    as_group = get("stopasgroup", values.boolean, False)
    kill_group = get("killasgroup", values.boolean, as_group)
    if as_group and not kill_group:
        reader.error("cannot set stopasgroup=true and killasgroup=false", "killasgroup")
    user = get("user", lambda text: (text.strip(), context.outside.user(text)[0]), ("", -1))
    redirect = get("redirect_stderr", values.boolean, False)
    serverurl = reader.text("serverurl")
    program = Program(
        name="",
        command=(),
        member_of=group,
        priority=get("priority", values.integer, 999),
        autostart=get("autostart", values.boolean, True),
        startsecs=float(max(0, get("startsecs", values.integer, 1))),
        restart={None: Restart.ON_FAILURE, True: Restart.ALWAYS, False: Restart.NEVER}[restart],
        exit_codes=get("exitcodes", values.exit_codes, (0,)),
        early_exit_fails=True,
        retries=max(0, get("startretries", values.integer, 3)),
        backoff=Backoff(initial=1.0, cap=1e9, jitter=0.0, linear=True),
        stop=Stop(
            signal=get("stopsignal", values.signal_number, 15),
            timeout=float(max(0, get("stopwaitsecs", values.integer, 10))),
            group=as_group,
            kill_group=kill_group,
        ),
        user=user[0],
        umask=get("umask", values.octal, -1),
        stdin="pipe",
    )
    member = Member(
        group=group,
        name="",
        program=reader.section.label,
        priority=program.priority,
        autorestart=restart,
        killasgroup=kill_group,
        uid=user[1],
        serverurl="" if serverurl.strip().upper() == "AUTO" else serverurl,
        stdout=_stream(reader, "stdout"),
        stderr=_stream(reader, "stderr"),
    )
    return _Common(program, member, redirect)


def _stream(reader: Reader, channel: str) -> Stream:
    return Stream(
        capture=reader.get(f"{channel}_capture_maxbytes", values.byte_size, 0),
        events=reader.get(f"{channel}_events_enabled", values.boolean, False),
        syslog=reader.get(f"{channel}_syslog", values.boolean, False),
    )


def _read_one(
    reader: Reader, pattern: str, common: _Common, numbers: Mapping[str, int], context: Context, kind: str
) -> Process | None:
    """Read what may differ between the processes of a section; None: its name is wrong."""
    names: dict[str, str | int] = {**reader.names, **numbers}
    variables: dict[str, str] = reader.get("environment", environment, {}, names)
    names |= exported(variables)
    try:
        name = values.name(expand(pattern, names))
    except ValueError as error:
        reader.error(str(error), "process_name")
        return None
    group = common.member.group
    called = namespec(group, name)
    command = reader.text("command", "", names)
    stdout, log = _log(reader, "stdout", name, names, context)
    stderr, error_log = _log(reader, "stderr", name, names, context)
    if common.redirect:
        if reader.has("stderr_logfile") and error_log.path and not stderr.auto:
            reader.warn("is ignored, as redirect_stderr=true", "stderr_logfile")
        stderr = msgspec.structs.replace(stderr, auto=False)
    directory = reader.text("directory", "", names).strip()
    program = msgspec.structs.replace(
        common.program,
        name=called,
        command=tuple(escape(word) for word in _words(command, reader)),
        directory=escape(join(context.outside.directory, context.outside.expand_home(directory))) if directory else "",
        environment={key: escape(text) for key, text in _environment(common, name, variables, context).items()},
        logs=Logs(stdout=log, stderr=None if common.redirect else error_log),
        stdin="socket" if kind == "fcgi-program" else "pipe",
    )
    member = msgspec.structs.replace(common.member, name=name, command=command, stdout=stdout, stderr=stderr)
    return Process(program, member)


def _words(command: str, reader: Reader) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(command))
    except ValueError as error:
        reader.warn(f"can't parse command {quote(command)} ({error}); it will not start", "command")
        words = (command,)
    if any("\0" in word for word in words):
        reader.error("contains a NUL byte", "command")
    return words or ("",)


def _environment(common: _Common, name: str, variables: Mapping[str, str], context: Context) -> dict[str, str]:
    """Return the variables of a process; those of the account stay supervisord's, whatever its user."""
    environ = context.outside.environ
    found = {key: environ[key] for key in ACCOUNT if common.program.user and key in environ}
    found |= context.daemon.environment
    found |= {
        "SUPERVISOR_ENABLED": "1",
        "SUPERVISOR_PROCESS_NAME": name,
        "SUPERVISOR_GROUP_NAME": common.member.group,
    }
    if url := common.member.serverurl or context.url:
        found["SUPERVISOR_SERVER_URL"] = url
    return {**found, **variables}


def _log(
    reader: Reader, channel: str, name: str, names: Mapping[str, str | int], context: Context
) -> tuple[Stream, Log]:
    """Read where a stream goes."""
    stream = _stream(reader, channel)
    key = f"{channel}_logfile"
    size = reader.get(f"{key}_maxbytes", values.byte_size, 50 << 20)
    backups = reader.get(f"{key}_backups", values.integer, 10)

    def logfile(text: str) -> str:
        word = text.strip().lower()
        return word if word in ("none", "off", "auto", "syslog") else existing_path(context.outside)(text)

    path = reader.get(key, logfile, "auto", names)
    if path == "auto":
        path = join(context.daemon.childlogdir, f"{name}-{channel}---{context.daemon.identifier}-{AUTO_MARK}.log")
        stream = msgspec.structs.replace(stream, auto=True)
        if not size:
            reader.warn(f"AUTO logging is used without rollover; set {key}_maxbytes > 0 to keep the disk free", key)
    elif path == "syslog":
        reader.warn(f"=syslog is deprecated; write {channel}_syslog=true", key)
        path, stream = "", msgspec.structs.replace(stream, syslog=True)
    elif path in ("none", "off"):
        path = ""
    return stream, Log(path=escape(path), size=max(0, size), backups=max(0, backups))


def read_socket(reader: Reader, name: str, outside: Outside) -> SocketSpec | None:
    """Read the socket of an fcgi-program; None: it is wrong."""
    names = {key: value for key, value in reader.names.items() if key in ("here", "program_name") or key[:4] == "ENV_"}
    url = reader.text("socket", "", names).strip()
    if not url:
        reader.error("lacks the option socket; add for example socket = unix:///run/%(program_name)s.sock")
        return None
    backlog = reader.get("socket_backlog", values.integer, 4096)
    if not 1 <= backlog <= 65535:
        reader.error(f"{backlog} is not between 1 and 65535", "socket_backlog")
    mode = reader.get("socket_mode", values.octal, 0o700)
    user = reader.get("socket_owner", lambda text: owner(text, outside), None)
    if url.startswith("unix:///"):
        uid, gid = ("", "") if user is None else map(str, user)
        return SocketSpec(name=name, url=url, backlog=backlog, mode=mode, user=uid, group=gid)
    for key in ("socket_owner", "socket_mode"):
        if reader.has(key):
            reader.error("is only for unix sockets", key)
    try:
        if not url.startswith("tcp://"):
            raise ValueError(f"{quote(url)} is neither unix:///PATH nor tcp://HOST:PORT")
        host, port = values.inet_port(url.removeprefix("tcp://"))
    except ValueError as error:
        reader.error(str(error), "socket")
        return None
    return SocketSpec(name=name, url=f"tcp://{host}:{port}", backlog=backlog)
