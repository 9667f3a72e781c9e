"""Start a program: cheaply where posix_spawn can do it, through the launcher where it can't.

posix_spawn(3) is a vfork: its cost does not grow with ours. It can't change user, limits or scheduling, nor tell the
child its own pid (``LISTEN_PID``); ``launcher.py`` can.
"""

from __future__ import annotations

import os
import resource
import signal
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from genii.system.launcher_client import LauncherClient

if TYPE_CHECKING:
    from collections.abc import Mapping

    from genii.system.poller import Poller

__all__ = ["Command", "SpawnError", "Spawner", "find_executable"]

_DEFAULT_SIGNALS = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM)
_HOPELESS = frozenset({"ENOENT", "EACCES", "ENOTDIR", "ENOEXEC", "ELOOP", "EPERM", "E2BIG", "EINVAL", "ENAMETOOLONG"})


_SPARE = 16
"""Descriptors that are not used up by programs."""


class SpawnError(Exception):
    """Say why a program could not be started; ``fatal`` when trying again can't help."""

    def __init__(self, message: str, *, fatal: bool) -> None:
        super().__init__(message)
        self.fatal = fatal


class Command(NamedTuple):
    """All that a new process is made from; descriptors are ours, and inherited as the numbers given here."""

    argv: tuple[str, ...]
    environment: dict[str, str]
    stdin: int
    stdout: int
    stderr: int
    directory: str = ""
    umask: int = -1
    uid: int = -1
    gid: int = -1
    groups: tuple[int, ...] | None = None
    limits: Mapping[str, tuple[int, int]] = MappingProxyType({})
    nice: int = 0
    oom_score: int | None = None
    sockets: tuple[tuple[str, int], ...] = ()
    """Listening sockets by name, passed on from descriptor 3 upwards (sd_listen_fds(3))."""

    @property
    def needs_launcher(self) -> bool:
        """Say whether posix_spawn is not enough."""
        return bool(
            self.uid >= 0
            or self.gid >= 0
            or self.groups is not None
            or self.limits
            or self.nice
            or self.oom_score is not None
            or self.sockets
        )


def find_executable(name: str, environment: dict[str, str], directory: str = "") -> str:
    """Return the path that ``name`` stands for in the program's own ``PATH`` and directory.

    Raises:
        SpawnError: there is none, or it is not executable.
    """
    if "/" in name:
        path = os.path.join(directory, name)
        if not os.path.exists(path):
            raise SpawnError(f"command not found: {path}", fatal=True)
        if not os.access(path, os.X_OK) or os.path.isdir(path):
            raise SpawnError(f"not executable: {path}", fatal=True)
        return path
    for folder in environment.get("PATH", os.defpath).split(":"):
        path = os.path.join(directory, folder, name)
        if os.access(path, os.X_OK) and not os.path.isdir(path):
            return path
    raise SpawnError(f"command not found: {name} (PATH={environment.get('PATH', os.defpath)})", fatal=True)


