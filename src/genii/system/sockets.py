"""Listening sockets from URLs: ``tcp://host:port``, ``unix:///path``."""

from __future__ import annotations

import os
import socket
import stat
from urllib.parse import urlsplit

from genii.system.privileges import resolve

__all__ = ["bind", "split_url"]


def split_url(url: str) -> tuple[str, int]:
    """Return (host, port) of a TCP URL, or (path, -1) of a unix one.

    Raises:
        ValueError: it is neither.
    """
    parts = urlsplit(url)
    if parts.scheme == "unix" and parts.path.startswith("/"):
        return parts.path, -1
    if parts.scheme == "tcp" and parts.port is not None and parts.path in ("", "/"):
        return parts.hostname or "", parts.port
    raise ValueError(f"{url!r} is not a socket; write tcp://127.0.0.1:8000 or unix:///run/name.sock")


def bind(url: str, *, backlog: int = 2048, mode: int = 0o600, user: str = "", group: str = "") -> socket.socket:
    """Return a listening socket; ``mode`` and owner are those of a unix socket's file.

    A socket file that nobody listens on any more is replaced.

    Raises:
        OSError: the address is in use or can't be had; the error names it.
        ValueError: not a URL of a socket.
    """
    host, port = split_url(url)
    try:
        if port < 0:
            return _bind_unix(host, backlog, mode, user, group)
        return _bind_tcp(host, port, backlog)
    except OSError as error:
        raise OSError(error.errno, f"can't listen on {url}: {os.strerror(error.errno or 0)}") from None


def _bind_tcp(host: str, port: int, backlog: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE
        )
    except socket.gaierror as error:
        raise OSError(99, str(error)) from None
    family, kind, protocol, _, address = found[0]
    # With the protocol named, asyncio sets TCP_NODELAY on what it accepts.
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if not host else 1)
        listener.bind(address)
        listener.listen(backlog)
    except BaseException:
        listener.close()
        raise
    return listener


def _bind_unix(path: str, backlog: int, mode: int, user: str, group: str) -> socket.socket:
    _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # The mode of the descriptor becomes that of the file: there is no moment when others may connect.
        os.fchmod(listener.fileno(), mode)
        old = os.umask(0)
        try:
            listener.bind(path)
        finally:
            os.umask(old)
        if user or group:
            identity = resolve(user, group)
            os.chown(path, identity.uid if user else -1, identity.gid, follow_symlinks=False)
        listener.listen(backlog)
    except BaseException:
        listener.close()
        raise
    return listener


def _remove_stale(path: str) -> None:
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return  # bind tells that the address is in use
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
        except OSError:
            return
