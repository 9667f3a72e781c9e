"""Pid files that can be trusted: locked, told apart from stale ones, never a reason to signal a stranger.

The content is the plain number that every other tool reads. Two more things make it evidence:

- While its owner lives (or starts) the file is locked by flock(2), so of any number of simultaneous starts one wins.
- The fraction of a second of its modification time is a stamp made of the process's start time and the kernel's boot
  id. A pid that was reused, a number that somebody else wrote, and a file from before the last boot don't match.

A program that writes the same pid file itself spoils the stamp; such a process is known by ``GENII_PID_FILE`` in its
environment, which genii sets for the commands it starts.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time

from genii.system import procfs

TYPE_CHECKING = False  # typing costs more to import than the rest of this module
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal, NoReturn

    PidState = Literal["absent", "empty", "stale", "running", "garbage"]

__all__ = ["PID_FILE_VARIABLE", "PidFile", "PidReading", "make_stamp", "parse_pid"]

PID_FILE_VARIABLE = "GENII_PID_FILE"
_LONGEST = 32
_LARGEST_PID = 1 << 22  # PID_MAX_LIMIT of the kernel
_STAMPS = 9_999_999  # of 100 ns each: the coarsest clock among file systems that keep fractions


def parse_pid(content: bytes) -> int | None:
    """Read the content of a pid file: 0 where it is empty (a start or a full disk cut it off), None where it is none.

    Numbers that are no process's (``-1``, ``0``, ``1``: the init process is nobody's daemon) give 0.
    """
    text = content.strip(b" \t\r\n\0")
    if not text:
        return 0
    digits = text[1:] if text[:1] == b"-" else text
    if len(content) > _LONGEST or not digits.isdigit():
        return None
    number = int(text)
    return number if 1 < number <= _LARGEST_PID else 0


def make_stamp(start_time: int, boot_id: str) -> int:
    """Return the nanoseconds (a multiple of 100, never 0) that mark a process of this start time and boot."""
    return ((start_time + int(boot_id[:8], 16)) % _STAMPS + 1) * 100


class PidReading:
    """What a pid file said at one moment; ``pid`` is 0 unless ``state`` is ``"running"``."""

    __slots__ = ("content_pid", "pid", "state")

    def __init__(self, state: PidState, content_pid: int = 0) -> None:
        self.state: PidState = state
        self.content_pid = content_pid
        """The number in the file, whatever became of its process; for messages only."""
        self.pid = content_pid if state == "running" else 0


class PidFile:
    """The pid file at ``path``: ``acquire`` it, ``write`` the pid, ``remove`` it; ``read`` it from elsewhere.

    ``recognize`` is asked about the pid in a file that genii did not write: whether that process is the right one.
    A context manager: entered, it acquires and writes; left, it removes.
    """

    def __init__(self, path: str | os.PathLike[str], *, recognize: Callable[[int], bool] | None = None) -> None:
        self.path = os.path.abspath(path)
        self._recognize = recognize
        self._descriptor = -1

    def read(self) -> PidReading:
        """Tell what the file says, without waiting; raises ``NotAllowed`` when it can't be read."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            return PidReading("absent")
        except OSError as error:
            self._refuse(error)
        try:
            return self._judge(descriptor)
        finally:
            os.close(descriptor)

    def acquire(self, timeout: float = 5.0) -> None:
        """Lock the file for this process (and those forked from it) to write; make it where it is missing.

        Waits up to ``timeout`` seconds for another start to succeed or fail. Raises ``AlreadyRunning`` when one
        succeeded, ``NotAllowed`` when the path can't be used; what is no pid file is never overwritten.
        """
        deadline = time.monotonic() + timeout
        while not self._try_acquire():
            if time.monotonic() > deadline:
                from genii.errors import AlreadyRunning

                raise AlreadyRunning(f"pid file {self.path} is locked by another process; see: fuser {self.path}")
            time.sleep(0.01)

    def write(self, pid: int = 0) -> None:
        """Write the pid (default: our own) and its stamp into the acquired file."""
        number = pid or os.getpid()
        stamp = make_stamp(procfs.start_time(number), _boot_id())
        try:
            # In this order a reader sees the old content, nothing, or the number; never a part of it.
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, b"%d\n" % number, 0)
            now = time.time_ns()
            os.utime(self._descriptor, ns=(now, now - now % 1_000_000_000 + stamp))
        except OSError as error:
            self.remove()
            self._refuse(error)

    def keep_from_children(self) -> None:
        """Let children that this process forks from now on not hold the lock."""
        os.register_at_fork(after_in_child=self.forget)

    def forget(self) -> None:
        """Close the file here, and leave it to those who hold it elsewhere."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def adopt(self, descriptor: int) -> None:
        """Take over the locked descriptor that this process acquired before it executed itself anew."""
        self._descriptor = descriptor

    def fileno(self) -> int:
        """Return the locked descriptor, -1 when it is not acquired."""
        return self._descriptor

    def remove(self) -> None:
        """Remove the file if it is still the one that was acquired here, and unlock it.

        Where the folder does not let us (privileges were dropped), it is emptied instead.
        """
        if self._descriptor < 0:
            return
        try:
            if self._is_at_path(self._descriptor):
                os.unlink(self.path)
        except OSError:
            os.ftruncate(self._descriptor, 0)
        self.forget()

    def remove_stale(self, timeout: float = 1.0) -> bool:
        """Remove the file when the process it names is gone; say whether it was removed.

        Whoever still has it locked, as a monitor that is just about to remove it, is given up to ``timeout`` seconds.
        """
        deadline = time.monotonic() + timeout
        try:
            while not self._try_acquire():
                if time.monotonic() > deadline:
                    return False
                time.sleep(0.01)
        except Exception as error:
            if getattr(error, "code", "") not in {"already-running", "not-allowed"}:
                raise
            return False
        self.remove()
        return True

    def __enter__(self) -> PidFile:  # noqa: PYI034 -- Self would import typing, which this module can't afford
        self.acquire()
        self.write()
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()

    def _try_acquire(self) -> bool:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            descriptor = os.open(self.path, flags, 0o644)
        except OSError as error:
            self._refuse(error)
        try:
            if self._lock(descriptor):
                self._descriptor, descriptor = descriptor, -1
                return True
            return False
        finally:
            if descriptor >= 0:
                os.close(descriptor)

    def _lock(self, descriptor: int) -> bool:
        """Lock and check; False: another start is under way, or the file was replaced meanwhile: try again."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            locked = True
        except BlockingIOError:
            locked = False
        reading = self._judge(descriptor)
        if reading.state == "running":
            from genii.errors import AlreadyRunning

            raise AlreadyRunning(f"already running as process {reading.pid} (pid file {self.path})", reading.pid)
        if not locked or not self._is_at_path(descriptor):
            return False
        if reading.state == "garbage":
            self._refuse("holds something else than a pid; if it is a pid file, remove it, else name another")
        if os.fstat(descriptor).st_uid == os.geteuid():
            os.fchmod(descriptor, 0o644)  # others may read it, whatever our umask is
        return True

    def _is_at_path(self, descriptor: int) -> bool:
        try:
            there = os.stat(self.path, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return os.path.samestat(there, os.fstat(descriptor))

    def _judge(self, descriptor: int) -> PidReading:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            self._refuse("is not a regular file; name another")
        pid = parse_pid(os.pread(descriptor, _LONGEST + 1, 0))
        if pid is None:
            return PidReading("garbage")
        if pid == 0:
            return PidReading("empty" if status.st_size == 0 else "stale")
        return PidReading("running" if self._is_ours(pid, status) else "stale", pid)

    def _is_ours(self, pid: int, status: os.stat_result) -> bool:
        try:
            process = procfs.read_stat(pid)
            owner = os.stat(f"/proc/{pid}").st_uid
        except (ProcessLookupError, FileNotFoundError):
            return False
        if process.ended or status.st_uid not in (0, os.geteuid(), owner):
            # Whoever owns the file could otherwise make us signal anybody.
            return False
        if status.st_mtime_ns % 1_000_000_000 == make_stamp(process.start_time, _boot_id()):
            return True
        if self._recognize is not None:
            return self._recognize(pid)
        return self._is_marked(pid)

    def _is_marked(self, pid: int) -> bool:
        return f"{PID_FILE_VARIABLE}={self.path}".encode() in procfs.environment(pid)

    def _refuse(self, reason: OSError | str) -> NoReturn:
        from genii.errors import NotAllowed

        if isinstance(reason, OSError):
            import errno

            text = (
                "is a symbolic link; name the file itself"
                if reason.errno == errno.ELOOP
                else (reason.strerror or str(reason))
            )
        else:
            text = reason
        raise NotAllowed(f"pid file {self.path}: {text}") from None


def _boot_id() -> str:
    with open("/proc/sys/kernel/random/boot_id", "rb", buffering=0) as file:
        return file.read().decode()
