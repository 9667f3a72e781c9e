"""What a daemon finds around itself: folder, umask, streams, descriptors, signals, user, limits, environment."""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False  # typing costs more to import than the rest of this module
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from genii.system.privileges import Identity

    Stream = str | os.PathLike[str] | int | None

__all__ = ["Surroundings", "close_descriptors"]


class Surroundings:
    """The arguments of ``genii.daemonize`` that concern the daemon's side, checked and then applied there.

    ``fresh_signals`` gives all signals their default action, as a program that is executed expects it.
    """

    def __init__(
        self,
        *,
        directory: str | os.PathLike[str] | None = "/",
        umask: int | None = 0o022,
        stdin: Stream = None,
        stdout: Stream = None,
        stderr: Stream = None,
        keep_fds: Iterable[int] = (),
        close_fds: bool = True,
        user: str = "",
        group: str = "",
        groups: Iterable[str] | None = None,
        limits: Mapping[str, tuple[int, int]] | None = None,
        environment: Mapping[str, str] | None = None,
        ignore_signals: Iterable[str | int] = (),
        fresh_signals: bool = False,
    ) -> None:
        self.directory = None if directory is None else os.path.abspath(directory)
        self.umask = umask
        self.stdin = _absolute(stdin)
        self.stdout = _absolute(stdout)
        self.stderr = self.stdout if stderr is None else _absolute(stderr)
        self.keep_fds = tuple(keep_fds)
        self.close_fds = close_fds
        self.user = user
        self.group = group
        self.groups = None if groups is None else tuple(groups)
        self.limits = dict(limits or {})
        self.environment = dict(environment or {})
        self.ignore_signals = tuple(ignore_signals)
        self.fresh_signals = fresh_signals

    @property
    def discards_output(self) -> bool:
        """Say whether one of the output streams goes nowhere."""
        return os.devnull in (self.stdout, self.stderr)

    @property
    def log_paths(self) -> list[str]:
        """Return the regular files that output goes to (missing ones will be regular)."""
        return [
            path
            for path in dict.fromkeys((self.stdout, self.stderr))
            if isinstance(path, str) and path != os.devnull and _may_be_regular(path)
        ]

    @property
    def shows_output(self) -> bool:
        """Say whether a waiting parent can see any of the output."""
        return self.discards_output or bool(self.log_paths)

    @property
    def streams(self) -> tuple[str | int, str | int, str | int]:
        """Return where the standard streams go: path or descriptor."""
        return self.stdin, self.stdout, self.stderr

    def keep_output(self) -> None:
        """Let output that would go nowhere stay where it goes now."""
        self.stdout = 1 if self.stdout == os.devnull else self.stdout
        self.stderr = 2 if self.stderr == os.devnull else self.stderr

    def check(self) -> None:
        """Refuse what can be known to fail, while there is a user to tell; raises ``UsageError``, ``NotAllowed``."""
        if self.directory is not None and not os.path.isdir(self.directory):
            from genii.errors import UsageError

            raise UsageError(f"folder {self.directory} does not exist")
        for name in self.limits:
            from genii.system.privileges import parse_limit_name

            try:
                parse_limit_name(name)
            except ValueError as error:
                from genii.errors import UsageError

                raise UsageError(str(error)) from None
        identity = self._identity()
        if identity is not None and os.geteuid() not in (0, identity.uid):
            from genii.errors import NotAllowed

            raise NotAllowed(f"only root can start a daemon as user {identity.name!r}; you are user {os.geteuid()}")

    def apply(self, *, capture: int = -1, keep: Iterable[int] = ()) -> None:
        """Make it so in this process; discarded output goes to the descriptor ``capture`` if there is one.

        Raises ``OSError`` with the path, ``NotAllowed``.
        """
        self._set_signals()
        if self.umask is not None:
            os.umask(self.umask)
        identity = self._identity()
        self._redirect(capture, identity)
        if self.limits:
            from genii.system.privileges import set_limits

            set_limits(self.limits)
        if self.close_fds:
            close_descriptors({0, 1, 2, *self.keep_fds, *keep})
        if identity is not None:
            from genii.system.privileges import become

            become(identity)
            os.environ.update(identity.environment())
        if self.directory is not None:
            os.chdir(self.directory)
        os.environ.update(self.environment)

    def _identity(self) -> Identity | None:
        if not (self.user or self.group or self.groups is not None):
            return None
        from genii.system.privileges import resolve

        return resolve(self.user, self.group, self.groups)

    def _set_signals(self) -> None:
        # The C part of signal: the enums around it cost 3 ms, as much as all the rest of a start.
        import _signal as signal

        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        if self.fresh_signals:
            for number in _ignored_signals():
                if number in signal.valid_signals():
                    signal.signal(number, signal.SIG_DFL)
        if self.ignore_signals:
            from genii.units import parse_signal

            for name in self.ignore_signals:
                signal.signal(parse_signal(name), signal.SIG_IGN)

    def _redirect(self, capture: int, identity: Identity | None) -> None:
        opened: dict[tuple[bool, str | int], int] = {}
        for number, stream in enumerate(self.streams):
            key = (number == 0, stream)
            if key in opened:
                continue
            if isinstance(stream, int):
                opened[key] = os.dup(stream)  # before one of the three is overwritten
            elif number == 0:
                opened[key] = os.open(stream, os.O_RDONLY | os.O_NOCTTY)
            elif stream == os.devnull and capture >= 0:
                opened[key] = os.dup(capture)
            else:
                opened[key] = _open_log(stream, identity)
        for number, stream in enumerate(self.streams):
            os.dup2(opened[number == 0, stream], number)
        for descriptor in opened.values():
            os.close(descriptor)


def _absolute(stream: Stream) -> str | int:
    if stream is None:
        return os.devnull
    return stream if isinstance(stream, int) else os.path.abspath(stream)


def _may_be_regular(path: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return True


def _open_log(path: str, identity: Identity | None) -> int:
    """Open a log to append; a new one belongs to the daemon's user, who may have to open it again after rotation."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_NOCTTY
    try:
        return os.open(path, flags)
    except FileNotFoundError:
        descriptor = os.open(path, flags | os.O_CREAT, 0o644)
    if identity is not None and os.geteuid() == 0:
        os.fchown(descriptor, identity.uid, identity.gid)
    return descriptor


def _ignored_signals() -> list[int]:
    """Return the signals that are ignored, those too that Python can't tell. See proc_pid_status(5)."""
    with open("/proc/self/status", "rb", buffering=0) as file:
        for line in file.read(8192).splitlines():
            if line.startswith(b"SigIgn:"):
                ignored = int(line[7:], 16)
                return [number for number in range(1, 65) if ignored >> number - 1 & 1]
    return []


def close_descriptors(keep: Iterable[int]) -> None:
    """Close all descriptors but those in ``keep``, in a time that does not depend on the limit of open files."""
    try:
        last = max(map(int, os.listdir("/proc/self/fd")), default=2)
    except OSError:
        last = os.sysconf("SC_OPEN_MAX")
    low = 0
    for descriptor in sorted({number for number in keep if number >= 0}):
        if low < descriptor:  # an empty range from 0 closes everything on Python 3.11
            os.closerange(low, descriptor)
        low = descriptor + 1
    if low <= last:
        os.closerange(low, last + 1)
