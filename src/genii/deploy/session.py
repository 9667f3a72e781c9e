"""One host's side of a deployment: a connection, a shell on it that is fed with steps, and what they answered."""

from __future__ import annotations

import asyncio
import secrets
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from genii.deploy.mask import Mask
from genii.deploy.shell import Began, Ended, Marks, Output, bootstrap, end_of_payload, render, stop_command
from genii.errors import GeniiError
from genii.fleet.transport import ConnectionFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from genii.deploy.shell import Step
    from genii.fleet.transport import Connection, RemoteProcess

__all__ = ["Event", "Outcome", "Session"]

_KEPT = 1 << 20
"""Bytes of a step's output that are kept: its end tells most."""
_SETTLING = 15.0
_CLOSING = 5.0
KILLED = 128 + 15


class Event(msgspec.Struct, frozen=True):
    """What happens on a host: ``kind`` is begin, output or end (with a ``status``)."""

    host: str
    step: str
    kind: str
    text: str = ""
    status: int = 0
    seconds: float = 0.0


class Outcome(msgspec.Struct):
    """What became of a step."""

    step: str
    status: int | None = None
    """Exit status; None: it was not begun, or never ended."""
    output: bytes = b""
    seconds: float = 0.0
    began: bool = False
    timed_out: bool = False

    @property
    def text(self) -> str:
        """Return its output for people."""
        return self.output.decode(errors="replace").strip()


class Session:
    """Feed the shell of one host; what it prints is told without secrets as it comes."""

    def __init__(
        self,
        connection: Connection,
        secrets_of_user: Iterable[str] = (),
        on_event: Callable[[Event], None] | None = None,
    ) -> None:
        self._connection = connection
        self._secrets = tuple(secrets_of_user)
        self._on_event = on_event
        self._nonce = secrets.token_hex(8)
        self._marks = Marks(self._nonce)
        self._process: RemoteProcess | None = None
        self._reading: asyncio.Task[bytes] | None = None
        self._sent = 0
        self._feeding = False

    @property
    def host(self) -> str:
        """The name of the host."""
        return self._connection.host.name

    async def open(self) -> None:
        """Start the shell.

        Raises:
            ConnectionFailed: the host did not let us.
        """
        self._process = await self._connection.start(bootstrap())
        await self._write(self._nonce.encode() + b"\n")

    async def run(
        self,
        steps: Sequence[Step],
        env: Mapping[str, str] | None = None,
        payload: Callable[[], Iterable[bytes]] | None = None,
    ) -> list[Outcome]:
        """Take the steps, one after the other, up to the first that fails; return what became of each.

        ``payload`` makes the bytes that the step with a payload reads.

        Raises:
            ConnectionFailed: the connection broke; what was begun is ended by the host itself.
        """
        self._feeding = True
        self._sent += 1
        feeder = asyncio.create_task(self._feed(render(steps, self._nonce, env=env), payload))
        try:
            outcomes = await _Run(self, steps).follow()
            await feeder
        finally:
            feeder.cancel()
        return outcomes

    async def _feed(self, text: bytes, payload: Callable[[], Iterable[bytes]] | None) -> None:
        # A shell that has gone is noticed by whoever reads.
        with suppress(ConnectionFailed):
            await self._write(text)
            if payload:
                for chunk in payload():
                    await self._write(chunk)
                await self._write(end_of_payload(self._nonce))
            self._feeding = False

    async def _write(self, data: bytes) -> None:
        assert self._process is not None
        try:
            await self._process.write(data)
        except BrokenPipeError as error:
            raise ConnectionFailed(f"{self.host}: the connection broke") from error

    @property
    def done(self) -> bool:
        """Whether all that was sent has been carried out."""
        return self._marks.done >= self._sent

    async def events(self, timeout: float | None) -> list[Began | Output | Ended] | None:
        """Return what comes next; None: nothing came in so many seconds.

        Raises:
            ConnectionFailed: the connection broke, or the shell ended.
        """
        assert self._process is not None
        if self._reading is None:
            self._reading = asyncio.create_task(self._process.read())
        finished, _ = await asyncio.wait({self._reading}, timeout=timeout)
        if not finished:
            return None
        data, self._reading = self._reading.result(), None
        if not data:
            raise ConnectionFailed(f"{self.host}: {await self._end_of_shell()}")
        return self._marks.feed(data)

    async def _end_of_shell(self) -> str:
        """Return why nothing more comes."""
        assert self._process is not None
        said = b""
        with suppress(TimeoutError, ConnectionFailed):
            async with asyncio.timeout(_CLOSING):
                said = await self._process.read_error()
                await self._process.wait()
                text = said.decode(errors="replace").strip()
                return f"the shell ended{f': {text}' if text else ' (was it killed?)'}"
        return "the connection broke"

    def tell(self, event: Event) -> None:
        """Pass an event on."""
        if self._on_event is not None:
            self._on_event(event)

    def mask(self) -> Mask:
        """Return what takes the secrets out of one step's output."""
        return Mask(self._secrets)

    async def stop_step(self) -> None:
        """End the command that runs; the shell, and with it the lock, stay."""
        if self._marks.shell:
            with suppress(ConnectionFailed, TimeoutError):
                async with asyncio.timeout(_SETTLING):
                    stopper = await self._connection.start(stop_command(self._marks.shell))
                    await stopper.wait()

    async def settle(self) -> bool:
        """After an interruption: end what runs and catch up, so that the shell can be fed again; tell whether it can.

        Something that was to be read and did not arrive whole can't be made up for: then the connection has to go.
        """
        if self._feeding or self._process is None:
            return False
        if not self.done:
            await self.stop_step()
        try:
            async with asyncio.timeout(_SETTLING):
                while not self.done:
                    await self.events(None)
        except (ConnectionFailed, TimeoutError):
            return False
        return self.done

    async def close(self) -> None:
        """End the shell and the connection."""
        if self._process is not None:
            with suppress(ConnectionFailed):
                if self.done and not self._feeding:
                    await self._write(f"{self._nonce} bye\n".encode())
                await self._process.write_end()
        if self._reading is not None:
            self._reading.cancel()
            with suppress(asyncio.CancelledError, GeniiError, OSError):
                await self._reading
        await self._connection.close()


