"""A file in supervisord's language, written as the equivalent genii.toml. No I/O.

What supervisord has and genii does otherwise (event listeners, FastCGI sockets as standard input, groups) is said in a
comment where it was; comments of the file are kept before the table that they were written in or above.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import msgspec

from genii.config.ini.program import ACCOUNT, Context, read_processes
from genii.config.ini.reader import Reader
from genii.config.ini.resolve import PROGRAM_KINDS
from genii.units import format_duration, format_signal, format_size

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from genii.config.ini.declaration import Declaration
    from genii.config.ini.reader import Outside
    from genii.config.ini.text import Section, Text
    from genii.config.source import Faults
    from genii.supervise.model import Log, Program

__all__ = ["comments", "to_toml"]

_NUMBER = re.compile(r"%\(process_num\)0?(\d*)[ds]")
_OPEN, _CLOSE = "\x02", "\x03"
"""Stand for braces that are ours while other braces are doubled."""
_HEADER = """\
# Written from {path}.
# The programs keep supervisord's ways where genii's own defaults differ:
[defaults]
retries = 3
backoff = {{ initial = "1s", factor = 2, jitter = 0 }}
stop = {{ group = false }}
"""
_SECTION_LINE = re.compile(r"\[(.+)\]")


def comments(text: str) -> dict[str, list[str]]:
    """Return the full-line comments of a file by section: those right above its header, and those within it."""
    found: dict[str, list[str]] = {}
    section, pending = "", []
    for line in text.splitlines():
        stripped = line.strip()
        if stripped[:1] in ("#", ";"):
            pending.append("#" + stripped.lstrip("#;").rstrip())
            continue
        header = _SECTION_LINE.match(stripped)
        if header is not None:
            section = header[1]
        if stripped:
            found.setdefault(section, []).extend(pending)
            pending = []
    found.setdefault(section, []).extend(pending)
    return found


def to_toml(path: str, text: Text, source: str, declaration: Declaration, outside: Outside, faults: Faults) -> str:
    """Return the TOML text for a file that was read without errors."""
    kept = comments(source)
    parts = [_HEADER.format(path=path), *_supervisor(declaration, kept), *_http(declaration, kept)]
    names = {f"ENV_{name}": value for name, value in {**outside.environ, **declaration.daemon.environment}.items()}
    groups = {member.program: member.group for member in declaration.members.values()}
    for section in text.sections.values():
        if section.kind in PROGRAM_KINDS:
            group = groups.get(section.label, section.label)
            numbered = _numbered(section)
            where = section.path.rpartition("/")[0]
            reader = Reader(numbered, faults, {
                **names, "here": where, "program_name": section.label, "group_name": group,
                "host_node_name": outside.host,
            })  # fmt: skip
            context = Context(declaration.daemon, "", outside)
            lines = kept.get(section.name, [])
            for process in read_processes(reader, group, context, section.kind):
                lines = [*lines, *_program(section, process.program, group, outside.environ)]
            parts.append("\n" + "\n".join(lines))
    return "\n".join(part.rstrip("\n") for part in parts) + "\n"


def _numbered(section: Section) -> Section:
    """Return a section of one process in which the number of the process is left open."""
    options = {
        key: msgspec.structs.replace(option, value=_NUMBER.sub(_open_number, option.value))
        for key, option in section.options.items()
        if key not in ("numprocs", "numprocs_start", "process_name")
    }
    return msgspec.structs.replace(section, options=options)


def _open_number(match: re.Match[str]) -> str:
    width = f":0{match[1]}" if match[1] else ""
    return f"{_OPEN}process_num{width}{_CLOSE}"


def _supervisor(declaration: Declaration, kept: Mapping[str, list[str]]) -> Iterator[str]:
    daemon = declaration.daemon
    yield "\n" + "\n".join([*kept.get("supervisord", []), "[supervisor]", f"identifier = {_text(daemon.identifier)}"])
    yield f"log = {_log_table(daemon.logfile, daemon.logfile_maxbytes, daemon.logfile_backups)}"
    yield f"log_dir = {_text(daemon.childlogdir)}"
    yield f'umask = "{daemon.umask:03o}"'
    if daemon.user:
        yield f"user = {_text(daemon.user)}"


def _http(declaration: Declaration, kept: Mapping[str, list[str]]) -> Iterator[str]:
    for server in declaration.servers:
        if server.path or not server.port:
            continue
        yield "\n" + "\n".join([*kept.get(server.section, []), "[http]"])
        host = server.host or ("0.0.0.0" if server.username else "127.0.0.1")  # noqa: S104 -- as the file says
        yield f'listen = "{host}:{server.port}"'
        if server.username:
            yield f"username = {_text(server.username)}\npassword = {_text(server.password)}"
        return


def _program(section: Section, program: Program, group: str, environ: Mapping[str, str]) -> Iterator[str]:
    if section.kind == "eventlistener":
        yield f"# [eventlistener:{section.label}] is only run by 'genii supervisord'; see 'genii events' and hooks."
        return
    if group != section.label:
        yield f"# was in [group:{group}]"
    yield f"[program.{_key(section.label)}]"
    yield f"command = [{', '.join(_filled(word) for word in program.command)}]"
    has = section.options.keys()
    if "numprocs" in has:
        yield f"processes = {section.options['numprocs'].value}"
    if "process_name" in has:
        pattern = _NUMBER.sub(_open_number, section.options["process_name"].value)
        pattern = pattern.replace("%(program_name)s", section.label).replace("%(group_name)s", group)
        if "%" not in pattern:
            yield f"process_name = {_filled(pattern)}"
    yield from _simple(program, has)
    own = {
        key: value
        for key, value in program.environment.items()
        if not key.startswith("SUPERVISOR_") and not (key in ACCOUNT and value == environ.get(key))
    }
    if own:
        yield f"environment = {{ {', '.join(f'{_key(key)} = {_filled(value)}' for key, value in own.items())} }}"
    if {"stopsignal", "stopwaitsecs", "stopasgroup"} & has:
        stop = program.stop
        group_text = str(stop.group).lower()
        yield (
            f'stop = {{ signal = "{format_signal(stop.signal)}", timeout = "{format_duration(stop.timeout)}", '
            f"group = {group_text} }}"
        )
    yield from _logs(program, has)
    if section.kind == "fcgi-program":
        yield "# supervisord passes this socket as standard input; here it is descriptor 3 (LISTEN_FDS)"
        yield f"sockets = {{ fcgi = {_text(section.options['socket'].value)} }}"


def _simple(program: Program, has: Collection[str]) -> Iterator[str]:
    written = {
        "autostart": ("autostart", str(program.autostart).lower()),
        "priority": ("priority", str(program.priority)),
        "startsecs": ("startsecs", f'"{format_duration(program.startsecs)}"'),
        "startretries": ("retries", str(program.retries)),
        "autorestart": ("restart", f'"{program.restart.value}"'),
        "exitcodes": ("exit_codes", str(list(program.exit_codes))),
        "user": ("user", _text(program.user)),
        "directory": ("directory", _filled(program.directory)),
        "umask": ("umask", f'"{program.umask:03o}"'),
    }
    yield from (f"{key} = {value}" for option, (key, value) in written.items() if option in has)


def _logs(program: Program, has: Collection[str]) -> Iterator[str]:
    tables = []
    for channel, log in (("stdout", program.logs.stdout), ("stderr", program.logs.stderr)):
        if log is None:
            tables.append('stderr = "stdout"')
        elif f"{channel}_logfile" in has and "---" not in log.path:
            tables.append(f"{channel} = {_log_of(log)}")
    if tables:
        yield f"logs = {{ {', '.join(tables)} }}"


def _log_of(log: Log) -> str:
    return _log_table(log.path, log.size, log.backups) if log.path else '"none"'


def _log_table(path: str, size: int, backups: int) -> str:
    size_text = f'"{format_size(size)}"' if size else "0"
    return f"{{ path = {_filled(path)}, size = {size_text}, backups = {backups} }}"


def _key(text: str) -> str:
    return text if re.fullmatch(r"[A-Za-z0-9_-]+", text) else json.dumps(text, ensure_ascii=False)


def _text(text: str) -> str:
    """Return a TOML string that means exactly this text."""
    quoted = json.dumps(text.replace("$", "$$"), ensure_ascii=False)
    return quoted.replace("\x7f", "\\u007f")


def _filled(text: str) -> str:
    """Return a TOML string for a text of the model, in which braces are doubled already."""
    return _text(text).replace("\\u0002", "{").replace("\\u0003", "}")
