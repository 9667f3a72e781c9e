"""A slot manager: elastic workers of one's own program, without a configuration file.

It is the supervisor of ``genii up`` with the workers as its programs, in the process and on the loop of whoever starts
it. Unlike those of ``genii up`` the workers don't outlive it: they have the kernel kill them when it is gone.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Self

from genii.errors import NotRunning, UsageError
from genii.gearman.queue_depth import QueueDepth
from genii.gearman.slot_folder import SlotFolder
from genii.gearman.slot_options import read_slots
from genii.gearman.slot_page import render_metrics, render_page
from genii.supervise.model import Settings
from genii.supervise.output import start_keeper
from genii.supervise.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from genii.events.http import Server
    from genii.events.message import Request, Response
    from genii.gearman.slot_options import SlotOptions
    from genii.supervise.report import ActionResult, PoolStatus, ProcessStatus

__all__ = ["SlotManager"]

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class SlotManager:
    """Keep between ``min`` and ``max`` processes of each worker class, as many as there is work for.

    ``slots`` has the options of each class under its name and common ones under ``global``: ``job_servers``, ``libs``,
    ``min``, ``max``, ``workleft`` as in Gearman::SlotManager, and those of ``SlotOptions``. A name is ``module:Class``,
    or ``Class`` for a class in a module of the same name. ``port`` serves a status page at ``host`` (0: any free port).
    Raises UsageError for options that make no sense.
    """

    def __init__(self, slots: Mapping[str, SlotOptions], *, port: int | None = None, host: str = "127.0.0.1") -> None:
        if host not in _LOOPBACK:
            raise UsageError(f"host={host!r}: the page has no password, so it is served on this machine only")
        read_slots(slots, sys.executable, os.getpid())  # a mistake is told now
        self._slots = slots
        self._host = host
        self._wanted_port = port
        self._page: Server | None = None
        self._supervisor: Supervisor | None = None
        self._folder: SlotFolder | None = None
        self.port = 0
        """Where the page is served; 0: nowhere (yet)."""

    async def start(self) -> None:
        """Start the workers on the running loop; returns when the first ones have been started.

        Raises OSError: the port is taken, or there is no room for a temporary folder.
        """
        if self._supervisor is not None:
            return
        loop = asyncio.get_running_loop()
        if self._wanted_port is not None:
            await self._serve(self._wanted_port)
        programs = read_slots(self._slots, sys.executable, os.getpid())
        self._folder = SlotFolder()
        settings = Settings(state_dir=self._folder.path, identifier="slots", programs=programs)
        self._supervisor = Supervisor(settings, self._load, start_keeper(), loop)
        self._supervisor.elastic.demand.make_queues = QueueDepth
        self._supervisor.run()

    async def _load(self) -> Settings:
        assert self._supervisor is not None
        return self._supervisor.settings

    async def stop(self) -> None:
        """Let each worker finish its job (up to its ``patience``) and end them all."""
        if self._page is not None:
            page, self._page = self._page, None
            await page.close(grace=0.5)
            self.port = 0
        if self._supervisor is not None:
            await self._supervisor.shutdown()
            supervisor, self._supervisor = self._supervisor, None
            supervisor.close()
        if self._folder is not None:
            self._folder.remove()
            self._folder = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def run(self) -> None:
        """Run until TERM or INT, which stop it gracefully; a second one at once. Blocks, on a loop of its own."""
        asyncio.run(self._run())

    async def _run(self) -> None:
        loop, ending = asyncio.get_running_loop(), asyncio.Event()

        def end() -> None:
            if ending.is_set() and self._supervisor is not None:
                self._supervisor.kill_everything()
            ending.set()

        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            loop.add_signal_handler(number, end)
        async with self:
            await ending.wait()

    # -- to look ----------------------------------------------------------------------------------------------------

    def pools(self) -> list[PoolStatus]:
        """Return the figures of each class."""
        return self._running.pools()

    def processes(self) -> list[ProcessStatus]:
        """Return what is known of each process."""
        return self._running.statuses()

    @property
    def _running(self) -> Supervisor:
        if self._supervisor is None:
            raise NotRunning("the slot manager is not started")
        return self._supervisor

    # -- to steer ---------------------------------------------------------------------------------------------------

    async def scale(self, name: str, minimum: int, maximum: int | None = None) -> list[ActionResult]:
        """Change the bounds of a class; busy workers that are too many end when they are idle."""
        return await self._running.scale(name, minimum, minimum if maximum is None else maximum)

    async def pause(self, name: str) -> None:
        """Have the workers of a class take no more jobs after their current one."""
        await self._running.pause([name])

    async def resume(self, name: str) -> None:
        """Have them take jobs again."""
        await self._running.pause([name], pause=False)

    async def restart(self, name: str) -> list[ActionResult]:
        """Replace the workers of a class one after the other, each when it has done its job: for new code."""
        return await self._running.restart([name], rolling=True)

    # -- the page -----------------------------------------------------------------------------------------------------

    async def _serve(self, port: int) -> None:
        from genii.events.http import Server
        from genii.events.message import Response
        from genii.events.router import Router
        from genii.system.listen import listen_tcp

        def guarded(answer: Response, request: Request) -> Response:
            name = request.headers.get("host", "").rpartition(":")[0] or request.headers.get("host", "")
            # A page of somebody else's, whose name was made to lead here, must not read ours.
            return answer if name.strip("[]") in _LOOPBACK else Response.text("wrong host\n", 421)

        def page(request: Request) -> Response:
            text = render_page(self.processes(), self.pools(), time.time())
            return guarded(Response(200, text.encode(), "text/html; charset=utf-8"), request)

        def status(request: Request) -> Response:
            return guarded(Response.json({"processes": self.processes(), "pools": self.pools()}), request)

        def metrics(request: Request) -> Response:
            text = render_metrics(self.processes(), self.pools())
            return guarded(Response(200, text.encode(), "text/plain; version=0.0.4; charset=utf-8"), request)

        router = Router()
        router.add("GET", "/", page)
        router.add("GET", "/status", status)
        router.add("GET", "/metrics", metrics)
        server = Server(router)
        sockets = listen_tcp(self._host, port)
        self.port = sockets[0].getsockname()[1]
        await server.listen(sockets)
        self._page = server
