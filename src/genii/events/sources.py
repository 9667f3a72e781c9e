"""What an app listens to besides timers: file watches, child processes, descriptors."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING, Any, Literal

from genii.errors import UsageError
from genii.events.source import Source

if TYPE_CHECKING:
    import subprocess

    from genii.clock import Clock
    from genii.events.handlers import Handler, Runner
    from genii.events.watch import Watcher

__all__ = ["Child", "Descriptor", "FileWatch"]


class FileWatch(Source):
    """Call a handler with each batch of changes; what happens while it runs is the next batch."""

    def __init__(self, handler: Handler, watcher: Watcher) -> None:
        super().__init__(handler)
        self.watcher = watcher
        self._task: asyncio.Task[Any] | None = None

    async def prepare(self) -> None:
        """Look at the files; raises OSError when there is nothing to watch."""
        await self.watcher.start()

    def _begin(self, runner: Runner, clock: Clock) -> None:  # noqa: ARG002 -- has no need of time
        self._task = runner.keep(self._watch(runner))

    def _halt(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self.watcher.close()

    async def _watch(self, runner: Runner) -> None:
        ended = asyncio.Event()
        async for batch in self.watcher:
            ended.clear()
            runner.run(self.handler, batch, ended.set)
            await ended.wait()


class Child(Source):
    """Call a handler with the exit status of a child process: the code, or -N when signal N ended it (pidfd_open(2)).

    The status is None when the process is not a child of this one, or somebody else has waited for it.
    """

    def __init__(self, handler: Handler, process: int | subprocess.Popen[Any]) -> None:
        super().__init__(handler)
        self._process = process
        self._descriptor = -1
        self._loop: asyncio.AbstractEventLoop

    def _begin(self, runner: Runner, clock: Clock) -> None:  # noqa: ARG002 -- has no need of time
        process = self._process
        self._loop = runner.loop
        if not isinstance(process, int) and process.returncode is not None:
            self._loop.call_soon(self._ended)
            return
        pid = process if isinstance(process, int) else process.pid
        try:
            self._descriptor = os.pidfd_open(pid)
        except (OSError, ValueError, OverflowError) as error:
            raise UsageError(f"{self.handler}: there is no process {pid}: {error}") from None
        self._loop.add_reader(self._descriptor, self._ended)

    def _halt(self) -> None:
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def _ended(self) -> None:
        if self._runner is not None:
            self._runner.run(self.handler, self._status())
            self.cancel()

    def _status(self) -> int | None:
        if not isinstance(self._process, int):
            return self._process.poll()
        with contextlib.suppress(ChildProcessError):
            pid, status = os.waitpid(self._process, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
        return None


class Descriptor(Source):
    """Call a handler when a descriptor can be read from or written to; again only after the handler has ended."""

    def __init__(self, handler: Handler, descriptor: int, mode: Literal["r", "w"]) -> None:
        super().__init__(handler)
        self._descriptor = descriptor
        self._mode = mode
        self._loop: asyncio.AbstractEventLoop | None = None

    def _begin(self, runner: Runner, clock: Clock) -> None:  # noqa: ARG002 -- has no need of time
        self._loop = runner.loop
        try:
            self._listen()
        except (OSError, ValueError) as error:
            raise UsageError(
                f"{self.handler}: descriptor {self._descriptor} can't be waited for ({error}); "
                "only pipes, sockets, terminals and the like can"
            ) from None

    def _halt(self) -> None:
        if self._loop is None:
            return
        if self._mode == "r":
            self._loop.remove_reader(self._descriptor)
        else:
            self._loop.remove_writer(self._descriptor)

    def _listen(self) -> None:
        assert self._loop is not None
        add = self._loop.add_reader if self._mode == "r" else self._loop.add_writer
        add(self._descriptor, self._ready)

    def _ready(self) -> None:
        runner = self._runner
        if runner is None:
            return
        if not self.handler.inline:
            self._halt()
        runner.run(self.handler, self._descriptor, None if self.handler.inline else self._resume)

    def _resume(self) -> None:
        if self._runner is not None:
            try:
                self._listen()
            except (OSError, ValueError):
                self.cancel()  # the handler has closed it
