"""The job servers of a configuration: asked and steered by their text protocol, in a thread, as answers may take time.

Only servers that the configuration names can be reached this way.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

import msgspec

from genii.errors import GeniiError, NotAllowed, UsageError
from genii.system.address import parse_address

if TYPE_CHECKING:
    from collections.abc import Callable

    from genii.gearman.admin import Admin, FunctionFigures, FunctionStatus

__all__ = ["JobServer", "JobServers", "Jobs", "QueuedFunction", "QueuedJob", "Queues", "WorkerConnection"]

T = TypeVar("T")

_PATIENCE = 3.0
_MOST_JOBS = 200


class QueuedFunction(msgspec.Struct, frozen=True):
    """A function and its jobs."""

    name: str
    waiting: int
    running: int
    workers: int
    high: int
    normal: int
    low: int
    completed: int | None = None
    """Since the server began; None: it is gearmand, which doesn't count."""
    failed: int | None = None
    median: float | None = None
    """Seconds that the last jobs took."""
    late: float | None = None
    """The 95th percentile of the same."""


class WorkerConnection(msgspec.Struct, frozen=True):
    """A worker that is connected."""

    address: str
    id: str
    functions: list[str]


class JobServer(msgspec.Struct, frozen=True):
    """One job server; ``error`` says why it did not answer."""

    address: str
    version: str = ""
    error: str = ""
    functions: list[QueuedFunction] = []
    workers: list[WorkerConnection] = []


class QueuedJob(msgspec.Struct, frozen=True):
    """A job that waits or runs; gearmand tells the handle only."""

    handle: str
    state: str
    priority: str
    retries: int
    background: bool
    unique: str
    size: int
    payload: str
    """The beginning of it, printable."""


class JobServers(msgspec.Struct, frozen=True):
    """The answer of ``GET /api/v1/jobs``."""

    servers: list[JobServer]


class Jobs(msgspec.Struct, frozen=True):
    """The answer of ``GET /api/v1/jobs/peek``."""

    jobs: list[QueuedJob]


class Queues:
    """Ask the job servers named; one question at a time for each server."""

    def __init__(self, addresses: Callable[[], tuple[str, ...]]) -> None:
        self._addresses = addresses

    async def servers(self) -> list[JobServer]:
        """Tell how all servers are."""
        return list(await asyncio.gather(*(self._look(address) for address in self._addresses())))

    async def _look(self, address: str) -> JobServer:
        try:
            return await self._ask(address, lambda admin: _describe(address, admin))
        except GeniiError as error:
            return JobServer(address=address, error=str(error))

    async def peek(self, address: str, function: str, limit: int) -> list[QueuedJob]:
        """Tell the jobs of a function (empty: of all) in the order in which they would be served."""
        limit = min(max(1, limit), _MOST_JOBS)
        rows = await self._ask(address, lambda admin: admin.jobs(_word(function), limit))
        return [
            QueuedJob(
                handle=row.handle,
                state=row.state,
                priority=row.priority,
                retries=row.retries,
                background=row.background,
                unique=row.unique,
                size=row.size,
                payload=row.payload,
            )
            for row in rows
        ]

    async def cancel(self, address: str, handle: str) -> None:
        """Drop a job that waits."""
        await self._ask(address, lambda admin: admin.cancel(_word(handle)))

    async def drain(self, address: str) -> None:
        """Have a server take no new jobs and end when those that run are done; its supervisor starts it again."""
        try:
            await self._ask(address, lambda admin: admin.shut_down(graceful=True))
        except NotAllowed as error:
            if "UNKNOWN_COMMAND" not in str(error):
                raise
            raise NotAllowed(f"{address} is a gearmand, which no client can end; end it where it runs") from error

    async def _ask(self, address: str, question: Callable[[Admin], T]) -> T:
        if address not in self._addresses():
            raise UsageError(f"{address!r} is no job server of this configuration")

        def asked() -> T:
            from genii.gearman.admin import Admin

            with Admin(parse_address(address), timeout=_PATIENCE) as admin:
                return question(admin)

        return await asyncio.to_thread(asked)


def _describe(address: str, admin: Admin) -> JobServer:
    figures = admin.figures()
    functions = [_function(row, figures.get(row.name)) for row in admin.status()]
    workers = [WorkerConnection(row.address, row.client_id, row.functions) for row in admin.workers()]
    return JobServer(address=address, version=admin.version(), functions=functions, workers=workers)


def _function(row: FunctionStatus, figures: FunctionFigures | None) -> QueuedFunction:
    return QueuedFunction(
        name=row.name,
        waiting=max(0, row.total - row.running),
        running=row.running,
        workers=row.workers,
        high=row.high,
        normal=row.normal,
        low=row.low,
        completed=figures.completed if figures else None,
        failed=figures.failed if figures else None,
        median=figures.median if figures else None,
        late=figures.late if figures else None,
    )


def _word(text: str) -> str:
    if any(character.isspace() or not character.isprintable() for character in text):
        raise UsageError(f"{text!r} is not one word")
    return text
