"""A job server in a thread, for tests of clients and workers."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from genii.gearman.server import JobServer
from genii.gearman.settings import Settings

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

    from genii.gearman.journal import Journal

__all__ = ["ServerThread", "job_servers"]


class ServerThread:
    """Run a job server in a thread, on a free port unless one is given."""

    def __init__(
        self,
        settings: Settings | None = None,
        journal: Journal | None = None,
        context: ssl.SSLContext | None = None,
        port: int = 0,
    ) -> None:
        self.server = JobServer(settings or Settings(durable=journal is not None), journal)
        self.listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen(1000)
        self.port: int = self.listener.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self._context = context
        self._loop: asyncio.AbstractEventLoop | None = None
        self._serving = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.failure: BaseException | None = None

    def start(self) -> None:
        """Start it, and wait until it serves."""
        self._thread.start()
        assert self._serving.wait(20)

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=self.server.new_event_loop) as runner:
                self._loop = runner.get_loop()
                runner.run(self.server.serve([(self.listener, self._context)], self._serving.set))
        except BaseException as error:
            self.failure = error
            raise

    def do(self, action: Callable[[], object]) -> None:
        """Run something in the server's own thread, and wait for it."""
        assert self._loop is not None
        done: Future[None] = asyncio.run_coroutine_threadsafe(_call(action), self._loop)
        done.result(20)

    def stop(self) -> None:
        """Stop it, and wait for its end."""
        if self._thread.is_alive() and self._loop is not None:
            self._loop.call_soon_threadsafe(self.server.stop)
        self._thread.join(20)
        assert not self._thread.is_alive()
        assert self.failure is None


async def _call(action: Callable[[], object]) -> None:
    action()


@contextmanager
def job_servers() -> Iterator[Callable[..., ServerThread]]:
    """Give a function that starts job servers (arguments as of ``ServerThread``); stop them all at the end."""
    running: list[ServerThread] = []

    def start(*args: Any, **options: Any) -> ServerThread:
        running.append(ServerThread(*args, **options))
        running[-1].start()
        return running[-1]

    try:
        yield start
    finally:
        for server in running:
            server.stop()
