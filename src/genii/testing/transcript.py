"""Conversations with a job server as text, and what is needed to hold them with any server.

A line is ``NAME > PACKET ARGUMENTS`` (sent on the connection NAME, opened by its first line) or ``NAME < PACKET
ARGUMENTS`` (must have arrived on it, in this order). Arguments are quoted as in a shell, with Python's escapes;
``{name}`` is bound where it first stands in a received packet. ``NAME > "text"`` and ``NAME < "text"`` are lines of
the text protocol, ``NAME > raw "bytes"`` sends bytes, ``NAME hangs up`` closes the connection, ``NAME is closed``
expects that the server did, ``pass N`` lets N seconds go by. At the end nothing may be left on any connection.
"""

from __future__ import annotations

import re
import shlex
import socket
import time
from typing import TYPE_CHECKING, Protocol

from genii.gearman.broker import Broker
from genii.gearman.jobs import Peer
from genii.gearman.protocol import HEADER, Kind, request, response

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from genii.gearman.settings import Settings

__all__ = ["Conversation", "MemoryServer", "MemoryWire", "Server", "SocketServer", "SocketWire", "Wire"]

BARRIER = request(Kind.ECHO_REQ, b"barrier\0")
BARRIER_ANSWER = response(Kind.ECHO_RES, b"barrier\0")


class Wire(Protocol):
    """One connection to a server."""

    def send(self, data: bytes) -> None:
        """Send bytes."""

    def receive(self, *, expect_more: bool) -> bytes:
        """Return what has arrived; wait for something, or the end (b""), if ``expect_more``."""

    def close(self) -> None:
        """Close the connection."""

    @property
    def closed(self) -> bool:
        """Say whether the server closed it."""


class Server(Protocol):
    """Something to talk to."""

    def connect(self) -> Wire:
        """Open a connection."""

    def let_pass(self, seconds: float) -> None:
        """Let time go by."""


