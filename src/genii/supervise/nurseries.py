"""The nurseries of programs whose workers start warm: one each, asked for new processes when it is ready.

Until it is, and whenever something is wrong with it, workers are started as any program is: a nursery makes them faster
and is never needed.
"""

from __future__ import annotations

import array
import contextlib
import logging
import marshal
import os
import signal
import socket
from typing import TYPE_CHECKING, Any

from genii.supervise.environment import MARK
from genii.system.spawn import SpawnError

if TYPE_CHECKING:
    from collections.abc import Callable

    from genii.supervise.model import Program
    from genii.system.poller import Poller
    from genii.system.spawn import Command, Spawner

__all__ = ["Nurseries"]

_log = logging.getLogger(__name__)
_PATIENCE = 2.0
"""Seconds that a fork may take."""
_PAUSE = 1.0
"""Seconds between two attempts to have a nursery."""


class _Nursery:
    """The supervisor's end of one nursery."""

    __slots__ = ("digest", "link", "pid", "ready")

    def __init__(self, pid: int, link: socket.socket, digest: int) -> None:
        self.pid = pid
        self.link = link
        self.digest = digest
        self.ready = False


class Nurseries:
    """All nurseries of a supervisor."""

    def __init__(self, spawner: Spawner, poller: Poller, clock: Callable[[], float]) -> None:
        self._spawner = spawner
        self._poller = poller
        self._clock = clock
        self._by_program: dict[str, _Nursery] = {}
        self._tried: dict[str, float] = {}
        self._refused: set[str] = set()
        self._unborn: dict[int, int] = {}
        """Pid -> the descriptor on which it is told to begin."""

    def spawn(self, program: Program, digest: int, command: Command) -> int:
        """Start a process of a program from its nursery; 0: start it as any other, there is no nursery now."""
        name = program.name
        nursery = self._by_program.get(name)
        if nursery is not None and nursery.digest != digest:
            self.renew(name)
            nursery = None
        if nursery is None:
            self._prepare(program, digest, command)
            return 0
        return self._ask(name, nursery, command) if nursery.ready else 0

    def begin(self, pid: int) -> None:
        """Let a new process begin: it has been written down."""
        descriptor = self._unborn.pop(pid, -1)
        if descriptor >= 0:
            with contextlib.suppress(OSError):
                os.write(descriptor, b"b")
            os.close(descriptor)

    def renew(self, name: str) -> None:
        """Have the next processes of a program load its code anew."""
        self._end(name)
        self._tried.pop(name, None)
        self._refused.discard(name)

    def close(self) -> None:
        """End all nurseries."""
        for name in list(self._by_program):
            self._end(name)
        for pid in list(self._unborn):
            os.close(self._unborn.pop(pid))

    def _prepare(self, program: Program, digest: int, command: Command) -> None:
        """Start a nursery; it takes as long as a worker needs to load."""
        name, now = program.name, self._clock()
        if name in self._refused or now < self._tried.get(name, -_PAUSE) + _PAUSE:
            return
        self._tried[name] = now
        ours, theirs = socket.socketpair()
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        # It is none of the program's processes, and must not be taken for one by a later supervisor.
        environment = {key: value for key, value in command.environment.items() if key != "NOTIFY_SOCKET"}
        environment[MARK] = f"{name}/nursery"
        try:
            pid = self._spawner.spawn(
                command._replace(
                    argv=(*program.command, "--nursery"),
                    environment=environment,
                    stdin=theirs.fileno(),
                    stdout=null,
                    stderr=null,
                )
            )
        except SpawnError as error:
            _log.warning("%s: no warm start: %s", name, error)
            ours.close()
            return
        finally:
            theirs.close()
            os.close(null)
        self._spawner.helpers.add(pid)
        ours.settimeout(_PATIENCE)
        self._by_program[name] = _Nursery(pid, ours, digest)
        self._poller.add(ours.fileno(), lambda: self._heard(name))

    def _heard(self, name: str) -> None:
        """Take in what a nursery says unasked: that it is ready, that it can't be, that it is gone."""
        nursery = self._by_program[name]
        try:
            message = _read(nursery.link)
        except (OSError, ValueError, EOFError):
            self._end(name)
            return
        nursery.ready = message == "ready"
        if not nursery.ready:
            _log.warning("%s: its workers can't start warm: %s", name, message)
            self._refused.add(name)
            self._end(name)

    def _ask(self, name: str, nursery: _Nursery, command: Command) -> int:
        told, tell = os.pipe2(os.O_CLOEXEC)
        try:
            body = marshal.dumps((command.environment, command.directory))
            descriptors = array.array("i", [command.stdin, command.stdout, command.stderr, told])
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)]
            nursery.link.sendmsg([len(body).to_bytes(4, "big")], rights)
            nursery.link.sendall(body)
            pid, number = _read(nursery.link)
            if number:
                raise OSError(number, os.strerror(number))
        except (OSError, ValueError, EOFError, TypeError) as error:
            _log.warning("%s: its nursery failed: %s; starting cold", name, error)
            os.close(tell)
            self._end(name)
            return 0
        finally:
            os.close(told)
        self._unborn[pid] = tell
        return int(pid)

    def _end(self, name: str) -> None:
        nursery = self._by_program.pop(name, None)
        if nursery is None:
            return
        self._poller.remove(nursery.link.fileno())
        nursery.link.close()
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(nursery.pid, signal.SIGKILL)
            os.waitpid(nursery.pid, 0)
        self._spawner.helpers.discard(nursery.pid)


def _read(link: socket.socket) -> Any:
    """Read one message; raises OSError, ValueError, EOFError or TypeError when it is none."""
    size = int.from_bytes(_read_exactly(link, 4), "big")
    return marshal.loads(_read_exactly(link, size))  # noqa: S302 -- our own child, over a private socket


def _read_exactly(link: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = link.recv(size - len(data))
        if not part:
            raise ConnectionResetError(104, "it has ended")
        data += part
    return data
