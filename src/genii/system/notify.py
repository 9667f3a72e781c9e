"""sd_notify: a program tells whoever started it that it is ready, and the other side that listens.

The protocol is that of sd_notify(3): datagrams of ``KEY=value`` lines to the unix socket named by ``NOTIFY_SOCKET``.
"""

from __future__ import annotations

import os
import socket
import struct

TYPE_CHECKING = False  # typing costs more to import than the rest of this module
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

__all__ = ["NotifySocket", "notify", "parse_message"]

_LARGEST = 8192
_CREDENTIALS = struct.Struct("=iII")  # struct ucred: pid, uid, gid; see unix(7)


def notify(message: str, *, clear: bool = False) -> bool:
    """Tell the service manager ``"READY=1"``, ``"STATUS=..."``, ``"STOPPING=1"``: one or more ``KEY=value`` lines.

    Returns False when nobody listens (``NOTIFY_SOCKET`` unset, or its socket gone): then there is nothing to do.
    ``clear`` removes the variable, so that children do not speak for this process. Raises ``ValueError`` for an
    address that is neither a path nor abstract.
    """
    address = os.environ.pop("NOTIFY_SOCKET", "") if clear else os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address[0] not in "/@":
        raise ValueError(f"NOTIFY_SOCKET={address!r} is neither a path nor an abstract address (@name)")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        try:
            sender.connect("\0" + address[1:] if address[0] == "@" else address)
            sender.sendall(message.encode())
        except (ConnectionError, FileNotFoundError):
            return False
    return True


def parse_message(data: bytes) -> dict[str, str]:
    """Read one datagram; lines that are not ``KEY=value`` are left out, the last of a repeated key counts."""
    fields = {}
    for line in data.decode(errors="replace").splitlines():
        key, equals, value = line.partition("=")
        if equals and key:
            fields[key] = value
    return fields


class NotifySocket:
    """The listening side: a datagram socket whose messages the kernel signs with the sender's pid.

    ``path`` is where the socket is made (mode 0600; a stale one is replaced); None: an abstract address, which needs
    no cleaning up and which any local user can send to, so compare the pid. ``address`` goes into ``NOTIFY_SOCKET``.
    The socket does not block; watch ``fileno()``.
    """

    def __init__(self, path: str | None = None, *, descriptor: int = -1) -> None:
        """With ``descriptor`` it is one that was made before this program was executed anew."""
        self._path = path
        if descriptor >= 0 and path is not None:
            self._socket = socket.socket(fileno=descriptor)
            self.address = os.path.abspath(path)
            return
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            if path is None:
                self.address = "@genii-notify-" + os.urandom(12).hex()
                self._socket.bind("\0" + self.address[1:])
            else:
                self.address = os.path.abspath(path)
                _bind_path(self._socket, self.address)
        except BaseException:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """Return the descriptor to watch for reading."""
        return self._socket.fileno()

    def messages(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Yield (pid of the sender, fields) for each message that waits; never blocks.

        The pid is 0 when the sender lives outside our pid namespace. Messages that are cut off, and descriptors that
        came along (``FDSTORE=1``), are dropped: the latter closed, so that nobody can fill our table.
        """
        room = socket.CMSG_SPACE(_CREDENTIALS.size) + socket.CMSG_SPACE(253 * 4)  # SCM_MAX_FD
        while True:
            try:
                data, ancillary, flags, _ = self._socket.recvmsg(_LARGEST, room, socket.MSG_CMSG_CLOEXEC)
            except (BlockingIOError, InterruptedError):
                return
            pid = 0
            for level, kind, payload in ancillary:
                if level != socket.SOL_SOCKET:
                    continue
                if kind == socket.SCM_CREDENTIALS and len(payload) >= _CREDENTIALS.size:
                    pid = _CREDENTIALS.unpack_from(payload)[0]
                elif kind == socket.SCM_RIGHTS:
                    for (descriptor,) in struct.iter_unpack("=i", payload[: len(payload) // 4 * 4]):
                        os.close(descriptor)
            if not flags & socket.MSG_TRUNC:
                yield pid, parse_message(data)

    def close(self) -> None:
        """Close the socket and remove its file."""
        self._socket.close()
        if self._path is not None:
            _unlink(self.address)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _bind_path(listener: socket.socket, path: str) -> None:
    _unlink(path)
    # The mode of the descriptor becomes that of the socket's file: there is no moment when others may send.
    os.fchmod(listener.fileno(), 0o600)
    listener.bind(path)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
