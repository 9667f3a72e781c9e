"""The supervisor's end of the keeper: pipes for programs, and what the keeper is told about them."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any

from msgspec.structs import astuple

from genii.supervise.keeper import LINK, MOST, receive, send
from genii.supervise.model import Log

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from genii.system.poller import Poller

__all__ = ["Output", "start_keeper", "take_over"]

_log = logging.getLogger(__name__)
_PATIENCE = 5.0
"""Seconds that a message may take to reach the keeper before it is replaced."""


def _log_words(log: Log | None) -> tuple[object, ...] | None:
    """Return a log as the keeper knows it; None: there is no file."""
    if log is None or not log.path:
        return None
    return astuple(log)


def _log_of(words: tuple[Any, ...] | None) -> Log | None:
    return None if words is None else Log(**dict(zip(Log.__struct_fields__, words, strict=True)))


class Output:
    """All output streams of all programs.

    A stream is known by its key (``web:0/stdout``); its pipe is made once, kept open for reading and writing here,
    and inherited by every process that uses it.
    """

    def __init__(self, poller: Poller, link: socket.socket, pid: int) -> None:
        self._poller = poller
        self._streams: dict[str, tuple[int, str, Log | None]] = {}
        self._new: dict[str, int] = {}
        """Streams that the keeper is yet to be told of: key -> reading end. Told together, they wake it once."""
        self._expecting: dict[str, Callable[[bytes], None]] = {}
        self._syncs: dict[int, Callable[[], None]] = {}
        self._token = 0
        self._listener: tuple[str, socket.socket] | None = None
        self._console: tuple[int, bool, list[str]] | None = None
        self._closing = False
        self._expecting_leave: dict[str, bytes] | None = None
        """Unfinished lines of a keeper that is leaving."""
        self.problems: dict[str, str] = {}
        """Path of a log that can't be written now -> why."""
        self.lost: dict[str, int] = {}
        """Path of a log -> bytes thrown away."""
        self.pid = pid
        self._attach(link)

    def _attach(self, link: socket.socket) -> None:
        link.settimeout(_PATIENCE)
        self._link = link
        self._process = os.pidfd_open(self.pid)
        self._poller.add(link.fileno(), self._serve)
        self._poller.add(self._process, self._keeper_ended)

    def _keeper_ended(self) -> None:
        """Replace a keeper that died; what it had read and not yet written is lost, what is in the pipes is not."""
        self._detach()
        if self._closing:
            return
        _log.error("the keeper (pid %d) died; a new one takes over", self.pid)
        ours, self.pid = start_keeper()
        self._attach(ours)
        self._introduce()

    def _detach(self) -> None:
        """Forget a keeper that has ended or is about to."""
        self._poller.remove(self._process)
        os.close(self._process)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)
        self._poller.remove(self._link.fileno())
        self._link.close()

    def _introduce(self) -> None:
        """Tell a new keeper all that the old one knew."""
        if self._listener:
            self._send(("listen", self._listener[0]), self._listener[1].fileno())
        if self._console:
            self._send(("console", *self._console[1:]), self._console[0])
        for key in self._streams:
            if key not in self._new:
                self._tell(key, self._reading_end(key))
        for key in self._expecting:
            self._send(("expect", key, True))

    def _send(self, message: tuple[Any, ...], *descriptors: int) -> None:
        if self._new:
            self._tell_new()
        self._send_now(message, *descriptors)

    def _send_now(self, message: tuple[Any, ...], *descriptors: int) -> None:
        try:
            send(self._link, message, *descriptors)
        except OSError as error:
            _log.warning("the keeper (pid %d) does not listen: %s", self.pid, error)
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, 9)

    def _tell(self, key: str, reading: int) -> None:
        """Tell the keeper of a stream, soon; ``reading`` is closed then."""
        self._new[key] = reading
        if len(self._new) == MOST:
            self._tell_new()
        elif len(self._new) == 1:
            self._poller.soon(self._tell_new)

    def _tell_new(self) -> None:
        new, self._new = self._new, {}
        if new:
            self._send_now(("streams", [self._words(key) for key in new]), *new.values())
        for reading in new.values():
            os.close(reading)

    def _words(self, key: str) -> tuple[object, ...]:
        _, name, log = self._streams[key]
        return (key, name, _log_words(log))

    def _serve(self) -> None:
        try:
            received = receive(self._link)
        except OSError:
            received = None
        if received is None:
            return  # its end is noticed by its pidfd
        self._dispatch(received[0])

    def _dispatch(self, message: tuple[Any, ...]) -> None:
        word, *arguments = message
        getattr(self, "_on_" + word)(*arguments)

    def _on_data(self, key: str, data: bytes) -> None:
        if key in self._expecting:
            self._expecting[key](data)

    def _on_problem(self, key: str, path: str, text: str) -> None:
        self.problems[path] = text
        _log.error("output of %s can't be written: %s", key.rpartition("/")[0], text)

    def _on_recovered(self, path: str, lost: int) -> None:
        self.problems.pop(path, None)
        self.lost[path] = lost
        _log.warning("%s can be written again; %d bytes of output were lost", path, lost)

    def _on_refused(self, keys: list[str]) -> None:
        """Try again in a while: the keeper has as many files open as it may."""
        _log.error("the keeper has too many open files to read the output of %s", ", ".join(keys))

        def again() -> None:
            for key in keys:
                if key in self._streams and not self._closing:
                    self._tell(key, self._reading_end(key))

        self._poller.later(_PATIENCE, again)

    def _reading_end(self, key: str) -> int:
        return os.open(f"/proc/self/fd/{self._streams[key][0]}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    def _on_synced(self, token: int) -> None:
        self._syncs.pop(token, lambda: None)()

    @property
    def link(self) -> int:
        """The descriptor of the link to the keeper."""
        return self._link.fileno()

    @property
    def listener(self) -> int:
        """The descriptor of the socket on which a later supervisor may take over; -1: there is none yet."""
        return self._listener[1].fileno() if self._listener else -1

    def streams(self) -> list[tuple[str, int, str, tuple[object, ...] | None]]:
        """Return key, descriptor, name and log of each stream."""
        return [(key, descriptor, name, _log_words(log)) for key, (descriptor, name, log) in self._streams.items()]

    def restore(self, key: str, name: str, log: tuple[object, ...] | None, descriptor: int) -> None:
        """Take in a stream that this process had already before it executed itself anew; its keeper has it, too."""
        self._streams[key] = (descriptor, name, _log_of(log))

    def renew(self, link: socket.socket, pid: int, listener: tuple[str, socket.socket]) -> None:
        """Replace the keeper by another: nothing is lost, no line broken, and programs don't wait noticeably."""
        held: dict[str, bytes] = {}
        self._expecting_leave = held
        self._send(("leave",))
        try:
            while self._expecting_leave is held and (received := receive(self._link)) is not None:
                self._dispatch(received[0])
        except OSError as error:  # it hangs, or is dead: what it had read and not yet written is lost
            _log.error("the keeper (pid %d) does not leave: %s", self.pid, error)
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        self._detach()
        self.pid = pid
        self._listener = listener
        self._attach(link)
        self._introduce()
        for key, data in held.items():
            self._send(("held", key, data))

    def _on_left(self, held: dict[str, bytes]) -> None:
        """Take the unfinished lines that the keeper has read but not written."""
        if self._expecting_leave is not None:
            self._expecting_leave.update(held)
            self._expecting_leave = None

    def listen(self, path: str, listener: socket.socket) -> None:
        """Let a later supervisor take the streams over at ``path`` should this one die."""
        self._listener = (path, listener)
        self._send(("listen", path), listener.fileno())

    @property
    def shown(self) -> bool:
        """Say whether all lines are shown somewhere besides the logs."""
        return self._console is not None

    def show_on(self, descriptor: int, names: Sequence[str], *, color: bool) -> None:
        """Show all lines on a descriptor, each with its process's name before it; ``names`` line up from the start."""
        self._console = (descriptor, color, list(names))
        self._send(("console", color, list(names)), descriptor)

    def open(self, key: str, name: str, log: Log | None, owner: tuple[int, int] | None = None) -> int:
        """Return the descriptor for a stream's processes to write to; make its pipe if there is none yet."""
        known = self._streams.get(key)
        if known is not None:
            if _log_words(known[2]) != _log_words(log):
                self._send(("log", key, _log_words(log)))
            self._streams[key] = (known[0], name, log)
            return known[0]
        reading, descriptor = self._make_pipe()
        if owner is not None:
            os.fchown(descriptor, *owner)  # so that the program may open /dev/stdout
        self._streams[key] = (descriptor, name, log)
        self._tell(key, reading)
        if key in self._expecting:
            self._send(("expect", key, True))
        return descriptor

    def _make_pipe(self) -> tuple[int, int]:
        """Return the two descriptors of a new pipe: for the keeper to read, and for programs."""
        reading = -1
        try:
            reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
            os.close(writing)
            return reading, os.open(f"/proc/self/fd/{reading}", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            if reading >= 0:
                os.close(reading)
            self._tell_new()  # where descriptors are short, these are closed
            raise

    def adopt(self, key: str, name: str, log: Log | None, reading: int) -> None:
        """Take over a stream from an earlier keeper; ``reading`` is its descriptor and is closed."""
        descriptor = os.open(f"/proc/self/fd/{reading}", os.O_RDWR | os.O_CLOEXEC)
        self._streams[key] = (descriptor, name, log)
        self._tell(key, reading)
        if key in self._expecting:
            self._send(("expect", key, True))

    def has(self, key: str) -> bool:
        """Say whether a stream is open."""
        return key in self._streams

    def open_keys(self) -> list[str]:
        """Return the keys of all streams."""
        return list(self._streams)

    def drop(self, key: str) -> None:
        """Write what is in a stream and forget it."""
        self._tell_new()
        known = self._streams.pop(key, None)
        if known is not None:
            self._send(("drop", key))
            os.close(known[0])

    def expect(self, key: str, receiver: Callable[[bytes], None] | None) -> None:
        """Call ``receiver`` with the data of a stream (open or yet to be opened) from now on; None: no more."""
        if receiver is None:
            if self._expecting.pop(key, None) is not None and key in self._streams:
                self._send(("expect", key, False))
            return
        if key not in self._expecting and key in self._streams:
            self._send(("expect", key, True))
        self._expecting[key] = receiver

    def expects(self, key: str) -> bool:
        """Say whether somebody wants the data of a stream."""
        return key in self._expecting

    def rotate(self, key: str) -> None:
        """Rotate the log of a stream now."""
        self._send(("rotate", key))

    def clear(self, key: str) -> None:
        """Throw away the logs of a stream."""
        self._send(("clear", key))

    def reopen(self) -> None:
        """Open all logs anew, after somebody else has moved them."""
        self._send(("reopen",))

    def when_written(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` when all that was written before is in the logs."""
        self._token += 1
        self._syncs[self._token] = callback
        self._send(("sync", self._token))

    def close(self) -> None:
        """Have everything written, end the keeper and wait for it."""
        self._closing = True
        self._send(("quit",))
        self._poller.remove(self._link.fileno())
        self._poller.remove(self._process)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)
        os.close(self._process)
        self._link.close()
        if self._listener:
            self._listener[1].close()
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._listener[0])


def start_keeper() -> tuple[socket.socket, int]:
    """Start a keeper as a program of its own; return the link to it and its pid."""
    ours, theirs = socket.socketpair()
    with theirs:
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-I", "-S", os.path.join(os.path.dirname(__file__), "keeper.py")],
            dict(os.environ),
            file_actions=[(os.POSIX_SPAWN_DUP2, theirs.fileno(), LINK)],
        )
    return ours, pid


def take_over(path: str, adopt: Callable[[str, str, Log | None, int], None]) -> int:
    """Take all streams from the keeper of a dead supervisor that listens at ``path``; return how many there were.

    One that hangs is continued, and killed if that does not help: its pipes are found again by their programs.
    """
    for remedy in (signal.SIGCONT, signal.SIGKILL):
        try:
            return _take_over(path, adopt)
        except TimeoutError:
            for pid in _holders(path):
                _log.warning("the keeper (pid %d) of an earlier supervisor hangs: sending it %s", pid, remedy.name)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, remedy)
    return 0


def _take_over(path: str, adopt: Callable[[str, str, Log | None, int], None]) -> int:
    count = 0
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        link.settimeout(_PATIENCE)
        try:
            link.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            _end_unreachable(path)
            return 0
        while (received := receive(link)) is not None:
            (word, *arguments), descriptors = received
            if word == "end":
                link.sendall(b"k")
                link.recv(1)  # its end
                break
            adopt(arguments[0], arguments[1], _log_of(arguments[2]), descriptors[0])
            count += 1
    return count


def _end_unreachable(path: str) -> None:
    """End a keeper whose socket somebody has removed: two of them would take each other's lines.

    What it has read is written, but for unfinished lines; its pipes are found again by their programs.
    """
    for pid in _holders(path):
        _log.warning("the socket of the keeper (pid %d) of an earlier supervisor was removed: ending it", pid)
        with contextlib.suppress(ProcessLookupError):
            process = os.pidfd_open(pid)
            signal.pidfd_send_signal(process, signal.SIGKILL)
            select.select([process], [], [], _PATIENCE)
            os.close(process)


def _holders(path: str) -> list[int]:
    """Return the processes that have the listening socket at ``path`` open (unix(7), proc(5)), where it is our path."""
    with open("/proc/net/unix", encoding="utf-8", errors="surrogateescape") as file:
        sockets = {f"socket:[{words[6]}]" for line in file if (words := line.split(maxsplit=7))[-1].strip() == path}
    if not sockets:
        return []
    found, root = [], os.stat("/")
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            here = os.path.samestat(root, os.stat(f"/proc/{entry}/root"))  # a container's paths are others
            if here and any(os.readlink(link.path) in sockets for link in os.scandir(f"/proc/{entry}/fd")):
                found.append(int(entry))
    return found
