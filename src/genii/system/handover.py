"""The waiting parent of a daemon: what it expects, what it hears, and what it reports.

News are lines ``kind TAB text`` on two pipes, one from the watcher (``pid``, ``exited``, ``failed``), one from the
daemon itself (``ready``, ``failed``, ``exec``), whose end after ``exec`` says that the exec has worked.
"""

from __future__ import annotations

import os
import sys
import time

TYPE_CHECKING = False  # typing costs more to import than the rest of this module
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from genii.system.notify import NotifySocket
    from genii.system.surroundings import Surroundings

__all__ = [
    "Channels",
    "Expectation",
    "Report",
    "await_ready",
    "check_expectation",
    "describe_end",
    "describe_error",
    "exit_code",
    "send",
    "split_port",
]

_TICK = 0.02  # seconds between looks at what can't be waited for: a log file, a port
_LONGEST_NEWS = 3000  # bytes; below PIPE_BUF, so that lines of two writers never mix
_KEPT_OUTPUT = 1 << 16


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
        """Close what belongs to the children."""
        os.close(self.watcher_writer)
        os.close(self.daemon_writer)
        os.close(self.leash_reader)
        if self.capture_writer >= 0:
            os.close(self.capture_writer)


def _fill_standard_descriptors() -> None:
    """Open the null device where standard streams are closed, so that our pipes don't take their numbers."""
    while True:
        descriptor = os.open(os.devnull, os.O_RDWR)
        if descriptor > 2:
            os.close(descriptor)
            return
        os.set_inheritable(descriptor, True)


