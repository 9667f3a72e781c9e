"""All sections of a file in supervisord's language, made into one model. No I/O."""

from __future__ import annotations

from posixpath import dirname
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from genii.config.ini import daemon as sections
from genii.config.ini import values
from genii.config.ini.control import read_control, read_control_plugin
from genii.config.ini.declaration import Declaration, Group
from genii.config.ini.events import LISTENED
from genii.config.ini.expand import exported
from genii.config.ini.program import Context, read_processes, read_socket
from genii.config.ini.reader import Reader
from genii.config.source import did_you_mean
from genii.errors import Problem
from genii.supervise.model import Log, Settings

if TYPE_CHECKING:
    from genii.config.ini.declaration import Daemon, HttpServer, Member, Plugin
    from genii.config.ini.program import Process
    from genii.config.ini.reader import Outside
    from genii.config.ini.text import Section, Text
    from genii.config.source import Faults
    from genii.supervise.model import Program

__all__ = ["PROGRAM_KINDS", "resolve"]

PROGRAM_KINDS = ("program", "fcgi-program", "eventlistener")
_KINDS = ("supervisord", "unix_http_server", "inet_http_server", "supervisorctl", "rpcinterface", "include", "group",
          "ctlplugin", *PROGRAM_KINDS)  # fmt: skip
_LEVELS = {"critical": "error", "error": "error", "warn": "warning", "info": "info"}
_SOCKET_OPTIONS = ("socket", "socket_owner", "socket_mode", "socket_backlog")
_LISTENER_OPTIONS = ("events", "buffer_size", "result_handler")


def resolve(path: str, text: Text, outside: Outside, faults: Faults) -> tuple[Settings, Declaration]:
    """Return the settings (without ``files`` and ``state_dir``), and what only supervisord's clients want to know."""
    _check_names(text, faults)
    found = _Resolver(path, text, outside, faults)
    daemon = found.daemon()
    servers = found.servers()
    url = next((server.url for server in sorted(servers, key=lambda server: not server.path)), "")
    groups, programs, members = found.programs(Context(daemon, url, outside))
    found.check_clients()
    declaration = Declaration(
        daemon=daemon,
        servers=servers,
        plugins=found.plugins(),
        groups=groups,
        members=members,
    )
    settings = Settings(
        path=path,
        log_level=_LEVELS.get(daemon.loglevel, "debug"),  # type: ignore[arg-type]
        log=Log(
            path="/dev/null" if daemon.logfile == "syslog" else daemon.logfile,
            size=daemon.logfile_maxbytes,
            backups=daemon.logfile_backups,
        ),
        umask=daemon.umask,
        identifier=daemon.identifier,
        supervisord=msgspec.json.encode(declaration).decode(),
        programs=programs,
    )
    return settings, declaration


def _check_names(text: Text, faults: Faults) -> None:
    """Warn of sections that mean nothing: supervisord ignores them without a word, and so a typo."""
    for section in text.sections.values():
        if section.kind not in _KINDS:
            hint = did_you_mean(section.kind, _KINDS)
            faults.warn(Problem(section.path, section.line, 1, f"[{section.name}] is ignored: unknown section{hint}"))


class _Found(NamedTuple):
    """A group with its processes."""

    group: Group
    processes: list[Process]


