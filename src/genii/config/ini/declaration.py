"""What a file in supervisord's language says beyond the model of genii: kept only for its clients. No I/O.

It travels as JSON in ``Settings.supervisord`` and is decoded only by what serves supervisord's clients.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from genii.supervise.model import Log  # noqa: TC001 -- msgspec reads the annotations

__all__ = [
    "Daemon",
    "Declaration",
    "Group",
    "HttpServer",
    "Member",
    "Plugin",
    "Stream",
    "decode",
]


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The base of the records here: immutable and compact."""


class Daemon(Record, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The section [supervisord]; paths are absolute."""

    logfile: str
    """``syslog``: the system's log."""
    logfile_maxbytes: int = 50 << 20
    logfile_backups: int = 10
    loglevel: str = "info"
    pidfile: str = ""
    umask: int = 0o022
    nodaemon: bool = False
    silent: bool = False
    minfds: int = 1024
    minprocs: int = 200
    nocleanup: bool = False
    childlogdir: str = ""
    user: str = ""
    directory: str = ""
    strip_ansi: bool = False
    environment: dict[str, str] = {}
    identifier: str = "supervisor"


class HttpServer(Record, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One section [unix_http_server] or [inet_http_server]; ``path`` is that of a unix socket."""

    section: str
    path: str = ""
    mode: int = 0o700
    uid: int = -1
    gid: int = -1
    host: str = ""
    port: int = 0
    username: str = ""
    password: str = ""

    @property
    def url(self) -> str:
        """Return the URL under which its programs reach it."""
        return f"unix://{self.path}" if self.path else f"http://{self.host or 'localhost'}:{self.port}"


class Stream(Record, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What is done with one output stream besides its log."""

    auto: bool = False
    """Whether the log's name is made up at the start."""
    capture: int = 0
    events: bool = False
    syslog: bool = False
    log: Log | None = None
    """Its log where the keeper does not write that, because something is taken out of the stream before."""


class Member(Record, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One process as supervisord's clients see it; its program in the model is called as ``namespec`` says."""

    group: str
    name: str
    program: str
    """The name of its section."""
    priority: int = 999
    autorestart: bool | None = None
    killasgroup: bool = False
    command: str = ""
    uid: int = -1
    serverurl: str = ""
    stdout: Stream = Stream()
    stderr: Stream = Stream()


class Group(Record, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A process group: what is added, removed and compared as a whole."""

    name: str
    kind: Literal["program", "group", "fcgi-program", "eventlistener"] = "program"
    priority: int = 999
    members: tuple[str, ...] = ()
    """Names of its programs in the model, in the order in which they are started."""
    events: tuple[str, ...] = ()
    buffer_size: int = 10
    result_handler: str = ""
    socket: str = ""


class Plugin(Record, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A section [rpcinterface:x]."""

    name: str
    factory: str
    options: dict[str, str] = {}


class Declaration(Record, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """All of it."""

    daemon: Daemon
    servers: tuple[HttpServer, ...] = ()
    plugins: tuple[Plugin, ...] = ()
    groups: dict[str, Group] = {}
    """By name, in the order in which they are started."""
    members: dict[str, Member] = {}
    """By the name of the program in the model."""
    included: tuple[str, ...] = ()


def decode(text: str) -> Declaration:
    """Read what ``Settings.supervisord`` holds."""
    return msgspec.json.decode(text, type=Declaration)