class LogFollower:
    """Read what is appended to a file from now on."""

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            self._offset = os.stat(path).st_size
        except OSError:
            self._offset = 0

    def read(self) -> bytes:
        """Return what is new; empty too when the file is not there or not ours to read."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return b""
        try:
            data = os.pread(descriptor, _KEPT_OUTPUT, self._offset)
        except OSError:
            return b""
        finally:
            os.close(descriptor)
        self._offset += len(data)
        return data

    def disk_is_full(self) -> bool:
        """Say whether nothing more can be written there."""
        try:
            return os.statvfs(self.path).f_bavail == 0
        except OSError:
            return False


class _Output:
    """What the daemon wrote so far: the end of it for people, and each line once for the patterns."""

    def __init__(self) -> None:
        self._kept = b""
        self._partial: dict[object, bytes] = {}

    def add(self, source: object, data: bytes) -> list[str]:
        self._kept = (self._kept + data)[-_KEPT_OUTPUT:]
        *lines, rest = (self._partial.get(source, b"") + data).split(b"\n")
        self._partial[source] = rest[-_KEPT_OUTPUT:]
        return [line.decode(errors="replace").rstrip("\r") for line in lines]

    @property
    def text(self) -> str:
        return self._kept.decode(errors="replace")


def await_ready(watcher: int, channels: Channels, expectation: Expectation) -> Report:
    """Wait until the daemon is ready, has failed or takes too long; the watcher of a failed one ends what is left."""
    channels.close_writers()
    waiting = _Waiting(watcher, channels, expectation)
    report = waiting.report()
    if report.ok:
        channels.release_watcher()
    return report


class _Waiting:
    """The state of the parent while it waits."""

    def __init__(self, watcher: int, channels: Channels, expectation: Expectation) -> None:
        self._watcher = watcher
        self._channels = channels
        self._expectation = expectation
        self._output = _Output()
        self._pid = 0
        self._executed = False
        self._ready: str | None = None
        self._failure: tuple[int, str] | None = None
        self._already_running = False
        self._deadline = time.monotonic() + expectation.timeout
        # Late, as in genii.system.watcher: the daemon is under way meanwhile, and does not need it.
        import select

        self._poll = select.poll()
        self._readable = select.POLLIN
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._is_ready_line = _matcher(expectation.line)
        self._is_fail_line = _matcher(expectation.fail_line)
        self._buffers: dict[int, bytes] = {}
        self._watch(channels.watcher_reader, self._hear)
        self._watch(channels.daemon_reader, self._hear)
        if channels.capture_reader >= 0:
            self._watch(channels.capture_reader, self._read_capture)
        if channels.notify is not None:
            self._watch(channels.notify.fileno(), self._read_notifications)

    def report(self) -> Report:
        ticking = bool(self._channels.followed or self._expectation.port)
        while self._failure is None and (self._ready is None or not self._pid):
            patience = self._deadline - time.monotonic()
            if patience <= 0:
                self._fail(124, f"timed out after {self._expectation.timeout:g} seconds, waiting for {self._text}")
                break
            for descriptor, _ in self._poll.poll(min(patience, _TICK if ticking else patience) * 1000 + 1):
                if descriptor in self._handlers:
                    self._handlers[descriptor](descriptor)
            self._look()
        if self._failure is None:
            return Report(pid=self._pid, line=self._ready or "")
        self._read_rest()
        code, reason = self._failure
        return Report(
            pid=self._pid,
            code=code,
            reason=reason + self._disk_note(),
            output=self._output.text,
            already_running=self._already_running,
        )

    @property
    def _text(self) -> str:
        return self._expectation.text or "the daemon to start"

    def _watch(self, descriptor: int, handler: Callable[[int], None]) -> None:
        self._poll.register(descriptor, self._readable)
        self._handlers[descriptor] = handler

    def _unwatch(self, descriptor: int) -> None:
        self._poll.unregister(descriptor)
        del self._handlers[descriptor]

    def _fail(self, code: int, reason: str) -> None:
        if self._failure is None:
            self._failure = (code, reason)

    def _hear(self, descriptor: int) -> None:
        data = os.read(descriptor, 65536)
        if not data:
            self._unwatch(descriptor)
            if descriptor == self._channels.watcher_reader:
                self._fail(1, "the process that watches over the start was killed")
            elif self._executed and not self._expectation.awaited:
                self._ready = ""
            return
        self._hear_data(descriptor, data)

    def _hear_data(self, descriptor: int, data: bytes) -> None:
        *lines, self._buffers[descriptor] = (self._buffers.get(descriptor, b"") + data).split(b"\n")
        for line in lines:
            kind, _, text = line.decode(errors="replace").partition("\t")
            self._learn(kind, text.replace("\x1e", "\n"))

    def _learn(self, kind: str, text: str) -> None:
        if kind == "pid":
            self._pid = int(text)
        elif kind == "exec":
            self._executed = True
        elif kind == "ready":
            self._ready = text
        elif kind.startswith(("failed ", "already ")):
            self._already_running = kind.startswith("already ")
            self._fail(int(kind.split()[1]) or 1, text)
        elif kind == "exited":
            # Its own last words came before its end, and are the better reason.
            if self._channels.daemon_reader in self._handlers:
                os.set_blocking(self._channels.daemon_reader, False)
                for data in _read_all(self._channels.daemon_reader):
                    self._hear_data(self._channels.daemon_reader, data)
            self._conclude(*describe_end(int(text)))

    def _conclude(self, code: int, description: str) -> None:
        """Judge a daemon that has ended: a success only if it was ready before, and ended with exit code 0."""
        self._read_rest()
        if self._ready is None or code:
            when = "before" if self._ready is None else "as soon as"
            hint = "" if code else " (if it goes into the background by itself, tell it not to)"
            self._fail(code or 1, f"{description} {when} it was ready{hint}")

    def _look(self) -> None:
        for follower in self._channels.followed:
            data = follower.read()
            if data:
                self._match(self._output.add(follower, data))
        if self._expectation.port and self._executed and _accepts(self._expectation.port):
            self._ready = self._ready or ""

    def _read_capture(self, descriptor: int) -> None:
        data = os.read(descriptor, 65536)
        if data:
            self._match(self._output.add(descriptor, data))
        else:
            self._unwatch(descriptor)

    def _read_notifications(self, _descriptor: int) -> None:
        assert self._channels.notify is not None
        for pid, fields in self._channels.notify.messages():
            if not self._is_of_daemon(pid):
                continue
            if fields.get("READY") == "1":
                self._ready = fields.get("STATUS", "")
            if fields.get("ERRNO", "").isdecimal():
                number = int(fields["ERRNO"])
                self._fail(1, f"the daemon reports: {fields.get('STATUS') or os.strerror(number)}")
            if fields.get("EXTEND_TIMEOUT_USEC", "").isdecimal():
                self._deadline = time.monotonic() + int(fields["EXTEND_TIMEOUT_USEC"]) / 1e6

    def _is_of_daemon(self, pid: int) -> bool:
        try:
            return pid == self._pid or os.getsid(pid) in (self._watcher, self._pid)
        except OSError:
            return False

    def _match(self, lines: list[str]) -> None:
        for line in lines:
            if self._ready is None and self._is_fail_line is not None and self._is_fail_line(line):
                self._fail(1, f"the daemon said: {line}")
            elif self._ready is None and self._is_ready_line is not None and self._is_ready_line(line):
                self._ready = line

    def _read_rest(self) -> None:
        """Read the last words of the daemon; what its children hold open is not waited for."""
        if self._channels.notify is not None:
            self._read_notifications(-1)
        reader = self._channels.capture_reader
        if reader >= 0:
            os.set_blocking(reader, False)
            for data in _read_all(reader):
                self._match(self._output.add(reader, data))
        for follower in self._channels.followed:
            self._match(self._output.add(follower, follower.read()))

    def _disk_note(self) -> str:
        full = [follower.path for follower in self._channels.followed if follower.disk_is_full()]
        return f" (the disk of {full[0]} is full)" if full else ""


def _read_all(descriptor: int) -> Iterator[bytes]:
    while True:
        try:
            data = os.read(descriptor, 65536)
        except BlockingIOError:
            return
        if not data:
            return
        yield data


def describe_end(status: int) -> tuple[int, str]:
    """Return the exit code for a wait status (128+N for signal N) and its description."""
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        from genii.units import format_signal

        return 128 - code, f"the daemon was killed by {format_signal(-code)}"
    return code, f"the daemon ended with exit code {code}"


def _matcher(pattern: str) -> Callable[[str], object] | None:
    if not pattern:
        return None
    import re

    return re.compile(pattern).search


def split_port(port: str) -> tuple[list[str], int]:
    """Read ``"8080"`` (any loopback address), ``"host:8080"`` or ``"[::1]:8080"``; raises ``ValueError``."""
    host, _, number = port.rpartition(":")
    if not number.isdecimal() or not 0 < int(number) < 65536:
        raise ValueError(f"{port!r} is not a port; write for example '8080' or '127.0.0.1:8080'")
    return [host.strip("[]")] if host else ["127.0.0.1", "::1"], int(number)


def _accepts(port: str) -> bool:
    import socket

    hosts, number = split_port(port)
    for host in hosts:
        try:
            with socket.create_connection((host, number), timeout=1) as connection:
                # A connection from a free port to itself succeeds (simultaneous open), and is no server.
                if connection.getsockname() != connection.getpeername():
                    return True
        except OSError:
            continue
    return False


def check_expectation(expectation: Expectation, surroundings: Surroundings) -> None:
    """Refuse what can't come true: broken patterns, a port that is taken already; raises ``UsageError`` or so."""
    for pattern in (expectation.line, expectation.fail_line):
        try:
            _matcher(pattern)
        except Exception as error:
            from genii.errors import UsageError

            raise UsageError(f"{pattern!r} is not a regular expression: {error}") from None
    if expectation.line and not surroundings.shows_output:
        from genii.errors import UsageError

        raise UsageError("the output goes where no ready line can be read from; let it go to a file or nowhere")
    if expectation.port:
        from genii.errors import NotAllowed, UsageError

        try:
            split_port(expectation.port)
        except ValueError as error:
            raise UsageError(str(error)) from None
        if _accepts(expectation.port):
            raise NotAllowed(f"port {expectation.port} is taken already: another program answers there")