class _Run:
    """Follow the steps of one text."""

    def __init__(self, session: Session, steps: Sequence[Step]) -> None:
        self._session = session
        self._steps = steps
        self._outcomes = [Outcome(step.name) for step in steps]
        self._masks = [session.mask() for _ in steps]
        self._began = 0.0
        self._deadline: float | None = None

    async def follow(self) -> list[Outcome]:
        while not self._session.done:
            timeout = None if self._deadline is None else max(0.0, self._deadline - time.monotonic())
            events = await self._session.events(timeout)
            if events is None:
                await self._give_up()
            for event in events or ():
                self._take(event)
        return self._outcomes

    async def _give_up(self) -> None:
        """End the step that takes too long; a shell that does not go on then has lost its connection."""
        if self._deadline is None:
            return
        running = next(outcome for outcome in reversed(self._outcomes) if outcome.began)
        if running.timed_out:
            raise ConnectionFailed(f"{self._session.host}: the step {running.step} does not end")
        running.timed_out = True
        self._deadline = time.monotonic() + _SETTLING
        await self._session.stop_step()

    def _take(self, event: Began | Output | Ended) -> None:
        if not 0 <= event.number < len(self._steps):
            return
        outcome, mask = self._outcomes[event.number], self._masks[event.number]
        if isinstance(event, Began):
            self._began = time.monotonic()
            timeout = self._steps[event.number].timeout
            self._deadline = self._began + timeout if timeout else None
            outcome.began = True
            self._tell(Event(self._session.host, outcome.step, "begin"))
        elif isinstance(event, Output):
            self._add(outcome, mask.feed(event.data))
        else:
            self._add(outcome, mask.end())
            outcome.seconds = time.monotonic() - self._began
            outcome.status = KILLED if outcome.timed_out and event.status == 0 else event.status
            self._deadline = None
            if outcome.timed_out:
                self._add(outcome, f"it took longer than {self._steps[event.number].timeout:g} s\n".encode())
            self._tell(Event(
                self._session.host, outcome.step, "end", status=outcome.status, seconds=round(outcome.seconds, 4)
            ))  # fmt: skip

    def _add(self, outcome: Outcome, data: bytes) -> None:
        if data:
            outcome.output = (outcome.output + data)[-_KEPT:]
            self._tell(Event(self._session.host, outcome.step, "output", data.decode(errors="replace")))

    def _tell(self, event: Event) -> None:
        self._session.tell(event)
