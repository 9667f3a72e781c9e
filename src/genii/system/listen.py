"""Listening sockets by address: ``127.0.0.1:9090``, ``[::1]:9090``, ``:9090``, ``unix:/path``."""

from __future__ import annotations

import errno
import os
import socket

from genii.system.address import Address, is_loopback, parse_address

__all__ = ["Address", "is_loopback", "listen", "listen_tcp", "listen_unix", "parse_address"]

_BACKLOG = 1024
_LONGEST_PATH = 107


def listen(text: str, *, mode: int = 0o600) -> list[socket.socket]:
    """Listen at an address; a name may have several (``localhost``: IPv4 and IPv6).

    Raises:
        UsageError: it is not an address.
        OSError: it is in use, not ours, or not allowed; a note names it.
    """
    address = parse_address(text)
    try:
        return [listen_unix(address.path, mode=mode)] if address.path else listen_tcp(address.host, address.port)
    except OSError as error:
        error.add_note(f"while listening at {address}")
        raise


def listen_tcp(host: str, port: int, *, backlog: int = _BACKLOG) -> list[socket.socket]:
    """Listen at every address that ``host`` has; port 0 takes the same free port for each of them."""
    family = socket.AF_UNSPEC if host else socket.AF_INET
    # As bytes: the codec for names in other scripts would stay in memory with all its tables.
    name = host.encode("ascii") if host.isascii() else host
    found = socket.getaddrinfo(name or None, port, family, socket.SOCK_STREAM, 0, socket.AI_PASSIVE)
    listeners: list[socket.socket] = []
    try:
        for kind, _, _, _, where in dict.fromkeys(found):
            # With protocol 0 asyncio would not set TCP_NODELAY on accepted connections, and Nagle costs 40 ms each.
            listener = socket.socket(kind, socket.SOCK_STREAM, socket.IPPROTO_TCP)
            listeners.append(listener)
            listener.setblocking(False)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if kind == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind((where[0], port, *where[2:]))
            listener.listen(backlog)
            port = listener.getsockname()[1]
    except OSError:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def listen_unix(path: str, *, mode: int = 0o600, backlog: int = _BACKLOG, complete: bool = False) -> socket.socket:
    """Listen at a path; a socket that nobody listens to is replaced, anything else is left alone.

    With ``complete`` the file appears only when connections are taken; for ``getsockname`` it has another name then.

    Raises:
        OSError: EADDRINUSE, somebody listens there, or the path is no socket; ENAMETOOLONG, see unix(7).
    """
    if len(os.fsencode(path)) > _LONGEST_PATH:
        raise OSError(errno.ENAMETOOLONG, f"the path of a socket has at most {_LONGEST_PATH} bytes; shorten", path)
    first = f"{path}.{os.getpid()}" if complete else path
    if len(os.fsencode(first)) > _LONGEST_PATH:
        first = path
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.setblocking(False)
        _remove_stale(path)
        if first != path:
            _remove_stale(first)
        # The mode is there from the first moment: chmod would come late, and would follow a link put there meanwhile.
        earlier = os.umask(0o777 & ~mode)
        try:
            listener.bind(first)
        finally:
            os.umask(earlier)
        listener.listen(backlog)
        if first != path:
            _show(first, path)
    except OSError:
        listener.close()
        raise
    return listener


def _show(first: str, path: str) -> None:
    """Give a socket its name; not by renaming, which would take the place of another's."""
    try:
        os.link(first, path)
    except FileExistsError:
        raise OSError(errno.EADDRINUSE, "somebody listens there", path) from None
    finally:
        os.unlink(first)


def _remove_stale(path: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        # Non-blocking: a listener whose queue is full would hold us; EAGAIN says that it lives.
        probe.setblocking(False)
        result = probe.connect_ex(path)
    if result == errno.ECONNREFUSED and not os.path.isfile(path):
        os.unlink(path)
    elif result != errno.ENOENT:
        raise OSError(errno.EADDRINUSE, "somebody listens there, or it is no socket", path)