class MemoryServer:
    """A broker without sockets; time passes when it is told to."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.broker = Broker(settings)
        self.now = 1000.0
        self.wall = 1_700_000_000.0
        self.broker.tick(self.now, self.wall)

    def connect(self) -> MemoryWire:
        """Open a connection."""
        return MemoryWire(self)

    def let_pass(self, seconds: float) -> None:
        """Let time go by."""
        self.now += seconds
        self.wall += seconds
        self.broker.tick(self.now, self.wall)


class MemoryWire:
    """A connection to a ``MemoryServer``; what the broker wants closed is closed at once."""

    def __init__(self, server: MemoryServer) -> None:
        self.server = server
        self.peer = Peer(7, "127.0.0.1", local=True)
        server.broker.connect(self.peer)

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self.server.broker.receive(self.peer, data, self.server.now)
        for peer in list(self.server.broker.dirty):
            peer.dirty = False
            if peer.closing:
                out = list(peer.out)
                self.server.broker.disconnect(peer)
                peer.out += out
        self.server.broker.dirty.clear()

    def receive(self, *, expect_more: bool) -> bytes:
        """Return what has arrived; there is nothing to wait for."""
        del expect_more
        data = b"".join(self.peer.out)
        self.peer.out.clear()
        return data

    def close(self) -> None:
        """Close the connection."""
        self.server.broker.disconnect(self.peer)

    @property
    def closed(self) -> bool:
        """Say whether the server closed it."""
        return self.peer not in self.server.broker.peers


class SocketServer:
    """A server that listens on a TCP port of this machine; time passes by itself."""

    def __init__(self, port: int, patience: float = 10.0) -> None:
        self.port = port
        self.patience = patience

    def connect(self) -> SocketWire:
        """Open a connection."""
        return SocketWire(self.port, self.patience)

    def let_pass(self, seconds: float) -> None:
        """Let time go by."""
        time.sleep(seconds)


class SocketWire:
    """A connection to a ``SocketServer``."""

    def __init__(self, port: int, patience: float) -> None:
        self.closed = False
        self._patience = patience
        self._socket = socket.create_connection(("127.0.0.1", port), patience)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self._socket.settimeout(self._patience)
        self._socket.sendall(data)

    def receive(self, *, expect_more: bool) -> bytes:
        """Return what has arrived."""
        try:
            self._socket.settimeout(self._patience if expect_more else 0)
            data = self._socket.recv(65536)
        except (TimeoutError, BlockingIOError):
            return b""
        except ConnectionResetError:
            data = b""
        self.closed = not data
        return data

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


class Conversation:
    """Hold the conversation of a transcript with a server."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.wires: dict[str, Wire] = {}
        self.buffers: dict[str, bytes] = {}
        self.textual: set[str] = set()
        self.names: dict[str, bytes] = {}

    def run(self, path: Path) -> None:
        """Hold it all; raises AssertionError naming the line that went wrong."""
        try:
            self._run(path)
        finally:
            for wire in self.wires.values():
                wire.close()

    def _run(self, path: Path) -> None:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            text = line.split("#", 1)[0].strip() if not line.lstrip().startswith("#") else ""
            if not text:
                continue
            try:
                self.step(text)
            except AssertionError as error:
                raise AssertionError(f"{path.name}:{number}: {line}\n{error}") from error
        for name, wire in self.wires.items():
            if not wire.closed:
                self.settle(name)
                assert not self.buffers[name], f"{path.name}: {name} also got {self.buffers[name]!r}"

    def step(self, text: str) -> None:
        """Do what one line says."""
        if text.startswith("pass "):
            self.server.let_pass(float(text.split()[1]))
            return
        name, rest = text.split(" ", 1)
        if rest == "hangs up":
            self.settle(name)
            self.wires.pop(name).close()
        elif rest == "is closed":
            wire = self.wires.pop(name)
            self.buffers[name] += wire.receive(expect_more=True)
            assert self.buffers[name] == b"", f"before the end came {self.buffers[name]!r}"
            assert wire.closed
            wire.close()
        elif rest.startswith("> "):
            self.say(name, rest[2:])
        elif rest.startswith("< "):
            self.hear(name, rest[2:])
        else:
            raise AssertionError("expected '>', '<', 'hangs up' or 'is closed'")

    def say(self, name: str, text: str) -> None:
        """Send a packet, a line or bytes."""
        if name not in self.wires:
            self.wires[name] = self.server.connect()
            self.buffers[name] = b""
        if text.startswith("raw "):
            self.wires[name].send(self.literal(shlex.split(text)[1]))
        elif text.startswith('"'):
            self.textual.add(name)
            self.wires[name].send(self.literal(shlex.split(text)[0]) + b"\r\n")
        else:
            kind, *words = shlex.split(text)
            self.wires[name].send(request(Kind[kind], *map(self.literal, words)))
            if not self.wires[name].closed:
                self.settle(name)

    def hear(self, name: str, text: str) -> None:
        """Expect a packet or a line."""
        if text.startswith('"'):
            wanted = self.literal(shlex.split(text)[0]) + b"\n"
            self.collect(name, lambda buffer: b"\n" in buffer)
            line, _, self.buffers[name] = self.buffers[name].partition(b"\n")
            assert line.replace(b"\r", b"") + b"\n" == wanted, f"got {line!r}"
            return
        kind, *words = shlex.split(text)
        self.collect(name, _whole)
        buffer = self.buffers[name]
        magic, number, size = HEADER.unpack_from(buffer)
        body, self.buffers[name] = buffer[12 : 12 + size], buffer[12 + size :]
        assert magic == b"\0RES"
        assert Kind(number).name == kind, f"got {Kind(number).name} {body!r}"
        count = len(words)
        parts = body.split(b"\0", count - 1) if count else []
        assert len(parts) == count, f"got {body!r}"
        assert count or not body, f"got {body!r}"
        for word, part in zip(words, parts, strict=True):
            unbound = re.fullmatch(r"\{(\w+)\}", word)
            if unbound and unbound[1] not in self.names:
                self.names[unbound[1]] = part
            assert self.literal(word) == part, f"got {parts!r}"

    def collect(self, name: str, enough: Callable[[bytes], bool]) -> None:
        """Receive until there is enough."""
        while not enough(self.buffers[name]):
            data = self.wires[name].receive(expect_more=True)
            assert data, f"nothing came; before: {self.buffers[name]!r}"
            self.buffers[name] += data

    def settle(self, name: str) -> None:
        """Wait until the server has dealt with all that was sent on a connection."""
        if name in self.textual:
            self.buffers[name] += self.wires[name].receive(expect_more=False)
            return
        self.wires[name].send(BARRIER)
        while BARRIER_ANSWER not in self.buffers[name]:
            data = self.wires[name].receive(expect_more=True)
            assert data, f"the server closed {name} or is silent; before: {self.buffers[name]!r}"
            self.buffers[name] += data
        before, _, after = self.buffers[name].partition(BARRIER_ANSWER)
        self.buffers[name] = before + after

    def literal(self, word: str) -> bytes:
        """Return the bytes of an argument."""
        if re.fullmatch(r"\{\w+\}", word):
            return self.names[word[1:-1]]
        filled = word.encode("latin-1").decode("unicode_escape").encode("latin-1")
        for name, value in self.names.items():
            filled = filled.replace(b"{%b}" % name.encode(), value)
        return filled


def _whole(buffer: bytes) -> bool:
    return len(buffer) >= 12 and len(buffer) >= 12 + HEADER.unpack_from(buffer)[2]
