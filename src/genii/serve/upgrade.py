"""A manager replaces itself by the program as it is on disk now; its sockets, workers and pid stay.

First a trial run of the new version, in a process of its own, has to get as far as serving. Then the manager executes
it in its own place: the same process, so workers remain its children and pid files remain true; it learns from its
environment which descriptors and workers it has.
"""

from __future__ import annotations

import os
import signal
import sys

from genii.system.process import reap, send_signal
from genii.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from genii.serve.scoreboard import Scoreboard
    from genii.system.pidfile import PidFile

__all__ = ["Handover", "Trial", "is_trial", "replace_process"]

_HANDOVER = "GENII_PREFORK"
_TRIAL = "GENII_PREFORK_TRIAL"


class Handover(NamedTuple):
    """What a new version gets from the one before it; descriptors, and (pid, place) of the workers."""

    listeners: list[int]
    board: int
    pid_file: int
    workers: list[tuple[int, int]]
    directory: str

    @classmethod
    def take(cls) -> Handover | None:
        """Return what this process was left by its earlier self; None: it is a new one."""
        text = os.environ.pop(_HANDOVER, "")
        if not text:
            return None
        pid, listeners, board, pid_file, workers, directory = text.split(";", 5)
        if int(pid) != os.getpid():
            return None
        pairs = [pair.split(":") for pair in workers.split(",") if pair]
        descriptors = [int(number) for number in listeners.split(",")]
        for descriptor in (*descriptors, int(board), int(pid_file)):
            if descriptor >= 0:
                os.set_inheritable(descriptor, False)
        return cls(descriptors, int(board), int(pid_file), [(int(pid), int(place)) for pid, place in pairs], directory)


def is_trial() -> bool:
    """Say whether this process only has to find out whether it would serve."""
    return os.environ.get(_TRIAL) == "1"


def replace_process(
    listeners: Sequence[socket.socket],
    board: Scoreboard,
    workers: Sequence[tuple[int, int]],
    pid_file: PidFile | None,
    directory: str,
) -> None:
    """Execute the program anew in this process; returns only by raising ``OSError``."""
    descriptors = [listener.fileno() for listener in listeners]
    lock = -1 if pid_file is None else pid_file.fileno()
    kept = [number for number in (*descriptors, board.descriptor, lock) if number >= 0]
    numbers = ",".join(map(str, descriptors))
    pairs = ",".join(f"{pid}:{place}" for pid, place in workers)
    here = os.getcwd()
    try:
        for number in kept:
            os.set_inheritable(number, True)
        os.environ[_HANDOVER] = f"{os.getpid()};{numbers};{board.descriptor};{lock};{pairs};{here}"
        os.chdir(directory)
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        command = _command()
        os.execv(command[0], command)  # noqa: S606 -- our own command line
    finally:
        os.environ.pop(_HANDOVER, None)
        os.chdir(here)
        for number in kept:
            os.set_inheritable(number, False)


def _command() -> list[str]:
    return [sys.executable, *sys.orig_argv[1:]]


class Trial:
    """A run of the new version up to the point where it would serve."""

    def __init__(self, directory: str, deadline: float) -> None:
        self.deadline = deadline
        """Monotonic seconds."""
        environment = {**os.environ, _TRIAL: "1"}
        here = os.getcwd()
        os.chdir(directory)
        try:
            pid = os.posix_spawn(sys.executable, _command(), environment)
        finally:
            os.chdir(here)
        self.descriptor = os.pidfd_open(pid)

    def kill(self) -> None:
        """End it; the end is told as any other."""
        send_signal(self.descriptor, signal.SIGKILL)

    def end(self) -> int | None:
        """Return how it ended, and forget it."""
        _, status = reap(self.descriptor)
        os.close(self.descriptor)
        return status
