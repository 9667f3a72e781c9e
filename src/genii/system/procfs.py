"""What /proc tells about a process, for a few microseconds. See proc(5)."""

from __future__ import annotations

import os
import time

__all__ = [
    "ProcessStat", "command_line", "environment", "load", "own_children", "read_stat", "resident_bytes", "start_time",
    "usage",
]  # fmt: skip

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")
_EXEC = 1.0
"""Seconds that a process may need to become another program."""


class ProcessStat:
    """The fields of /proc/PID/stat that are asked for; ``start_time`` in clock ticks since the kernel booted."""

    # A plain class: this is imported where dataclasses (12 ms) would be felt.
    __slots__ = ("group", "parent", "session", "start_time", "state")

    def __init__(self, line: bytes) -> None:
        # The second field, the name in parentheses, may itself hold blanks and parentheses.
        fields = line[line.rindex(b")") + 2 :].split()
        self.state = fields[0].decode()
        self.parent = int(fields[1])
        self.group = int(fields[2])
        self.session = int(fields[3])
        self.start_time = int(fields[19])

    @property
    def ended(self) -> bool:
        """Say whether the process is over and only waits to be reaped."""
        return self.state in "ZXx"


def read_stat(pid: int) -> ProcessStat:
    """Read /proc/PID/stat; raises ``ProcessLookupError`` when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            return ProcessStat(file.read(4096))
    except (FileNotFoundError, ProcessLookupError):
        raise ProcessLookupError(f"there is no process {pid}") from None


def start_time(pid: int) -> int:
    """Return when a process was started, in clock ticks since boot: with the pid, its identity until the next boot.

    Raises ``ProcessLookupError`` when there is no such process. A zombie has a start time too.
    """
    return read_stat(pid).start_time


def command_line(pid: int) -> list[str]:
    """Return the words a process was started with; empty for zombies and threads of the kernel.

    Raises ``ProcessLookupError`` when there is no such process.
    """
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            text = file.read()
    except (FileNotFoundError, ProcessLookupError):
        raise ProcessLookupError(f"there is no process {pid}") from None
    return [word.decode(errors="replace") for word in text.removesuffix(b"\0").split(b"\0")] if text else []


def environment(pid: int) -> set[bytes]:
    """Return the variables that a process was started with, as ``NAME=value``; none if it is gone, over, or not ours.

    In the midst of execve(2) it seems to have neither words nor variables, though its parent goes on already (see
    vfork(2)): that is waited for, up to a second, by looking again, as nothing tells when it is over.
    """
    end = time.monotonic() + _EXEC
    try:
        while not (variables := _variables(pid)):
            if command_line(pid) or read_stat(pid).ended or time.monotonic() > end:
                return _variables(pid)  # it may have become the program between the two looks
            time.sleep(0.001)
    except OSError:
        return set()
    return variables


def _variables(pid: int) -> set[bytes]:
    with open(f"/proc/{pid}/environ", "rb") as file:
        return set(file.read().split(b"\0")) - {b""}


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process in bytes (second field of /proc/PID/statm); 0: there is none."""
    try:
        with open(f"/proc/{pid}/statm", "rb", buffering=0) as file:
            return int(file.read(128).split()[1]) * _PAGE
    except (FileNotFoundError, ProcessLookupError):
        return 0


def own_children() -> list[int]:
    """Return the pids of the children that the main thread of this process has started, or that came to it."""
    with open(f"/proc/self/task/{os.getpid()}/children", "rb") as file:
        return [int(pid) for pid in file.read().split()]


def load(pid: int) -> tuple[int, float]:
    """Return (resident bytes, seconds of processor time) from one small file; zeros: there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            fields = file.read(4096).rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0, 0.0
    return int(fields[21]) * _PAGE, (int(fields[11]) + int(fields[12])) / _TICKS


def usage(pid: int) -> tuple[int, float, int, int]:
    """Return (resident bytes, seconds of processor time, threads, open descriptors); zeros: there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            fields = file.read(4096).rpartition(b")")[2].split()
        files = len(os.listdir(f"/proc/{pid}/fd"))
    except (FileNotFoundError, ProcessLookupError):
        return 0, 0.0, 0, 0
    except PermissionError:
        files = 0
    return resident_bytes(pid), (int(fields[11]) + int(fields[12])) / _TICKS, int(fields[17]), files
