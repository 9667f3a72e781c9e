"""The waiting parent of a daemon: what it hears and reads, and how it judges the start.

It is loaded when the daemon is under way already, which does not need it.
"""

from __future__ import annotations

import os
import select
import time

from genii.system.handover import Report, describe_end

TYPE_CHECKING = False  # typing costs more to import than the rest of this module
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from genii.system.handover import Channels, Expectation
    from genii.system.surroundings import Surroundings

__all__ = ["await_ready", "check_expectation", "split_port"]

_TICK = 0.02  # seconds between looks at what can't be waited for: a log file, a port
_KEPT_OUTPUT = 1 << 16


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
        self._poll = select.poll()
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
        self._poll.register(descriptor, select.POLLIN)
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
