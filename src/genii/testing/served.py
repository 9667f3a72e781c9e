"""A ``MemoryTarget`` behind a real control server, in a thread of its own, for tests of clients that block."""

from __future__ import annotations

import asyncio
import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from genii.control.client import Client
from genii.control.server import ControlServer
from genii.system.address import Address
from genii.system.listen import listen_tcp
from genii.testing.target import MemoryTarget

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from genii.supervise.model import Settings

__all__ = ["ServedTarget"]

T = TypeVar("T")

_PATIENCE = 20.0


class ServedTarget:
    """Serve at ``path`` while the context lasts; with ``[http]`` settings also at ``tcp``, a free port.

    The target lives in the other thread: look at it and change it by ``do``.
    """

    def __init__(self, settings: Settings, path: str, front: str = "") -> None:
        self._front = front
        self._settings = replace(settings, state_dir=os.path.dirname(path))
        self._path = path
        self._loop: asyncio.AbstractEventLoop
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self.target: MemoryTarget
        self.tcp = Address()
        self._done: asyncio.Event

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._done = asyncio.Event()
        self.target = MemoryTarget(self._settings)
        server = ControlServer(self.target, self._front)
        await server.open(self._path)
        await server.start_serving()
        if self._settings.http != type(self._settings.http)():
            sockets = listen_tcp("127.0.0.1", 0)
            self.tcp = Address("127.0.0.1", sockets[0].getsockname()[1])
            await server.open_tcp(sockets)
        self._started.set()
        ends = [asyncio.create_task(event.wait()) for event in (self._done, self.target.ended)]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        await server.close()

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._started.wait(_PATIENCE):
            raise TimeoutError("the control server did not start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with suppress(RuntimeError):  # a client may have ended it
            self._loop.call_soon_threadsafe(self._done.set)
        self.wait_ended()

    def wait_ended(self) -> None:
        """Wait until the server has ended, as it does after a shutdown."""
        self._thread.join(_PATIENCE)

    def client(self, *, timeout: float = _PATIENCE) -> Client:
        """Return a client at the unix socket."""
        return Client(Address(path=self._path), timeout=timeout)

    def do(self, call: Callable[[MemoryTarget], T]) -> T:
        """Call something with the target, in its thread."""

        async def calling() -> T:
            return call(self.target)

        return asyncio.run_coroutine_threadsafe(calling(), self._loop).result(_PATIENCE)