class Spawner:
    """Start programs as children of this process."""

    def __init__(self, poller: Poller | None = None) -> None:
        self._home = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._low = tuple(os.dup(self._home) for _ in range(3))
        """Descriptors with low numbers, see ``_within_limit``."""
        self._files = resource.getrlimit(resource.RLIMIT_NOFILE)
        # Room for our own descriptors, several a program; programs get what we were started with, or their own.
        resource.setrlimit(resource.RLIMIT_NOFILE, (self._files[1], self._files[1]))
        self._launcher = LauncherClient(poller)
        self.helpers: set[int] = set()
        """Children that somebody waits for by their pid: nobody else may reap them."""

    @property
    def file_limit(self) -> tuple[int, int]:
        """The limit on open files that programs inherit: ours as it was at the start."""
        return self._files

    def pass_on(self, files: tuple[int, int]) -> None:
        """Let programs inherit this limit on open files instead of ours, which we have raised for ourselves before."""
        self._files = files

    def require_room(self, promised: int) -> None:
        """Refuse to start one more program where that would use up this process's descriptors.

        The others need some at any time: to be asked, checked, logged. ``promised``: how many are still to be opened
        for starts that are under way.

        Raises:
            SpawnError: too few are left.
        """
        lowest = os.dup(self._home)  # a new one has the lowest number that is free
        os.close(lowest)
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if lowest + promised + _SPARE > limit:
            raise SpawnError(
                f"no descriptors are left of the supervisor's {limit}; raise its limit on open files",
                fatal=False,
            )

    def spawn(self, command: Command) -> int:
        """Start a process in a session of its own; return its pid.

        Raises:
            SpawnError: it could not be started; the message says why.
        """
        name = command.argv[0]
        if "/" in name:  # where it names a file, only a failure is worth a look at that
            path = os.path.join(command.directory, name)
        else:
            path = find_executable(name, command.environment, command.directory)
        try:
            if command.needs_launcher:
                return self._launcher.spawn(command, path, self._files)
            return self._posix_spawn(command, path)
        except OSError as error:
            find_executable(name, command.environment, command.directory)
            raise _explained(error, command, path) from None

    def _posix_spawn(self, command: Command, path: str) -> int:
        """Take on what the child is to inherit, for the moment of the spawn: nothing else runs meanwhile."""
        standard = self._within_limit((command.stdin, command.stdout, command.stderr))
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        passed_on = (self._files[0], limit[1])
        old_umask = os.umask(command.umask) if command.umask >= 0 else -1
        try:
            if command.directory:
                os.chdir(command.directory)
            if limit != self._files:
                limit = resource.prlimit(0, resource.RLIMIT_NOFILE, passed_on)
            return os.posix_spawn(
                path,
                command.argv,
                command.environment,
                file_actions=_file_actions(standard),
                setsid=True,
                setsigmask=(),
                setsigdef=_DEFAULT_SIGNALS,
            )
        finally:
            if limit != self._files:
                found = resource.prlimit(0, resource.RLIMIT_NOFILE, limit)
                if found != passed_on:  # somebody has changed it from outside meanwhile, see prlimit(1)
                    resource.setrlimit(resource.RLIMIT_NOFILE, found)
            if command.directory:
                os.fchdir(self._home)
            if old_umask >= 0:
                os.umask(old_umask)

    def _within_limit(self, standard: tuple[int, int, int]) -> tuple[int, ...]:
        """Return the same under numbers below the child's limit on files: posix_spawn(3) refuses those above."""
        if max(standard) < self._files[0]:
            return standard
        for descriptor, low in zip(standard, self._low, strict=True):
            os.dup2(descriptor, low, inheritable=False)
        return self._low

    def own_children(self) -> set[int]:
        """Return the pids of children that are no programs."""
        return self.helpers | ({self._launcher.pid} if self._launcher.pid else set())

    def end_launcher(self) -> None:
        """End the launcher; one is started again when it is needed."""
        self._launcher.close()

    def close(self) -> None:
        """End the launcher."""
        self._launcher.close()
        for descriptor in (self._home, *self._low):
            os.close(descriptor)


def _file_actions(standard: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """Give the child its standard descriptors; ours are all above 2 (see ``genii.supervise.main``)."""
    return [(os.POSIX_SPAWN_DUP2, descriptor, number) for number, descriptor in enumerate(standard)]


def _explained(error: OSError, command: Command, path: str) -> SpawnError:
    import errno

    name = errno.errorcode.get(error.errno or 0, "")
    step = getattr(error, "step", "") or ("directory" if error.filename == command.directory else "execute")
    what = {"directory": f"can't change to directory {command.directory}", "execute": f"can't execute {path}"}
    message = f"{what.get(step, step)}: {error.strerror or error}"
    if name == "ENOENT" and step == "execute":
        message = f"can't execute {path}: the interpreter in its first line does not exist"
    if name == "ENOEXEC":
        message = f"can't execute {path}: not a program (no #! line?)"
    return SpawnError(message, fatal=name in _HOPELESS)
