"""The keeper: the process that reads the programs' output and writes their logs.

It is forked from the bare interpreter before the supervisor imports anything, or executed by itself when an earlier
one died (``python -I -S keeper.py``, descriptor 3 is its link). It goes on when the supervisor dies, until no program
is left or the next supervisor takes the streams over. It imports next to nothing: its memory counts.

Messages, both ways: four bytes of length, then a marshalled tuple whose first item is a word; descriptors travel with
the first byte. From the supervisor::

    ("listen", path)                 + the listening socket on which a later supervisor may take over
    ("become", uid, gid, groups)     give up root
    ("console", color, names)        + the descriptor to show all lines on, and the names that line up there
    ("streams", [(key, name, log)…]) + the reading end of each; log: (path, size, backups, every, compress)
    ("log", key, log)                the log of a stream changed
    ("drop", key)                    read what is there, then forget the stream
    ("expect", key, yes)             tell the supervisor of the data of a stream too
    ("rotate", key) ("clear", key) ("reopen",)
    ("held", key, bytes)             what an earlier keeper had read of a stream and not written
    ("leave",)                       another keeper takes over: answered by ("left", {key: unwritten bytes}), then end
    ("sync", token)                  answered by ("synced", token) when all that was written before is in the logs
    ("quit",)                        write what is there and end

To the supervisor: ``("data", key, bytes)``, ``("problem", key, path, text)``, ``("recovered", key, lost)``,
``("synced", token)``, ``("refused", [key…])``: no descriptor left for these streams. To a supervisor that takes over:
``("stream", key, name, log)`` + descriptor for each stream, then ``("end",)``.
"""

from __future__ import annotations

import _signal  # the module signal would bring enum and half a MiB
import _socket
import array
import errno
import fcntl
import marshal
import mmap
import os
import resource
import select
import sys
import time

if __package__ in (None, ""):  # executed by itself: the package is found from this file
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from genii.supervise.console import Console
from genii.supervise.logfile import LogFile

TYPE_CHECKING = False  # typing itself is not worth its import here
if TYPE_CHECKING:
    from typing import Any

    from genii.supervise.rotation import Chunk

__all__ = ["Keeper", "encode", "main", "receive"]

LINK = 3
MOST = 64
"""Descriptors that may come with one message (the kernel allows 253)."""
_BLOCK = 128 << 10
"""Bytes moved at once: more would fall out of the processor's cache between reading and writing."""
_LARGE_PIPE = 512 << 10
"""Room for a busy program: with less it waits for us more often, with more the bytes fall out of the cache again."""
_MSG_CMSG_CLOEXEC = 0x40000000
_MARSHAL = 4
"""The version of the format that all Pythons read: the other side may be executed by another one after an upgrade."""
_SMALL_PIPE = 65536
_OWN_OUTPUT = {"-": 1, "-2": 2, "/dev/stdout": 1, "/dev/stderr": 2}
"""Paths that mean genii's own output: written without ever blocking on whoever reads it."""
_AT_ONCE = 0.0005
"""Seconds between two wake-ups that count as one after the other."""
_HURRY = 32
"""So many of those in a row mean that a program writes without a pause."""
_NAP = 0.0003
"""Seconds to let its pipe fill then."""
_FULL = 16 << 10
"""Bytes in one go that are worth a wake-up."""


def encode(message: tuple[Any, ...]) -> bytes:
    """Return the bytes of a message."""
    body = marshal.dumps(message, _MARSHAL)
    return len(body).to_bytes(4, "big") + body


def receive(link: _socket.socket) -> tuple[tuple[Any, ...], list[int]] | None:
    """Read one message and its descriptors; None: the other side is gone. Blocks."""
    head, ancillary, _, _ = link.recvmsg(4, _socket.CMSG_SPACE(4 * MOST), _MSG_CMSG_CLOEXEC)
    descriptors = array.array("i")
    for _, _, data in ancillary:
        descriptors.frombytes(data[: len(data) - len(data) % 4])
    while 0 < len(head) < 4:
        head += link.recv(4 - len(head))
    size = int.from_bytes(head, "big")
    body = bytearray()
    while head and len(body) < size:
        part = link.recv(size - len(body))
        if not part:
            head = b""
        body += part
    if not head:
        return None
    return marshal.loads(body), list(descriptors)  # noqa: S302 -- our own processes, over a private socket


