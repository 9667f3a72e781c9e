"""The supervisor's end of the launcher: start it when it is needed, ask it, survive its death."""

from __future__ import annotations

import array
import marshal
import os
import resource
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING

from genii.system import procfs

if TYPE_CHECKING:
    from genii.system.poller import Poller
    from genii.system.spawn import Command

__all__ = ["LauncherClient", "find_born"]

_SCRIPT = os.path.join(os.path.dirname(__file__), "launcher.py")
_PATIENCE = 10.0
"""Seconds to wait for an answer before the launcher is taken for dead."""


class LauncherError(OSError):
    """An error of one step of a launch; ``step`` says which."""

    step = ""


class LauncherClient:
    """Start processes through the launcher."""

    def __init__(self, poller: Poller | None = None) -> None:
        """``poller`` notices when the launcher has ended by itself, so that it is no zombie until the next start."""
        self._poller = poller
        self._link: socket.socket | None = None
        self.pid = 0

    def spawn(self, command: Command, path: str, files: tuple[int, int]) -> int:
        """Start a process; return its pid.

        Raises:
            OSError: a step failed; its name is in the attribute ``step`` of the error.
        """
        descriptors = [command.stdin, command.stdout, command.stderr, *(number for _, number in command.sockets)]
        environment = dict(command.environment)
        for number, (name, _) in enumerate(command.sockets):
            environment["LISTEN_FD_" + "".join(c if c.isalnum() else "_" for c in name.upper())] = str(3 + number)
        limits = {resource.RLIMIT_NOFILE: files}
        limits.update({getattr(resource, "RLIMIT_" + name.upper()): pair for name, pair in command.limits.items()})
        request = (
            path, list(command.argv), environment, command.directory, command.umask, command.uid, command.gid,
            list(command.groups) if command.groups is not None else None, limits, command.nice, command.oom_score,
            [name for name, _ in command.sockets],
        )  # fmt: skip
        pid, number, step = self._ask(marshal.dumps(request), descriptors, environment)
        if number:
            error = LauncherError(number, os.strerror(number))
            error.step = step if step in ("directory", "execute") else f"can't set its {step}"
            raise error
        return pid

    def _ask(self, body: bytes, descriptors: list[int], environment: dict[str, str]) -> tuple[int, int, str]:
        """Send a request; once more through a new launcher if the old one had just ended.

        Not if it had started the process already.
        """
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
        begun = int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))
        for attempt in (1, 2):
            link = self._connected()
            try:
                link.sendmsg([len(body).to_bytes(4, "big")], rights)
                link.sendall(body)
                size = int.from_bytes(self._read(link, 4), "big")
                answer: tuple[int, int, str] = marshal.loads(self._read(link, size))  # noqa: S302 -- our own child
                return answer
            except (ConnectionError, TimeoutError, OSError):
                self.close()
                if pid := find_born(environment, begun):
                    return pid, 0, ""
                if attempt == 2:
                    raise
        raise AssertionError

    def _read(self, link: socket.socket, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = link.recv(size - len(data))
            if not part:
                raise ConnectionResetError(104, "the launcher ended")
            data += part
        return data

    def _connected(self) -> socket.socket:
        if self._link is None:
            ours, theirs = socket.socketpair()
            with theirs:
                self.pid = os.posix_spawn(
                    sys.executable,
                    [sys.executable, "-I", "-S", _SCRIPT],
                    {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"},
                    file_actions=[(os.POSIX_SPAWN_DUP2, theirs.fileno(), 3)],
                    setsid=True,
                    setsigmask=(),
                )
            ours.settimeout(_PATIENCE)
            self._link = ours
            if self._poller is not None:
                self._poller.add(ours.fileno(), self.close)  # answers are read at once: what else comes is its end
        return self._link

    def close(self) -> None:
        """End the launcher; the next request starts a new one."""
        if self._link is None:
            return
        if self._poller is not None:
            self._poller.remove(self._link.fileno())
        self._link.close()
        self._link = None
        try:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass
        self.pid = 0


def find_born(environment: dict[str, str], begun: int) -> int:
    """Return the child that a launcher has made before it died; 0: there is none.

    It has the environment that was asked for, and was started at ``begun`` (ticks since boot) or later. One that was
    not yet the program is ended.
    """
    variables = {os.fsencode(f"{name}={value}") for name, value in environment.items()}
    for pid in procfs.own_children():
        try:
            if procfs.read_stat(pid).start_time < begun:
                continue
            if _SCRIPT in procfs.command_line(pid):  # still a copy of the launcher
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                continue
            if variables <= procfs.environment(pid):
                return pid
        except OSError:
            continue
    return 0
