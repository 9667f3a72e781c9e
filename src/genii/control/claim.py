"""The claim of a supervisor on its place: nobody else may supervise the same programs.

The pid file in the state directory tells who is there, and is locked. Whoever removes that directory removes the lock
with it; a socket in the abstract namespace (unix(7)), named for the directory, goes on saying that a supervisor runs.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import struct
from typing import TYPE_CHECKING

from genii.errors import AlreadyRunning
from genii.system.pidfile import PidFile

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Claim"]

_log = logging.getLogger("genii")


class Claim:
    """A context manager: entered, it claims the state directory; left, it gives it up."""

    def __init__(self, state_dir: str) -> None:
        from _blake2 import blake2b  # hashlib would load OpenSSL: 4 MiB for the same function

        self._state_dir = state_dir
        place = f"{os.geteuid()} {os.path.realpath(state_dir)}".encode()
        self._name = "\0genii-" + blake2b(place, digest_size=20).hexdigest()
        self._pid_file = PidFile(os.path.join(state_dir, "genii.pid"))
        self._guard: socket.socket | None = None

    def descriptors(self) -> tuple[int, int]:
        """Return those of the pid file and of the socket; -1: there is none."""
        return self._pid_file.fileno(), self._guard.fileno() if self._guard else -1

    def adopt(self, pid_file: int, guard: int) -> None:
        """Take over what this process had claimed before it executed itself anew."""
        self._pid_file.adopt(pid_file)
        self._guard = socket.socket(fileno=guard) if guard >= 0 else None

    def __enter__(self) -> Self:
        """Claim the place, unless ``adopt`` has done so.

        Raises:
            AlreadyRunning: a supervisor has it.
            NotAllowed: the pid file can't be used.
        """
        if self._pid_file.fileno() < 0:
            self._pid_file.acquire()
            try:
                self._stand_guard()
            except AlreadyRunning:
                self._pid_file.remove()
                raise
            self._pid_file.write()
        return self

    def __exit__(self, *exception: object) -> None:
        self._pid_file.remove()
        if self._guard is not None:
            self._guard.close()

    def _stand_guard(self) -> None:
        guard = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            guard.bind(self._name)
        except OSError as error:
            guard.close()
            if error.errno == errno.EADDRINUSE:
                self._refuse()
            return
        guard.listen(1)
        self._guard = guard

    def _refuse(self) -> None:
        """Give way to a supervisor of our user; anybody may take a name, but only that counts."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)
            if probe.connect_ex(self._name) not in (0, errno.EAGAIN):
                return
            pid, uid = _peer(probe)
        if pid and uid in (0, os.geteuid()):
            raise AlreadyRunning(
                f"already running as process {pid}, whose state directory {self._state_dir} was removed or replaced; "
                f"'kill {pid}' stops it with its programs",
                pid,
            )
        _log.warning("user %d holds the name of this supervisor's lock; only the pid file guards it", uid)


def _peer(connection: socket.socket) -> tuple[int, int]:
    """Return pid and user of who listens at the other end (SO_PEERCRED); pid 0: nobody could be asked."""
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    pid, uid, _ = struct.unpack("3i", data)
    return max(pid, 0), uid
