"""The listening sockets of a server: inherited from whoever started it, or bound here."""

from __future__ import annotations

import os
import socket
import stat

from genii.errors import UsageError
from genii.system.address import parse_address
from genii.system.listen import listen_tcp, listen_unix
from genii.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["DEFAULT_BACKLOG", "bind", "describe", "inherited", "open_listeners", "prepare"]

DEFAULT_BACKLOG = 2048
_FIRST_INHERITED = 3  # SD_LISTEN_FDS_START of sd_listen_fds(3)


def open_listeners(
    listen: str | Sequence[str], *, backlog: int = DEFAULT_BACKLOG, reuse_port: bool = False, mode: int = 0o600
) -> list[socket.socket]:
    """Return the sockets that were inherited (LISTEN_FDS), else bind those of ``listen``.

    Raises:
        UsageError: nothing to listen at, or no address.
        OSError: it is in use, or not allowed; the error names it.
    """
    found = inherited()
    if found:
        return found
    addresses = [listen] if isinstance(listen, str) else list(listen)
    if not addresses:
        raise UsageError("nowhere to listen: give listen='127.0.0.1:36000', or start it with an inherited socket")
    return bind(addresses, backlog=backlog, reuse_port=reuse_port, mode=mode)


def inherited() -> list[socket.socket]:
    """Return the listening sockets that sd_listen_fds(3) would return; empty: there are none for this process."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    try:
        count = int(os.environ.get("LISTEN_FDS", ""))
    except ValueError:
        return []
    return [socket.socket(fileno=number) for number in range(_FIRST_INHERITED, _FIRST_INHERITED + count)]


def bind(addresses: Sequence[str], *, backlog: int, reuse_port: bool = False, mode: int = 0o600) -> list[socket.socket]:
    """Listen at all of the addresses; raises ``UsageError`` and ``OSError`` as ``open_listeners``."""
    listeners: list[socket.socket] = []
    try:
        for text in addresses:
            address = parse_address(text)
            try:
                if address.path:
                    listeners.append(listen_unix(os.path.abspath(address.path), mode=mode, backlog=backlog))
                elif reuse_port:
                    listeners.append(_listen_shared_port(address.host, address.port, backlog))
                else:
                    listeners += listen_tcp(address.host, address.port, backlog=backlog)
            except OSError as error:
                raise OSError(error.errno, f"can't listen at {address}: {error.strerror}") from None
    except (OSError, UsageError):
        for listener in listeners:
            listener.close()
        raise
    return listeners


def _listen_shared_port(host: str, port: int, backlog: int) -> socket.socket:
    """Listen with SO_REUSEPORT: other servers of the same user may listen at this port, too."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, port))
        listener.listen(backlog)
    except OSError:
        listener.close()
        raise
    return listener


def prepare(listeners: Sequence[socket.socket], *, blocking: bool, receive_timeout: float) -> None:
    """Set what accepted connections take over from their listener.

    TCP_NODELAY, and SO_RCVTIMEO where connections are blocking: then accept(2) looks up at times, too.
    Raises ``UsageError`` for a descriptor that is no listening stream socket.
    """
    for listener in listeners:
        if not stat.S_ISSOCK(os.fstat(listener.fileno()).st_mode) or not listener.getsockopt(
            socket.SOL_SOCKET, socket.SO_ACCEPTCONN
        ):
            raise UsageError(f"descriptor {listener.fileno()} is not a listening socket")
        if listener.family in (socket.AF_INET, socket.AF_INET6):
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.setblocking(blocking)
        if blocking and receive_timeout:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval(receive_timeout))
        listener.set_inheritable(False)


def timeval(seconds: float) -> bytes:
    """Return a ``struct timeval`` for setsockopt(2)."""
    import struct

    whole = int(seconds)
    return struct.pack("@ll", whole, int((seconds - whole) * 1e6))


def describe(listener: socket.socket) -> str:
    """Return the address for people: ``127.0.0.1:36000``, ``unix:/run/x.sock``."""
    name = listener.getsockname()
    if isinstance(name, tuple):
        host, port = name[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return f"unix:{name}"
