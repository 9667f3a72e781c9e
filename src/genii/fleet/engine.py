"""Work on many hosts: so many at once, one connection for each that is kept as long as it is wanted."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Self, TypeVar

from genii.errors import GeniiError
from genii.fleet.transport import ConnectionFailed
from genii.patterns import boss_worker

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator
    from types import TracebackType

    from genii.fleet.transport import Connection, Host, Transport
    from genii.patterns import Outcome

__all__ = ["Fleet"]

R = TypeVar("R")

_CLOSED_AT_ONCE = 100


class Fleet:
    """The open connections of one run; a context manager that closes them all."""

    def __init__(self, transport: Transport, *, limit: int = 50, keep: bool = False) -> None:
        """``limit``: hosts worked on at once; ``keep``: leave connections open for the next command."""
        self._transport = transport
        self._limit = limit
        self._keep = keep
        self._open: dict[str, Connection] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def each(
        self,
        hosts: Iterable[Host],
        work: Callable[[Connection], Awaitable[R]],
        *,
        limit: int = 0,
        more: Callable[[], bool] = lambda: True,
        on_error: Callable[[], object] = lambda: None,
    ) -> AsyncGenerator[Outcome[R], None]:
        """Do the work on each host and yield outcomes (``item`` is the host) as they come.

        A host that can't be reached is an outcome with ``ConnectionFailed``. While ``more()`` says no, no further host
        is begun; ``on_error()`` is called for a failure before that is asked again. When the reader leaves, what runs
        is cancelled and its connections are closed.
        """

        async def one(host: Host) -> R:
            try:
                return await self._with(host, work)
            except Exception:
                on_error()
                raise

        outcomes = boss_worker(one, _while(hosts, more), workers=max(1, limit or self._limit))
        async with aclosing(outcomes):
            async for outcome in outcomes:
                yield outcome

    async def _with(self, host: Host, work: Callable[[Connection], Awaitable[R]]) -> R:
        connection = await self._connection(host)
        healthy = False
        try:
            found = await work(connection)
            healthy = True
            return found
        except ConnectionFailed:
            raise
        except GeniiError:
            healthy = True  # the command's own failure; the way to the host is as good as before
            raise
        finally:
            if not (healthy and self._keep):
                await self._drop(host, connection)

    async def _connection(self, host: Host) -> Connection:
        kept = self._open.get(host.name)
        if kept is None:
            kept = self._open[host.name] = await self._transport.connect(host)
        return kept

    async def _drop(self, host: Host, connection: Connection) -> None:
        if self._open.pop(host.name, None) is not None:
            with suppress(GeniiError, OSError):
                await connection.close()

    async def close(self) -> None:
        """Close all connections, then the transport."""
        connections, self._open = list(self._open.values()), {}
        for start in range(0, len(connections), _CLOSED_AT_ONCE):
            some = connections[start : start + _CLOSED_AT_ONCE]
            await asyncio.gather(*(one.close() for one in some), return_exceptions=True)
        await self._transport.close()


def _while(hosts: Iterable[Host], more: Callable[[], bool]) -> Iterator[Host]:
    for host in hosts:
        if not more():
            return
        yield host