def send(link: _socket.socket, message: tuple[Any, ...], *descriptors: int) -> None:
    """Send a message, with up to ``MOST`` descriptors."""
    data = encode(message)
    if descriptors:
        rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, array.array("i", descriptors).tobytes())]
        data = data[link.sendmsg([data], rights) :]
    if data:
        link.sendall(data)


class _Stream:
    """One pipe and where its lines go."""

    __slots__ = ("descriptor", "enlarged", "expected", "held", "key", "log", "name", "plain", "shared")

    def __init__(self, key: str, name: str, descriptor: int, log: LogFile | None) -> None:
        self.key = key
        self.name = name
        self.descriptor = descriptor
        self.log = log
        self.plain: Console | None = None
        """Our own standard output or error, where its lines go as they are."""
        self.enlarged = False
        self.expected = False
        self.shared = False
        self.held = b""
        """An unfinished line of a log that several streams share."""


class Keeper:
    """Move output from pipes to logs until nobody needs it."""

    def __init__(self, link: _socket.socket) -> None:
        self._link: _socket.socket | None = link
        self._listener: _socket.socket | None = None
        self._listen_path = ""
        self._console: Console | None = None
        self._plain: dict[str, Console] = {}
        self._streams: dict[str, _Stream] = {}
        self._by_descriptor: dict[int, _Stream] = {}
        self._logs: dict[str, LogFile] = {}
        self._failing: set[LogFile] = set()
        self._compressors: dict[int, str] = {}
        self._buffer = mmap.mmap(-1, _BLOCK)
        """Read into; unlike a bytearray it takes memory only where it was used, and gives it back."""
        self._epoll = select.epoll()
        self._epoll.register(link.fileno(), select.EPOLLIN)
        self._orders = select.poll()
        self._orders.register(link.fileno(), select.POLLIN)
        self._ended = False
        self._moved = 0
        """Bytes moved in this go."""

    def run(self) -> None:
        """Work until told to end, or until the supervisor and all programs are gone."""
        hurry, woken = 0, 0.0
        while not self._ended and (self._link or self._streams):
            ready = self._epoll.poll(self._pause(), 256)
            self._moved = 0
            if len(ready) > 1:
                self._obey()
            for descriptor, events in ready:
                if not self._ended:  # else what is in the pipes is for who comes after us
                    self._handle(descriptor, events, busy=hurry >= _HURRY)
            self._tend()
            now = time.monotonic()
            hurry = hurry + 1 if now - woken < _AT_ONCE else 0
            if hurry >= _HURRY and self._moved < _FULL:
                # Woken for every few lines of a busy program, we would spend more on waking than on moving.
                time.sleep(_NAP)
                now += _NAP
            woken = now
        for log in self._logs.values():
            log.close()
        for console in self._consoles():
            console.finish()

    def _obey(self) -> None:
        """Carry out what the supervisor has said so far: it said it before a program that it started said anything."""
        while self._link and not self._ended and self._orders.poll(0):
            self._serve(self._link)

    def _pause(self) -> float:
        """Return the seconds until something has to be tried again; -1: nothing has."""
        if self._failing:
            return 1.0
        if self._compressors:
            return 0.2
        return 0.05 if any(console.waiting for console in self._consoles()) else -1

    def _consoles(self) -> list[Console]:
        return [self._console, *self._plain.values()] if self._console else list(self._plain.values())

    def _handle(self, descriptor: int, events: int, *, busy: bool) -> None:
        stream = self._by_descriptor.get(descriptor)
        if stream is not None:
            length = self._drain(stream)
            self._moved += length
            if busy and length >= _SMALL_PIPE // 2 and not stream.enlarged:
                stream.enlarged = True
                _enlarge(descriptor)
            if not length and events & select.EPOLLHUP:
                self._forget(stream)
        elif self._link and descriptor == self._link.fileno():
            self._obey()
        elif self._listener and descriptor == self._listener.fileno():
            self._hand_over()

    def _tend(self) -> None:
        """Look after what needs more than one go: full disks, compression, a slow terminal."""
        for log in list(self._failing):
            if log.retry(time.monotonic()):
                self._failing.discard(log)
                self._tell(("recovered", log.path, log.lost))
        if self._compressors:
            self._finish_compression()
        for console in self._consoles():
            if console.waiting:
                console.flush()

    def _drain(self, stream: _Stream) -> int:
        """Move what is in the pipe, one block at the most; return how much it was."""
        try:
            length = os.readv(stream.descriptor, [self._buffer])
        except BlockingIOError:
            return 0
        if not length:
            return 0
        self._deliver(stream, self._buffer, length)
        return length

    def _deliver(self, stream: _Stream, chunk: Chunk, length: int) -> None:
        if stream.expected:
            self._tell(("data", stream.key, bytes(chunk[:length])))
        console = stream.plain or self._console
        if console:
            console.show(stream.key, stream.name, chunk, length)
        self._log(stream, chunk, length)

    def _log(self, stream: _Stream, chunk: Chunk, length: int) -> None:
        log = stream.log
        if log is None:
            return
        if stream.shared:
            chunk, stream.held = _whole_lines(stream.held, chunk, length)
            length = len(chunk)
            if not length:
                return
        log.append(chunk, length, time.monotonic())
        self._look_after(stream, log)

    def _look_after(self, stream: _Stream, log: LogFile) -> None:
        """Take note of what an append may have brought: a full disk, a backup to compress."""
        if log.problem and log not in self._failing:
            self._failing.add(log)
            self._tell(("problem", stream.key, log.path, log.problem))
        elif not log.problem and log in self._failing:
            self._failing.discard(log)
            self._tell(("recovered", log.path, log.lost))
        for number in range(1, min(log.rotated, log.backups) + 1):  # one block of output may fill several files
            self._compress(f"{log.path}.{number}")
        log.rotated = 0

    def _tell(self, message: tuple[Any, ...]) -> None:
        if self._link:
            try:
                send(self._link, message)
            except OSError:
                self._lose_link()

    def _lose_link(self) -> None:
        if self._link:
            self._epoll.unregister(self._link.fileno())
            self._link.close()
            self._link = None

    def _serve(self, link: _socket.socket) -> None:
        try:
            received = receive(link)
        except OSError:
            received = None
        if received is None:
            self._lose_link()
            return
        (word, *arguments), descriptors = received
        getattr(self, "_on_" + word)(*arguments, *descriptors)

    def _on_listen(self, path: str, descriptor: int) -> None:
        if self._listener:
            self._epoll.unregister(self._listener.fileno())
            self._listener.close()
        self._listener = _socket.socket(fileno=descriptor)
        self._listen_path = path
        self._epoll.register(descriptor, select.EPOLLIN)

    def _on_become(self, uid: int, gid: int, groups: list[int]) -> None:
        """Give up root, as the supervisor does."""
        os.setgroups(groups)
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)

    def _on_console(self, color: bool, names: list[str], descriptor: int) -> None:
        self._console = Console(descriptor, color=color)
        for name in names:
            self._console.add(name)

    def _on_streams(self, streams: list[tuple[str, str, tuple[Any, ...] | None]], *descriptors: int) -> None:
        for (key, name, log), descriptor in zip(streams, descriptors):  # noqa: B905 -- see below
            self._add_stream(key, name, log, descriptor)
        if len(descriptors) < len(streams):  # the kernel leaves out those for which we have no number left
            self._tell(("refused", [key for key, _, _ in streams[len(descriptors) :]]))

    def _add_stream(self, key: str, name: str, log: tuple[Any, ...] | None, descriptor: int) -> None:
        stream = _Stream(key, name, descriptor, None)
        self._streams[key] = stream
        self._by_descriptor[descriptor] = stream
        self._on_log(key, log)
        if self._console:
            self._console.add(name)
        self._epoll.register(descriptor, select.EPOLLIN)

    def _on_log(self, key: str, log: tuple[Any, ...] | None) -> None:
        stream = self._streams[key]
        old, stream.log, stream.plain = stream.log, None, None
        new = True
        if log is not None and log[0] in _OWN_OUTPUT:
            stream.plain = self._own_output(log[0])
            stream.plain.add(stream.name)
        elif log is not None:
            found = self._logs.get(log[0])
            new = found is None
            if found is None:
                found = self._logs[log[0]] = LogFile(*log)
            found.size_limit, found.backups, found.every, found.compress = log[1:]
            stream.log = found
        if old is not None and old is not stream.log:
            self._release(old, shared=stream.shared)
            stream.shared = False
        if stream.log is not None and not new:
            self._share(stream.log)

    def _own_output(self, path: str) -> Console:
        if path not in self._plain:
            self._plain[path] = Console(_OWN_OUTPUT[path], color=False, names=False)
        return self._plain[path]

    def _release(self, log: LogFile, *, shared: bool) -> None:
        """Close a log when the last of its streams is gone; ``shared``: there was more than one."""
        if not (shared and self._share(log)):
            log.close()
            self._failing.discard(log)
            del self._logs[log.path]

    def _share(self, log: LogFile) -> list[_Stream]:
        """Return the streams of a log, told whether there are several.

        They are looked for: nearly every log has one stream only, and its list would be felt with a thousand of them.
        """
        users = [stream for stream in self._streams.values() if stream.log is log]
        for stream in users:
            stream.shared = len(users) > 1
        return users

    def _on_drop(self, key: str) -> None:
        stream = self._streams.get(key)
        if stream is not None:
            while self._drain(stream):
                pass
            self._forget(stream)

    def _forget(self, stream: _Stream) -> None:
        if stream.held and stream.log:
            stream.log.append(stream.held, len(stream.held), time.monotonic())
        self._epoll.unregister(stream.descriptor)
        os.close(stream.descriptor)
        del self._by_descriptor[stream.descriptor]
        del self._streams[stream.key]
        if stream.log is not None:
            self._release(stream.log, shared=stream.shared)

    def _on_expect(self, key: str, expected: bool) -> None:
        if key in self._streams:
            self._streams[key].expected = expected

    def _on_rotate(self, key: str) -> None:
        stream = self._streams.get(key)
        if stream is not None and stream.log is not None:
            stream.log.rotate(time.monotonic())
            self._look_after(stream, stream.log)

    def _on_clear(self, key: str) -> None:
        log = self._streams[key].log if key in self._streams else None
        if log is not None:
            log.clear(time.monotonic())

    def _on_reopen(self) -> None:
        for log in self._logs.values():
            log.close()

    def _on_held(self, key: str, data: bytes) -> None:
        if key in self._streams:
            self._log(self._streams[key], bytearray(data), len(data))

    def _on_leave(self) -> None:
        """Give back what is not written and end; what compresses goes on, and who comes next knows it by its name."""
        held = {self._share(log)[0].key: log.take_backlog() for log in self._failing}
        for stream in self._streams.values():
            if stream.held:
                held[stream.key] = held.get(stream.key, b"") + stream.held
        for log in self._logs.values():
            log.close()
        self._tell(("left", held))
        self._ended = True

    def _on_sync(self, token: int) -> None:
        self._drain_all()
        self._tell(("synced", token))

    def _on_quit(self) -> None:
        self._drain_all()
        for stream in list(self._streams.values()):
            self._forget(stream)
        for pid in self._compressors:
            os.waitpid(pid, 0)  # nothing of us goes on when the supervisor says that it has ended
        self._compressors.clear()
        self._ended = True

    def _drain_all(self) -> None:
        """Write what is in the pipes now, but not more than they can hold: a busy program must not keep us for ever."""
        for stream in list(self._streams.values()):
            left = _capacity(stream.descriptor)
            while left > 0 and (moved := self._drain(stream)):
                left -= moved

    def _hand_over(self) -> None:
        """Give all streams to a supervisor that takes over; end when it has them."""
        assert self._listener is not None
        descriptor, _ = self._listener._accept()  # type: ignore[attr-defined]
        client = _socket.socket(fileno=descriptor)
        if self._link is not None or not _same_user(client):
            client.close()
            return
        client.setblocking(True)
        try:
            for stream in self._streams.values():
                if stream.held and stream.log:
                    stream.log.append(stream.held, len(stream.held), time.monotonic())
                log = stream.log
                spec = (log.path, log.size_limit, log.backups, log.every, log.compress) if log else None
                send(client, ("stream", stream.key, stream.name, spec), stream.descriptor)
            send(client, ("end",))
            self._ended = client.recv(1) == b"k"
        except OSError:
            pass
        if self._ended:
            self._listener.close()  # before the client learns that we are gone: it wants to listen there itself
        client.close()

    def _compress(self, path: str) -> None:
        """Compress a backup in a process of its own: it takes long, and what it needs stays out of our memory."""
        try:
            source = os.open(
                path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
            )  # now: its name changes with the next rotation
        except OSError:
            return
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                _gzip(path, source)
                status = 0
            finally:
                os._exit(status)
        os.close(source)
        self._compressors[pid] = path

    def _finish_compression(self) -> None:
        for pid in list(self._compressors):
            if os.waitpid(pid, os.WNOHANG)[0]:
                del self._compressors[pid]


