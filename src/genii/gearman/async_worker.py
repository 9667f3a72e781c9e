"""A worker on an asyncio loop: the asynchronous twin of the blocking run in ``worker``."""

from __future__ import annotations

import asyncio
import inspect
import logging
import random
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from genii.backoff import Backoff
from genii.errors import PeerError
from genii.gearman.protocol import Kind
from genii.gearman.session import Assignment, Session, choose
from genii.gearman.telling import LINGER, make_teller

if TYPE_CHECKING:
    from genii.gearman.worker import Worker
    from genii.system.listen import Address

__all__ = ["serve"]

CHUNK = 1 << 18
_log = logging.getLogger("genii.worker")


async def serve(worker: Worker, *, concurrency: int, signals: bool, inline: bool) -> None:
    """Work until the worker is to stop; jobs that run then are finished first."""
    shift = _Shift(worker, concurrency, inline=inline)
    loop = asyncio.get_running_loop()
    caught = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT) if signals else ()
    for number in caught:
        loop.add_signal_handler(number, worker.stop)
    if signals:
        loop.add_signal_handler(signal.SIGTSTP, worker.pause)
        loop.add_signal_handler(signal.SIGCONT, worker.resume)
        caught = (*caught, signal.SIGTSTP, signal.SIGCONT)
    worker._wake = lambda: _discard(loop.call_soon_threadsafe(shift.changed.set))
    try:
        await shift.run()
    finally:
        if shift.teller is not None:
            shift.teller.close()
        worker._wake = lambda: None
        for number in caught:
            loop.remove_signal_handler(number)


def _discard(_: object) -> None:
    pass


class _Shift:
    def __init__(self, worker: Worker, concurrency: int, *, inline: bool) -> None:
        self.worker = worker
        self.concurrency = concurrency
        self.inline = inline
        self.changed = asyncio.Event()
        """Set when there may be something to ask for, or to end."""
        self.sessions: dict[Session, asyncio.StreamWriter] = {}
        self.jobs: set[asyncio.Task[None]] = set()
        self.paused = False
        self.teller = worker._teller = make_teller(worker._max_jobs)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            lines = [group.create_task(self._keep_connected(address)) for address in self.worker._servers]
            try:
                while not self._finished():
                    self._ask()
                    await self.changed.wait()
                    self.changed.clear()
                while self.jobs:
                    await asyncio.wait(self.jobs)
                self._flush()
            finally:
                for job in self.jobs:
                    job.cancel()
                for line in lines:
                    line.cancel()

    def _finished(self) -> bool:
        """Say whether to stop: not before each server that was asked for a job has answered."""
        return self.worker._stopping and not any(session.grabbing for session in self.sessions)

    def _ask(self) -> None:
        if self.paused != self.worker._paused:
            self.paused = self.worker._paused
            self.worker._apply_pause(self.sessions)
        if not self.worker._stopping:
            grabbing = sum(session.grabbing for session in self.sessions)
            choose(self.sessions, self.concurrency - len(self.jobs) - grabbing)
        self._flush()

    def _flush(self) -> None:
        for session, writer in self.sessions.items():
            if session.out:
                writer.write(b"".join(session.out))
                session.out.clear()

    async def _keep_connected(self, address: Address) -> None:
        backoff, failures = Backoff(initial=0.2, cap=5.0), 0
        while True:
            try:
                reader, writer = await asyncio.wait_for(self._open(address), 5.0)
            except OSError as error:  # a time-out is one, too
                failures += 1
                if self.teller is not None and not self.sessions:
                    self.teller.note(f"no job server: {address}: {error.strerror or error}")
                if failures == 1:
                    _log.warning("no connection to %s: %s; trying again for ever", address, error.strerror or error)
            else:
                if failures:
                    _log.warning("connected to %s", address)
                failures = 1
                why = await self._converse(reader, writer)
                _log.warning("lost %s: %s; trying again for ever", address, why)
            await asyncio.sleep(backoff.delay(failures, random.random()))  # noqa: S311 -- spreads retries

    async def _open(self, address: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        tls = self.worker._tls
        if address.path:
            return await asyncio.open_unix_connection(address.path, ssl=tls)
        return await asyncio.open_connection(address.host, address.port, ssl=tls)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
        """Feed a session until its connection ends; return why it did."""
        worker = self.worker
        session = worker._session(time.monotonic())
        self.sessions[session] = writer
        if self.teller is not None:
            self.teller.note("")
        self.changed.set()
        try:
            while True:
                try:
                    async with asyncio.timeout(worker._heartbeat):
                        data = await reader.read(CHUNK)
                except TimeoutError:
                    if not session.check(time.monotonic(), worker._heartbeat):
                        return f"silent for {2 * worker._heartbeat:.0f} seconds"
                    self.changed.set()
                    continue
                if not data:
                    return "it closed the connection"
                for assignment in session.feed(data, time.monotonic()):
                    self._begin(assignment)
                self.changed.set()
        except (OSError, PeerError) as error:
            return str(error)
        finally:
            del self.sessions[session]
            self.changed.set()
            writer.close()
            with suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    def _begin(self, assignment: Assignment) -> None:
        job = asyncio.ensure_future(self._work(assignment))
        self.jobs.add(job)
        if self.teller is not None and len(self.jobs) >= self.concurrency:
            self.teller.begin(assignment.function)
        job.add_done_callback(self._ended)

    def _ended(self, job: asyncio.Task[None]) -> None:
        self.jobs.discard(job)
        self.changed.set()

    async def _work(self, assignment: Assignment) -> None:
        worker, session = self.worker, assignment.session
        loop = asyncio.get_running_loop()

        def send(packet: bytes) -> None:
            loop.call_soon_threadsafe(self._send, session, packet)

        try:
            made, arguments = worker._arguments(assignment, send)
            if made.is_async or self.inline:
                result = made.function(*arguments)
                if inspect.isawaitable(result):
                    result = await result
            else:
                result = await asyncio.to_thread(made.function, *arguments)
            data = worker._codec.encode(result)
        except Exception as error:  # a job may raise anything; it must not end the worker
            await asyncio.sleep(0)  # what it sent goes out first
            worker._failed(assignment, error)
        else:
            await asyncio.sleep(0)
            session.finish(Kind.WORK_COMPLETE, assignment.handle, data)
        worker._count()
        self._told(assignment)
        if self.inline:
            for other in self.sessions:
                other.resume(time.monotonic())

    def _told(self, assignment: Assignment) -> None:
        """Tell that there is room for a job; that there still is, when nobody has come for it."""
        if self.teller is None:
            return
        self.teller.end(assignment.function)
        asyncio.get_running_loop().call_later(LINGER, self._settle)

    def _settle(self) -> None:
        if self.teller is not None and len(self.jobs) < self.concurrency:
            self.teller.settle()
            if self.teller.deadline is not None and not self.jobs:
                asyncio.get_running_loop().call_later(LINGER, self._settle)

    def _send(self, session: Session, packet: bytes) -> None:
        writer = self.sessions.get(session)
        if writer is not None:
            writer.write(packet)
