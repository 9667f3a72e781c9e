"""The job server: sockets around the broker, on asyncio with a reactor of its own for the connections."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import socket
import time
from typing import TYPE_CHECKING

from genii.gearman.broker import Broker
from genii.gearman.jobs import Peer
from genii.gearman.link import HIGH_WATER, Link
from genii.gearman.reactor import Reactor

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence

    from genii.gearman.journal import Journal
    from genii.gearman.settings import Settings

__all__ = ["JobServer"]

STALLED = 60.0
"""Seconds after which a connection above the high-water mark that takes nothing is cut."""
ENDS_DELAY = 0.05
"""Seconds for which ends of jobs wait for company in the journal; a crash meanwhile repeats those jobs."""
RETRY = 1.0
"""Seconds between attempts to write to a journal that failed."""
IDLE = 1.0
"""Seconds between looks at slow connections, late workers and the wall clock."""

_log = logging.getLogger("genii.jobs")


class Door:
    """A listening socket."""

    def __init__(self, server: JobServer, listener: socket.socket, context: ssl.SSLContext | None) -> None:
        self.server = server
        self.socket = listener
        self.context = context

    def ready(self, _events: int) -> None:
        """Accept what waits."""
        for _ in range(100):
            try:
                connection, address = self.socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    self.server.rest(self)
                return
            self.server.admit(connection, address, self.context)


class JobServer:
    """Serve a broker on sockets that listen already, until ``stop``.

    ``journal`` keeps its background jobs; without one they live in memory.
    """

    def __init__(self, settings: Settings, journal: Journal | None = None) -> None:
        self.broker = Broker(settings)
        self.journal = journal
        self.reactor = Reactor(self._settle)
        self.stalling: dict[Link, None] = {}
        """Links with a backlog."""
        self.started = time.time()
        self._doors: list[Door] = []
        self._resting: list[tuple[float, Door]] = []
        self._ends_due: float | None = None
        self._next_tick = 0.0
        self._stopped: asyncio.Event | None = None
        self._how = ""

    # -- life -----------------------------------------------------------------------------------------------------

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        """Make the loop that this server must run on; one server, one loop."""
        return asyncio.SelectorEventLoop(self.reactor)

    async def serve(
        self, doors: Sequence[tuple[socket.socket, ssl.SSLContext | None]], ready: Callable[[], None] | None = None
    ) -> None:
        """Accept and serve connections until ``stop``; the listening sockets are closed at the end.

        ``ready`` is called when the journal was read and connections are accepted.

        Raises NotAllowed when the journal is used by another server.
        """
        self._stopped = asyncio.Event()
        if self.journal is not None:
            self.journal.recover(self.broker)
            for note in self.journal.notes:
                _log.warning("%s", note)
            self.reactor.watch(self.journal.descriptor, _Call(self._journal_ready))
        self.broker.tick(time.monotonic(), time.time())
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 50, 50)
        for listener, context in doors:
            listener.setblocking(False)
            door = Door(self, listener, context)
            self._doors.append(door)
            self.reactor.watch(listener.fileno(), door)
        self.reactor.leave()
        if ready is not None:
            ready()
        try:
            await self._stopped.wait()
        finally:
            self._end()

    def stop(self, *, graceful: bool = False) -> None:
        """End ``serve``: now, or with no new connections when the last job is done."""
        self._how = "graceful" if graceful and self._how != "now" else "now"
        self._close_doors()
        if self._stopped is not None and (self._how == "now" or not self.broker.jobs):
            self._stopped.set()
            self.reactor.leave()

    def _close_doors(self) -> None:
        for door in self._doors:
            self.reactor.unwatch(door.socket.fileno())
            door.socket.close()
        self._doors.clear()
        self._resting.clear()

    def _end(self) -> None:
        self._close_doors()
        if self.journal is not None:
            self._write_rest(self.journal)
        self._flush()
        for peer in list(self.broker.peers):
            link = peer.link
            if link is not None:
                link.write_backlog()
                # the broker is not told: what it makes of a lost connection ends with this process
                peer.link = None
                self.reactor.unwatch(link.socket.fileno())
                link.socket.close()
        if self.journal is not None:
            self.reactor.unwatch(self.journal.descriptor)
            self.journal.close()

    def _write_rest(self, journal: Journal) -> None:
        """Write what waits for the journal, so that nothing is repeated and every client has its answer."""
        for _ in range(3):
            journal.wait()
            journal.settle(self.broker)
            batch = self.broker.ledger.take_batch()
            if batch is None:
                return
            journal.write(batch)

    # -- connections ----------------------------------------------------------------------------------------------

    def admit(self, connection: socket.socket, address: object, context: ssl.SSLContext | None) -> None:
        """Take a connection that was accepted."""
        connection.setblocking(False)
        where, local = "unix", True
        if connection.family != socket.AF_UNIX:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            assert isinstance(address, tuple)
            where = str(address[0])
            local = where.startswith(("127.", "::ffff:127.")) or where == "::1"
        if context is not None:
            from genii.gearman.tls import TlsLink, wrap

            connection = wrap(context, connection)
            peer = Peer(connection.fileno(), where, local=local)
            link: Link = TlsLink(self, connection, peer)
        else:
            peer = Peer(connection.fileno(), where, local=local)
            link = Link(self, connection, peer)
        peer.link = link
        self.broker.connect(peer)
        self.reactor.watch(connection.fileno(), link, link.reading)

    def rest(self, door: Door) -> None:
        """Accept nothing for a while: descriptors or memory have run out."""
        _log.error("out of file descriptors: %d connections; raise the limit (-f)", len(self.broker.peers))
        self.reactor.unwatch(door.socket.fileno())
        self._resting.append((self.reactor.now + 1.0, door))

    # -- after each batch of events -------------------------------------------------------------------------------

    def _settle(self, now: float) -> float:
        """Do what a batch of events has led to; return when to do so again at the latest."""
        broker = self.broker
        if now >= self._next_tick or broker.rescheduled:
            self._tick(now)
        if broker.dirty:
            self._flush()
        journal = self.journal
        if journal is not None and not broker.ledger.batch.empty:
            self._feed_journal(journal, now)
        if broker.stopping or (self._how and not broker.jobs):
            self.stop(graceful=broker.stopping == "graceful")
        return self._next_tick

    def _tick(self, now: float) -> None:
        wall = time.time()
        self.broker.tick(now, wall)
        for due, door in self._resting[:]:
            if due <= now:
                self._resting.remove((due, door))
                self.reactor.watch(door.socket.fileno(), door)
        for link in [link for link in self.stalling if link.progress_at + STALLED < now]:
            if link.waiting > HIGH_WATER or link.peer.closing:
                _log.warning("cut %s: it did not read for %d seconds", link.peer.address, STALLED)
                link.close()
        self.broker.rescheduled = False
        delay = self.broker.next_tick(now, wall)
        self._next_tick = now + min(IDLE if delay is None else max(delay, 0.001), IDLE)

    def _flush(self) -> None:
        """Send what the broker has for its peers, each in one write."""
        broker = self.broker
        while broker.dirty:
            dirty, broker.dirty = broker.dirty, []
            for peer in dirty:
                peer.dirty = False
                link = peer.link
                if link is None:
                    continue
                out = peer.out
                if out:
                    data = out[0] if len(out) == 1 else b"".join(out)
                    out.clear()
                    link.write(data)
                if peer.closing and not link.backlog:
                    link.close()

    # -- the journal ----------------------------------------------------------------------------------------------

    def _journal_ready(self) -> None:
        assert self.journal is not None
        failure = self.journal.failure
        self.journal.settle(self.broker)
        if self.journal.failure != failure:
            if self.journal.failure:
                _log.error("background jobs are refused: %s: %s", self.journal.directory, self.journal.failure)
            else:
                _log.warning("background jobs are accepted again")

    def _feed_journal(self, journal: Journal, now: float) -> None:
        """Hand over what is to be written: new jobs at once, ends of jobs when some have gathered."""
        if not journal.idle:
            return
        batch = self.broker.ledger.batch
        if not batch.jobs and not batch.moved:
            if self._ends_due is None:
                self._ends_due = now + (RETRY if journal.failure else ENDS_DELAY)
            if now < self._ends_due:
                self._next_tick = min(self._next_tick, self._ends_due)
                return
        self._ends_due = None
        taken = self.broker.ledger.take_batch()
        if taken is not None:
            journal.write(taken)


class _Call:
    """Make a plain function something to be watched."""

    def __init__(self, function: Callable[[], None]) -> None:
        self._function = function

    def ready(self, _events: int) -> None:
        self._function()