class _Resolver:
    """Read the sections of one kind after the other."""

    def __init__(self, path: str, text: Text, outside: Outside, faults: Faults) -> None:
        self._text = text
        self._outside = outside
        self._faults = faults
        self._path = path
        self._exported: dict[str, str | int] = dict(exported(outside.environ))

    def _of(self, kind: str) -> list[Section]:
        return [section for section in self._text.sections.values() if section.kind == kind]

    def _reader(self, section: Section, **names: str) -> Reader:
        return Reader(section, self._faults, {**self._exported, "here": dirname(section.path), **names})

    def daemon(self) -> Daemon:
        section = self._text.sections.get("supervisord")
        if section is None:
            from genii.config.ini.text import Section

            self._faults.add(Problem(self._path, 0, 0, "does not include a supervisord section; add [supervisord]"))
            section = Section("supervisord", self._path, 0)
        reader = Reader(section, self._faults, {**self._exported, "here": dirname(self._path)})
        daemon = sections.read_daemon(reader, self._outside)
        self._exported |= exported(daemon.environment)
        return daemon

    def servers(self) -> tuple[HttpServer, ...]:
        found = []
        for section in (*self._of("inet_http_server"), *self._of("unix_http_server")):
            reader = self._reader(section)
            server = sections.read_server(reader, self._outside)
            if server is not None:
                found.append(server)
                if not server.path and not server.username and not server.host.startswith(("127.", "localhost")):
                    reader.warn(f"{server.host or 'every address'} can be reached by others; set username and password")
        return tuple(found)

    def check_clients(self) -> None:
        """Read what only supervisorctl needs, to tell what is wrong with it."""
        for section in self._of("supervisorctl"):
            read_control(self._reader(section), self._outside)
        for section in self._of("ctlplugin"):
            read_control_plugin(self._reader(section))

    def plugins(self) -> tuple[Plugin, ...]:
        found = [sections.read_plugin(self._reader(section)) for section in self._of("rpcinterface")]
        return tuple(plugin for plugin in found if plugin is not None)

    def programs(self, context: Context) -> tuple[dict[str, Group], dict[str, Program], dict[str, Member]]:
        """Return groups, programs and members, in the order in which groups are started."""
        found: list[_Found] = []
        grouped: set[str] = set()
        for section in self._of("group"):
            found += self._group(section, context, grouped)
        for kind in PROGRAM_KINDS:
            for section in self._of(kind):
                if kind == "eventlistener" or section.label not in grouped:
                    found += self._own_group(section, context)
        found.sort(key=lambda one: (one.group.priority, one.group.name))
        groups: dict[str, Group] = {}
        programs: dict[str, Program] = {}
        members: dict[str, Member] = {}
        for group, processes in found:
            if group.name in groups:
                section = self._section_of(group)
                self._reader(section).error(f"the group {group.name!r} is there twice; rename one")
            groups[group.name] = group
            for program, member in processes:
                programs[program.name] = msgspec.structs.replace(program, priority=group.priority)
                members[program.name] = member
        return groups, programs, members

    def _section_of(self, group: Group) -> Section:
        return self._text.sections[f"{group.kind}:{group.name}"]

    def _name(self, reader: Reader) -> bool:
        try:
            values.name(reader.section.label)
        except ValueError as error:
            reader.error(str(error))
            return False
        return True

    def _group(self, section: Section, context: Context, grouped: set[str]) -> list[_Found]:
        """Read a section [group:x]; the names of its programs are added to ``grouped``."""
        reader = self._reader(section, group_name=section.label)
        names: tuple[str, ...] = reader.get("programs", values.names, ())
        if not names:
            reader.warn("names no programs; add programs = …")
        priority = reader.get("priority", values.integer, 999)
        reader.finish()
        processes: list[Process] = []
        for name in names:
            member = self._text.sections.get(f"program:{name}") or self._text.sections.get(f"fcgi-program:{name}")
            if member is None:
                known = [one.label for kind in PROGRAM_KINDS[:2] for one in self._of(kind)]
                reader.error(f"names unknown program {name}{did_you_mean(name, known)}", "programs")
                continue
            grouped.add(name)
            inner = self._reader(member, program_name=name, group_name=section.label, host_node_name=self._outside.host)
            processes += read_processes(inner, section.label, context, "program")
            inner.finish(_SOCKET_OPTIONS if member.kind == "fcgi-program" else ())
        if not self._name(reader):
            return []
        members = tuple(process.program.name for process in processes)
        return [_Found(Group(name=section.label, kind="group", priority=priority, members=members), processes)]

    def _own_group(self, section: Section, context: Context) -> list[_Found]:
        """Read a program that is a group of its own."""
        name, kind = section.label, section.kind
        reader = self._reader(section, program_name=name, group_name=name, host_node_name=self._outside.host)
        if not self._name(reader):
            return []
        processes = read_processes(reader, name, context, kind)
        group = Group(
            name=name,
            kind=kind,  # type: ignore[arg-type]
            priority=reader.get("priority", values.integer, -1 if kind == "eventlistener" else 999),
            members=tuple(process.program.name for process in processes),
        )
        if kind == "eventlistener":
            group = self._listener(reader, group)
        elif kind == "fcgi-program":
            socket = read_socket(reader, "fcgi", self._outside)
            if socket is not None:
                group = msgspec.structs.replace(group, socket=socket.url)
                processes = [
                    process._replace(program=msgspec.structs.replace(process.program, sockets=(socket,)))
                    for process in processes
                ]
        reader.finish()
        return [_Found(group, processes)]

    def _listener(self, reader: Reader, group: Group) -> Group:
        """Read what makes a program an event listener."""
        listed: tuple[str, ...] = reader.get("events", values.names, ())
        events = tuple(word.upper() for word in listed)
        if not events:
            reader.error("lacks the option events; add for example events = PROCESS_STATE")
        for event in events:
            if event not in LISTENED:
                reader.error(f"unknown event type {event}{did_you_mean(event, LISTENED)}", "events")
        if reader.get("redirect_stderr", values.boolean, False):
            reader.error("redirect_stderr=true is not allowed for an eventlistener", "redirect_stderr")
        size = reader.get("buffer_size", values.integer, 10)
        if size < 1:
            reader.error("must be 1 or more", "buffer_size")
        handler = reader.text("result_handler", "supervisor.dispatchers:default_handler")
        return msgspec.structs.replace(group, events=events, buffer_size=size, result_handler=handler)
