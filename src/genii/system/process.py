"""Processes by identity: a pid together with its start time, and the pidfd that can't be reused.

A pid alone names whoever has the number now. pidfd_open(2), pidfd_send_signal(2), waitid(2).
"""

from __future__ import annotations

import os
import signal

from genii.system.procfs import read_stat, start_time

__all__ = [
    "boot_id",
    "copy_descriptor",
    "group_exists",
    "group_members",
    "open_living",
    "open_process",
    "reap",
    "send_group_signal",
    "send_signal",
]

_PIDFD_GETFD = 438
"""The number of the system call, the same on all machines."""


def boot_id() -> str:
    """Return the random name of this boot, so that records of an earlier one are told apart."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def open_process(pid: int, started: int = 0) -> int:
    """Return a pidfd of ``pid``; with ``started`` only if the process has that start time.

    Raises:
        ProcessLookupError: there is no such process (any more).
    """
    descriptor = os.pidfd_open(pid)
    try:
        if started and start_time(pid) != started:
            raise ProcessLookupError(f"process {pid} is another one now")
    except ProcessLookupError:
        os.close(descriptor)
        raise
    return descriptor


def open_living(pid: int, started: int) -> int:
    """Return a pidfd of ``pid`` if it has that start time and is not over (a zombie is, whoever has to reap it).

    Raises:
        ProcessLookupError: there is no such process (any more).
    """
    descriptor = os.pidfd_open(pid)
    try:
        found = read_stat(pid)
        if found.start_time != started or found.ended:
            raise ProcessLookupError(f"process {pid} has ended")
    except ProcessLookupError:
        os.close(descriptor)
        raise
    return descriptor


def copy_descriptor(process: int, number: int) -> int:
    """Return a copy of descriptor ``number`` of the process behind a pidfd, see pidfd_getfd(2).

    Raises:
        OSError: it has none, or it is not ours to look into.
    """
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = int(libc.syscall(_PIDFD_GETFD, process, number, 0))
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return descriptor


def reap(descriptor: int, *, keep: bool = False) -> tuple[bool, int | None]:
    """Return (has it ended, how) of the process behind a pidfd, and release it unless ``keep``.

    How: the exit code, -N for signal N, None for a process that is not our child. Never blocks.
    """
    options = os.WEXITED | os.WNOHANG | (os.WNOWAIT if keep else 0)
    try:
        result = os.waitid(os.P_PIDFD, descriptor, options)
    except ChildProcessError:
        return True, None
    if result is None:
        return False, None
    if result.si_code == os.CLD_EXITED:
        return True, result.si_status
    return True, -result.si_status


def send_signal(descriptor: int, number: int) -> bool:
    """Send a signal to the process behind a pidfd; say whether there was one to get it."""
    try:
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    return True


def send_group_signal(group: int, number: int) -> bool:
    """Send a signal to a process group; say whether it had members. Never signals group 0 or 1."""
    if group <= 1:
        return False
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def group_exists(group: int) -> bool:
    """Say whether a process group has members (zombies count)."""
    return send_group_signal(group, 0)


def group_members(group: int) -> list[int]:
    """Return the pids of a process group that still run (zombies left out), by a walk over /proc."""
    members = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                found = read_stat(int(entry))
            except ProcessLookupError:
                continue
            if found.group == group and not found.ended:
                members.append(int(entry))
    return members