def _gzip(path: str, descriptor: int) -> None:
    """Replace a backup (open for reading) by its compressed copy, under the number that it has by then."""
    import gzip
    import shutil

    os.nice(10)
    temporary = f"{path}.{os.getpid()}.tmp"
    output = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
    try:
        with open(descriptor, "rb") as source, open(output, "wb") as target:
            with gzip.GzipFile(filename="", fileobj=target, mode="wb", compresslevel=6) as packed:
                shutil.copyfileobj(source, packed, _BLOCK)
            there = os.fstat(source.fileno())
        stem = path.rpartition(".")[0]
        for number in range(1, 1000):
            name = f"{stem}.{number}"
            if os.path.exists(name) and os.stat(name).st_ino == there.st_ino:
                os.rename(temporary, name + ".gz")
                os.unlink(name)
                return
    finally:
        if os.path.exists(temporary):  # the disk is full, or the backup was too old to be kept
            os.unlink(temporary)


def _whole_lines(held: bytes, chunk: Chunk, length: int) -> tuple[bytes, bytes]:
    """Return the whole lines of what was held back and the new chunk, and the rest to hold back (up to 64 KiB)."""
    held += chunk[:length]
    end = held.rfind(b"\n") + 1 or (len(held) if len(held) > _SMALL_PIPE else 0)
    return held[:end], held[end:]


def _enlarge(descriptor: int) -> None:
    """Give a busy pipe more room, so that each wake-up moves more."""
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _LARGE_PIPE)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EBUSY):
            raise


def _capacity(descriptor: int) -> int:
    """Return how many bytes a pipe holds: a program may have given its own more room than we do (F_SETPIPE_SZ)."""
    return fcntl.fcntl(descriptor, fcntl.F_GETPIPE_SZ)


def _same_user(client: _socket.socket) -> bool:
    """Say whether the peer is root or who we are (SO_PEERCRED, unix(7))."""
    credentials = client.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)
    return int.from_bytes(credentials[4:8], sys.byteorder) in (0, os.geteuid())


def main(descriptor: int) -> None:
    """Run a keeper on its link; ignore the signals that are meant for the supervisor."""
    os.setsid()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # a stream or two and a log for each process
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
    for number in (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP, _signal.SIGPIPE):
        _signal.signal(number, _signal.SIG_IGN)
    Keeper(_socket.socket(fileno=descriptor)).run()


if __name__ == "__main__":
    main(LINK)
