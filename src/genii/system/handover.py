"""What passes between the parent of a daemon, its watcher and the daemon: the pipes, the news, the report.

News are lines ``kind TAB text`` on two pipes, one from the watcher (``pid``, ``exited``, ``failed``), one from the
daemon itself (``ready``, ``failed``, ``exec``), whose end after ``exec`` says that the exec has worked.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # typing costs more to import than the rest of this module
if TYPE_CHECKING:
    from genii.system.logfollower import LogFollower
    from genii.system.notify import NotifySocket
    from genii.system.surroundings import Surroundings

__all__ = ["Channels", "Expectation", "Report", "describe_end", "describe_error", "exit_code", "send"]

_LONGEST_NEWS = 3000  # bytes; below PIPE_BUF, so that lines of two writers never mix


class Expectation:
    """When a start counts as done; with nothing given, when the daemon has its surroundings (and exec worked).

    ``line`` and ``fail_line`` are regular expressions for a line of the output, ``port`` is ``"8080"`` or
    ``"host:8080"``, ``notify`` is sd_notify's READY=1, ``call`` is ``Daemon.ready``. ``timeout`` in seconds.
    """

    __slots__ = ("call", "fail_line", "line", "notify", "port", "timeout")

    def __init__(
        self,
        *,
        line: str = "",
        fail_line: str = "",
        port: str = "",
        notify: bool = False,
        call: bool = False,
        timeout: float = 60.0,
    ) -> None:
        self.line = line
        self.fail_line = fail_line
        self.port = port
        self.notify = notify
        self.call = call
        self.timeout = timeout

    @property
    def awaited(self) -> bool:
        """Say whether the parent waits for more than the surroundings."""
        return bool(self.line or self.port or self.notify or self.call)

    @property
    def text(self) -> str:
        """Say what is awaited, for messages."""
        waits = []
        if self.line:
            waits.append(f"a line that matches {self.line!r}")
        if self.port:
            waits.append(f"port {self.port} to open")
        if self.notify:
            waits.append("READY=1")
        if self.call:
            waits.append("its call of ready()")
        return " or ".join(waits)


class Report:
    """How a start went. ``code`` is the exit code for a command line; ``line`` is what the daemon said of itself."""

    __slots__ = ("already_running", "code", "line", "output", "pid", "reason")

    def __init__(
        self,
        *,
        pid: int = 0,
        line: str = "",
        code: int = 0,
        reason: str = "",
        output: str = "",
        already_running: bool = False,
    ) -> None:
        self.pid = pid
        self.line = line
        self.code = code
        self.reason = reason
        self.output = output
        self.already_running = already_running

    @property
    def ok(self) -> bool:
        """Say whether the daemon runs."""
        return not self.reason

    def print(self) -> None:
        """Print the daemon's line, or its output and the reason of the failure to standard error."""
        try:
            if self.ok:
                if self.line:
                    print(self.line, flush=True)
                return
            if self.output:
                print(self.output.rstrip("\n"), file=sys.stderr)
            print(f"genii: {self.reason}", file=sys.stderr, flush=True)
        except (OSError, AttributeError):
            return  # closed or broken streams change nothing about how the start went


def send(channel: int, kind: str, text: str) -> None:
    """Send one piece of news; a parent that is gone does not matter."""
    encoded = text.replace("\n", "\x1e").encode(errors="replace")[:_LONGEST_NEWS]
    try:
        os.write(channel, kind.encode() + b"\t" + encoded + b"\n")
    except OSError:
        return


def describe_error(error: BaseException) -> str:
    """Say in one line what went wrong, as a user reads it."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error) or type(error).__name__


def exit_code(error: BaseException) -> int:
    """Return the exit code that belongs to an error."""
    code = getattr(error, "exit_code", 1)
    return code if isinstance(code, int) else 1


class Channels:
    """The descriptors between parent, watcher and daemon; all closed by exec."""

    def __init__(self, surroundings: Surroundings, expectation: Expectation, *, capture: bool) -> None:
        _fill_standard_descriptors()
        self.watcher_reader, self.watcher_writer = os.pipe()
        self.daemon_reader, self.daemon_writer = os.pipe()
        self.leash_reader, self.leash_writer = os.pipe()
        self.capture_reader = self.capture_writer = -1
        self.followed: list[LogFollower] = []
        self.notify: NotifySocket | None = None
        if expectation.awaited:
            if capture and surroundings.discards_output:
                self.capture_reader, self.capture_writer = os.pipe()
            from genii.system.logfollower import LogFollower

            self.followed = [LogFollower(path) for path in surroundings.log_paths]
        if expectation.notify:
            from genii.system.notify import NotifySocket

            self.notify = NotifySocket()

    def close_in_watcher(self) -> None:
        """Close what belongs to the parent."""
        os.close(self.watcher_reader)
        os.close(self.daemon_reader)
        os.close(self.leash_writer)

    def close_in_daemon(self) -> None:
        """Close what belongs to the watcher, and say where messages are awaited."""
        os.close(self.watcher_writer)
        os.close(self.leash_reader)
        if self.capture_reader >= 0:
            os.close(self.capture_reader)
        if self.notify is not None:
            os.environ["NOTIFY_SOCKET"] = self.notify.address
            self.notify.close()

    def close_daemon_side(self) -> None:
        """Close, in the watcher, what only the daemon writes to."""
        os.close(self.daemon_writer)
        if self.capture_writer >= 0:
            os.close(self.capture_writer)
        self.daemon_writer = self.capture_writer = -1

    def release_watcher(self) -> None:
        """Tell the watcher that the daemon is on its own now."""
        try:
            os.write(self.leash_writer, b"r")
        except BrokenPipeError:
            return  # the daemon has ended by itself, and its watcher with it

    def close_parent(self, watcher: int, *, stays: bool) -> None:
        """Let go; a watcher that was not released ends the daemon. Reaps the watcher unless it stays as a monitor."""
        self.close_writers()  # a signal may have come before they were: we would wait for ourselves
        os.close(self.leash_writer)
        os.close(self.daemon_reader)
        if self.notify is not None:
            self.notify.close()
        if self.capture_reader >= 0:
            os.close(self.capture_reader)
        # The watcher keeps its end of this pipe until it has ended, or has become the monitor.
        while os.read(self.watcher_reader, 4096):
            pass
        os.close(self.watcher_reader)
        try:
            os.waitpid(watcher, os.WNOHANG if stays else 0)
        except ChildProcessError:
            return  # this program ignores SIGCHLD, so the kernel has reaped it

    def close_writers(self) -> None:
        """Close what belongs to the children, unless it was closed before."""
        writers = (self.watcher_writer, self.daemon_writer, self.leash_reader, self.capture_writer)
        self.watcher_writer = self.daemon_writer = self.leash_reader = self.capture_writer = -1
        for descriptor in writers:
            if descriptor >= 0:
                os.close(descriptor)


def _fill_standard_descriptors() -> None:
    """Open the null device where standard streams are closed, so that our pipes don't take their numbers."""
    while True:
        descriptor = os.open(os.devnull, os.O_RDWR)
        if descriptor > 2:
            os.close(descriptor)
            return
        os.set_inheritable(descriptor, True)


def describe_end(status: int) -> tuple[int, str]:
    """Return the exit code for a wait status (128+N for signal N) and its description."""
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        from genii.units import format_signal

        return 128 - code, f"the daemon was killed by {format_signal(-code)}"
    return code, f"the daemon ended with exit code {code}"
