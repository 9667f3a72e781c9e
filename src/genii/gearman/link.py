"""A connection of the job server: moves bytes between its socket and the broker."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Protocol

from genii.gearman.reactor import EDGE, HANG_UP, READ, WRITE

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from genii.gearman.broker import Broker
    from genii.gearman.jobs import Peer
    from genii.gearman.reactor import Reactor

__all__ = ["CHUNK", "HIGH_WATER", "Carrier", "Link"]

CHUNK = 65536
HIGH_WATER = 1 << 20
"""A connection with more output waiting than this is not read from until it has taken most of it."""
LOW_WATER = 1 << 16
MOST_WAITING = 64 << 20
"""A connection that has this much waiting when more comes is cut."""

_log = logging.getLogger("genii.jobs")


class Carrier(Protocol):
    """The server as its connections see it."""

    broker: Broker
    reactor: Reactor
    stalling: dict[Link, None]


class Link:
    """A connection: moves bytes between its socket and the broker."""

    __slots__ = (
        "_broker", "_recv", "_send", "backlog", "peer", "progress_at", "reactor", "reading", "server", "socket",
        "waiting",
    )  # fmt: skip

    def __init__(self, server: Carrier, connection: socket.socket, peer: Peer) -> None:
        self.server = server
        self.reactor = server.reactor
        self.socket = connection
        self.peer = peer
        self.reading = READ | HANG_UP | EDGE
        """What to watch for. A read that gets less than it asked for has emptied the socket, so the edge is enough."""
        self.backlog: deque[bytes | memoryview] = deque()
        """What the kernel did not take yet."""
        self.waiting = 0
        """Bytes in the backlog."""
        self.progress_at = 0.0
        self._recv: Callable[[int], bytes] = connection.recv
        self._send: Callable[[bytes | memoryview], int] = connection.send
        self._broker = server.broker

    def ready(self, events: int) -> None:
        """Read or write, as epoll says."""
        if events == READ:
            self.read()
            return
        if events & WRITE:
            self.write_backlog()
        if events & READ and self.peer.link is self:
            self.read()
        while events & ~(READ | WRITE) and self.peer.link is self:
            self.read()  # the other side has hung up: nothing will tell of what is left again

    def read(self) -> bool:
        """Hand one chunk to the broker; return whether there was one."""
        try:
            data = self._recv(CHUNK)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            data = b""
        if not data:
            self.close()
            return False
        try:
            self._broker.receive(self.peer, data, self.reactor.now)
        except Exception:  # a mistake of ours ends this connection, not the server
            _log.exception("cut %s: an internal error, please report it", self.peer.address)
            self.close()
        if len(data) == CHUNK and self.peer.link is self:
            self.reactor.change(self.socket.fileno(), self._interest())  # there may be more: have epoll look again
        return True

    def write(self, data: bytes) -> None:
        """Send what the kernel takes, and keep the rest."""
        if self.backlog:
            if self.waiting > MOST_WAITING:
                _log.warning("cut %s: it does not read, and %d bytes wait for it", self.peer.address, self.waiting)
                self.close()
                return
            self.backlog.append(data)
            self.waiting += len(data)
            if self.waiting > HIGH_WATER:
                self.reactor.change(self.socket.fileno(), WRITE)
            return
        try:
            sent = self._send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self.close()
            return
        if sent < len(data):
            self.backlog.append(memoryview(data)[sent:])
            self.waiting = len(data) - sent
            self.progress_at = self.reactor.now
            self.server.stalling[self] = None
            self.reactor.change(self.socket.fileno(), self._interest())

    def write_backlog(self) -> None:
        """Send more of what is kept."""
        backlog = self.backlog
        while backlog:
            data = backlog[0]
            try:
                sent = self._send(data)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                self.close()
                return
            self.waiting -= sent
            self.progress_at = self.reactor.now
            if sent < len(data):
                backlog[0] = memoryview(data)[sent:]
                break
            backlog.popleft()
        if not backlog:
            self.server.stalling.pop(self, None)
            if self.peer.closing:
                self.close()
                return
        self.reactor.change(self.socket.fileno(), self._interest())

    def _interest(self) -> int:
        if not self.backlog:
            return self.reading
        return WRITE if self.waiting > LOW_WATER else self.reading | WRITE

    def close(self) -> None:
        """Close the connection and tell the broker."""
        if self.peer.link is not self:
            return
        self.peer.link = None
        self.server.stalling.pop(self, None)
        self.reactor.unwatch(self.socket.fileno())
        self.socket.close()
        self.server.broker.disconnect(self.peer)
