"""Measure a job server with jobs that do nothing: clients and one worker in this process."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from genii.gearman.async_client import AsyncClient
from genii.gearman.worker import Worker

if TYPE_CHECKING:
    import ssl

__all__ = ["Measured", "measure"]


class Measured(NamedTuple):
    """Jobs per second, and seconds from submit to result."""

    foreground: float
    p50: float
    p99: float
    background: float
    drained: float


async def measure(
    servers: list[str], jobs: int, concurrency: int, size: int, tls: ssl.SSLContext | None = None
) -> Measured:
    """Run foreground jobs, then background jobs; much of the time is this process's own."""
    name = f"genii-bench-{os.getpid()}"
    ended = asyncio.Event()
    count = 0

    def nothing(payload: bytes) -> bytes:
        nonlocal count
        count += 1
        if count == 2 * jobs:
            ended.set()
        return payload

    worker = Worker(servers, tls=tls)
    worker.register(nothing, name)
    working = asyncio.ensure_future(worker.serve(concurrency=concurrency, inline=True))
    try:
        async with AsyncClient(servers, tls=tls) as client:
            times, foreground = await _foreground(client, name, jobs, concurrency, b"x" * size)
            begin = time.perf_counter()
            await _each(jobs, concurrency, lambda: client.submit(name, b"x" * size))
            background = time.perf_counter() - begin
            await ended.wait()
            drained = time.perf_counter() - begin
    finally:
        worker.stop()
        await working
    return Measured(
        jobs / foreground, times[len(times) // 2], times[len(times) * 99 // 100], jobs / background, jobs / drained
    )


async def _foreground(
    client: AsyncClient, name: str, jobs: int, concurrency: int, payload: bytes
) -> tuple[list[float], float]:
    times: list[float] = []

    async def one() -> None:
        begin = time.perf_counter()
        await client.call(name, payload)
        times.append(time.perf_counter() - begin)

    begin = time.perf_counter()
    await _each(jobs, concurrency, one)
    return sorted(times), time.perf_counter() - begin


async def _each(jobs: int, concurrency: int, action: Any) -> None:
    left = jobs

    async def some() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await action()

    async with asyncio.TaskGroup() as group:
        for _ in range(min(concurrency, jobs)):
            group.create_task(some())
