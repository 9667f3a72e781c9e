"""The sections about supervisord itself: [supervisord], its servers, [rpcinterface:x]. No I/O."""

from __future__ import annotations

from posixpath import dirname, join
from typing import TYPE_CHECKING

import msgspec

from genii.config.ini import values
from genii.config.ini.declaration import Daemon, HttpServer, Plugin
from genii.config.ini.expand import environment

if TYPE_CHECKING:
    from collections.abc import Callable

    from genii.config.ini.reader import Outside, Reader

__all__ = ["MAIN_INTERFACE", "existing_path", "owner", "read_daemon", "read_plugin", "read_server"]

MAIN_INTERFACE = "supervisor.rpcinterface:make_main_rpcinterface"


def existing_path(outside: Outside) -> Callable[[str], str]:
    """Return the function that makes a path absolute and wants its directory to be there."""

    def parse(text: str) -> str:
        path = _absolute(text, outside)
        if not outside.is_directory(dirname(path)):
            raise ValueError(f"the directory {dirname(path)} does not exist; make it")
        return path

    return parse


def _absolute(text: str, outside: Outside) -> str:
    return join(outside.directory, outside.expand_home(text.strip()))


def _directory(outside: Outside) -> Callable[[str], str]:
    def parse(text: str) -> str:
        path = _absolute(text, outside)
        if not outside.is_directory(path):
            raise ValueError(f"{path} is not a directory; make it")
        return path

    return parse


def read_daemon(reader: Reader, outside: Outside) -> Daemon:
    """Read the section [supervisord]."""
    existing = existing_path(outside)

    def logfile(text: str) -> str:
        return "syslog" if text.strip().lower() == "syslog" else existing(text)

    def user(text: str) -> str:
        outside.user(text)
        return text.strip()

    daemon = Daemon(
        logfile=reader.get("logfile", logfile, join(outside.directory, "supervisord.log")),
        logfile_maxbytes=reader.get("logfile_maxbytes", values.byte_size, 50 << 20),
        logfile_backups=reader.get("logfile_backups", values.integer, 10),
        loglevel=reader.get("loglevel", values.log_level, "info"),
        pidfile=reader.get("pidfile", existing, join(outside.directory, "supervisord.pid")),
        umask=reader.get("umask", values.octal, 0o022),
        nodaemon=reader.get("nodaemon", values.boolean, False),
        silent=reader.get("silent", values.boolean, False),
        minfds=reader.get("minfds", values.integer, 1024),
        minprocs=reader.get("minprocs", values.integer, 200),
        nocleanup=reader.get("nocleanup", values.boolean, False),
        childlogdir=reader.get("childlogdir", _directory(outside), outside.temporary),
        user=reader.get("user", user, ""),
        directory=reader.get("directory", _directory(outside), ""),
        strip_ansi=reader.get("strip_ansi", values.boolean, False),
        environment=reader.get("environment", environment, {}),
        identifier=reader.get("identifier", str, "supervisor"),
    )
    reader.finish()
    return daemon


def read_server(reader: Reader, outside: Outside) -> HttpServer | None:
    """Read a section [unix_http_server] or [inet_http_server]; None: it is wrong."""
    username, password = reader.text("username"), reader.text("password")
    if reader.has("username") != reader.has("password"):
        reader.error("must set both username and password or neither")
    server = HttpServer(section=reader.section.name, username=username, password=password)
    if reader.section.kind == "inet_http_server":
        if not reader.has("port"):
            reader.error("lacks the option port; add for example port = 127.0.0.1:9001")
        host, port = reader.get("port", values.inet_port, ("", 0))
        reader.finish()
        return msgspec.structs.replace(server, host=host, port=port) if port else None
    if not reader.has("file"):
        reader.error("lacks the option file; add for example file = /run/supervisor.sock")
    path = reader.get("file", existing_path(outside), "")
    uid, gid = reader.get("chown", lambda text: owner(text, outside), (-1, -1))
    mode = reader.get("chmod", values.octal, 0o700)
    reader.finish()
    return msgspec.structs.replace(server, path=path, mode=mode, uid=uid, gid=gid) if path else None


def owner(text: str, outside: Outside) -> tuple[int, int]:
    """Read ``user`` or ``user:group``."""
    user, colon, group = text.strip().partition(":")
    uid, gid = outside.user(user)
    return uid, (outside.group(group) if colon else gid)


def read_plugin(reader: Reader) -> Plugin | None:
    """Read a section [rpcinterface:x]; None: it is wrong, or the main interface, which is built in."""
    if not reader.has("supervisor.rpcinterface_factory"):
        reader.error("lacks the option supervisor.rpcinterface_factory = module:callable")
        return None
    factory = reader.text("supervisor.rpcinterface_factory").strip()
    if ":" not in factory:
        reader.error(f"{factory!r} is not of the form module:callable", "supervisor.rpcinterface_factory")
        return None
    others = {key: reader.text(key) for key in reader.section.options if key != "supervisor.rpcinterface_factory"}
    return Plugin(name=reader.section.label, factory=factory, options=others)
