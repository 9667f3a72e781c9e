"""Boss and workers, crews, pipelines: bounded, with results as they come or in order, leaving nothing behind.

All three are one thing: a boss hands items to a bounded pool, and takes no new one while too many results wait for
their reader. A crew hands out shards of one data set; in a pipeline the results of one pool are the items of the next.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Sequence, Sized
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from genii.backoff import Backoff
from genii.errors import TimedOut, UsageError
from genii.patterns.outcome import Outcome, Progress, shards, values
from genii.patterns.workers import choose

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from genii.patterns.workers import Worker

    Under = Literal["coroutines", "threads", "processes"]

__all__ = ["Stage", "boss_worker", "crew", "pipeline", "run"]

T = TypeVar("T")
R = TypeVar("R")

_BACKOFF = Backoff(initial=0.1, cap=5.0)


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a pipeline, or the settings of a pool."""

    work: Callable[[Any], Any]
    """Called with an item; async, or a plain function."""
    workers: int = 1
    under: Under | None = None
    """What does the work; None: coroutines if it is async, else threads. Processes need work that can be imported."""
    timeout: float | None = None
    """Seconds for one attempt. A thread that takes longer can't be stopped: it is left behind and replaced."""
    retries: int = 0
    """How often an item is tried again after an error or a time-out."""
    backoff: Backoff = _BACKOFF
    """How long to wait before that."""
    buffer: int | None = None
    """How many items may be in work or wait for their reader at once; None: four for each worker."""


@overload
def boss_worker(
    work: Callable[[T], Awaitable[R]],
    items: Iterable[T] | AsyncIterable[T],
    *,
    workers: int = ...,
    under: Under | None = ...,
    ordered: bool = ...,
    timeout: float | None = ...,
    retries: int = ...,
    backoff: Backoff = ...,
    buffer: int | None = ...,
    progress: Callable[[Progress], object] | None = ...,
) -> AsyncGenerator[Outcome[R], None]: ...
@overload
def boss_worker(
    work: Callable[[T], R],
    items: Iterable[T] | AsyncIterable[T],
    *,
    workers: int = ...,
    under: Under | None = ...,
    ordered: bool = ...,
    timeout: float | None = ...,
    retries: int = ...,
    backoff: Backoff = ...,
    buffer: int | None = ...,
    progress: Callable[[Progress], object] | None = ...,
) -> AsyncGenerator[Outcome[R], None]: ...
def boss_worker(
    work: Callable[[Any], Any],
    items: Iterable[Any] | AsyncIterable[Any],
    *,
    workers: int = 20,
    under: Under | None = None,
    ordered: bool = False,
    timeout: float | None = None,
    retries: int = 0,
    backoff: Backoff = _BACKOFF,
    buffer: int | None = None,
    progress: Callable[[Progress], object] | None = None,
) -> AsyncGenerator[Outcome[Any], None]:
    """Do the work on each item with so many workers, and yield an ``Outcome`` for each.

    An error of the work ends only its item. An error of ``items`` or ``progress`` ends all. When the reader leaves or
    is cancelled, workers are cancelled (coroutines), awaited (threads) or killed (processes) before this returns; use
    ``contextlib.aclosing`` if you leave by ``break``.

    Args:
        work: called with one item.
        items: may be endless; they are taken as workers get free.
        ordered: whether outcomes come in the order of the items, instead of as they are done.
        progress: called with each outcome, in the loop.
        workers, under, timeout, retries, backoff, buffer: see ``Stage``.
    """
    stage = Stage(work, workers, under, timeout, retries, backoff, buffer)
    return pipeline(items, stage, ordered=ordered, progress=progress)


async def pipeline(
    items: Iterable[Any] | AsyncIterable[Any],
    *stages: Stage | Callable[[Any], Any],
    ordered: bool = False,
    progress: Callable[[Progress], object] | None = None,
) -> AsyncGenerator[Outcome[Any], None]:
    """Lead each item through all stages, which work at the same time, and yield an ``Outcome`` for each.

    A stage that is slow holds up those before it, by its bounded buffer. An item that fails in one stage skips the
    others; ``Outcome.stage`` tells where. A plain function is a stage with one worker.
    """
    if not stages:
        raise UsageError("a pipeline needs one stage or more")
    flow = _first(items)
    for number, stage in enumerate(stages):
        settings = stage if isinstance(stage, Stage) else Stage(stage)
        flow = _Pool(settings, flow, number, ordered=ordered).outcomes()
    total = len(items) if isinstance(items, Sized) else None
    done = failed = 0
    try:
        async for outcome in flow:
            done += 1
            failed += not outcome.ok
            if progress is not None:
                progress(Progress(done, failed, total))
            yield outcome
    finally:
        await flow.aclose()


@overload
async def crew(
    work: Callable[[Sequence[T]], Awaitable[R]],
    data: Sequence[T],
    *,
    workers: int,
    under: Under | None = ...,
    timeout: float | None = ...,
    retries: int = ...,
    progress: Callable[[Progress], object] | None = ...,
) -> list[R]: ...
@overload
async def crew(
    work: Callable[[Sequence[T]], R],
    data: Sequence[T],
    *,
    workers: int,
    under: Under | None = ...,
    timeout: float | None = ...,
    retries: int = ...,
    progress: Callable[[Progress], object] | None = ...,
) -> list[R]: ...
async def crew(
    work: Callable[[Any], Any],
    data: Sequence[Any],
    *,
    workers: int,
    under: Under | None = None,
    timeout: float | None = None,
    retries: int = 0,
    progress: Callable[[Progress], object] | None = None,
) -> list[Any]:
    """Cut one data set into a shard for each worker, and return the results in the order of the shards.

    Raises:
        ExceptionGroup: all errors, after all shards have ended.
    """
    pieces = shards(data, workers)
    outcomes = boss_worker(
        work, pieces, workers=workers, under=under, ordered=True, timeout=timeout, retries=retries, progress=progress
    )
    return values([outcome async for outcome in outcomes])


def run(outcomes: AsyncIterator[Outcome[R]]) -> list[Outcome[R]]:
    """Take all outcomes, in a program that has no loop."""

    async def take() -> list[Outcome[R]]:
        return [outcome async for outcome in outcomes]

    return asyncio.run(take())


async def _first(items: Iterable[Any] | AsyncIterable[Any]) -> AsyncGenerator[Outcome[Any], None]:
    """Make outcomes of items that nothing has been done to."""
    index = 0
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield Outcome(index, item, item)
            index += 1
    else:
        for item in items:
            yield Outcome(index, item, item)
            index += 1


class _Pool:
    """The workers of one stage."""

    def __init__(self, stage: Stage, source: AsyncGenerator[Outcome[Any], None], number: int, *, ordered: bool) -> None:
        if stage.workers < 1 or stage.retries < 0 or (stage.buffer is not None and stage.buffer < stage.workers):
            raise UsageError(
                f"workers={stage.workers}, retries={stage.retries}, buffer={stage.buffer}: expected one worker or "
                "more, no negative number, and a buffer not smaller than the number of workers"
            )
        self._stage = stage
        self._source = source
        self._number = number
        self._ordered = ordered
        self._make = choose(stage.work, stage.under)
        self._taking = asyncio.Lock()
        self._room = asyncio.Semaphore(stage.buffer or 4 * stage.workers)
        self._ready: deque[Outcome[Any]] = deque()
        self._early: dict[int, Outcome[Any]] = {}
        self._expected = 0
        self._stirred = asyncio.Event()

    async def outcomes(self) -> AsyncGenerator[Outcome[Any], None]:
        """Yield the outcomes; in the end the workers are gone and the source is closed."""
        tasks = [asyncio.create_task(self._work()) for _ in range(self._stage.workers)]
        for task in tasks:
            task.add_done_callback(lambda _: self._stirred.set())
        try:
            while True:
                while self._ready:
                    outcome = self._ready.popleft()
                    yield outcome
                    self._room.release()
                running = [task for task in tasks if not task.done()]
                for task in tasks:
                    if task.done():
                        task.result()  # raises what ended it, which is an error of the source
                if not running and not self._ready:
                    return
                if not self._ready:
                    await self._stirred.wait()
                    self._stirred.clear()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._source.aclose()

    async def _work(self) -> None:
        worker = self._make()
        try:
            while True:
                await self._room.acquire()
                async with self._taking:
                    given = await anext(self._source, None)
                if given is None:
                    self._room.release()
                    return
                self._deliver(await self._do(worker, given) if given.ok else given)
        finally:
            await _finish(worker.close())

    async def _do(self, worker: Worker, given: Outcome[Any]) -> Outcome[Any]:
        stage, begin = self._stage, time.perf_counter()
        for attempt in range(1, stage.retries + 2):
            if attempt > 1:
                await asyncio.sleep(stage.backoff.delay(attempt - 1))
            value, error = await self._attempt(worker, given.value)
            if error is None:
                break
        seconds = given.seconds + time.perf_counter() - begin
        return replace(given, value=value, error=error, attempts=attempt, stage=self._number, seconds=seconds)

    async def _attempt(self, worker: Worker, item: Any) -> tuple[Any, Exception | None]:
        limit = asyncio.timeout(self._stage.timeout)
        try:
            async with limit:
                return await worker.call(item), None
        except Exception as error:
            if not limit.expired():
                return None, error
            await _finish(worker.discard())
            return None, TimedOut(f"the work took longer than {self._stage.timeout:g} s")

    def _deliver(self, outcome: Outcome[Any]) -> None:
        if not self._ordered:
            self._ready.append(outcome)
        else:
            self._early[outcome.index] = outcome
            while (following := self._early.pop(self._expected, None)) is not None:
                self._ready.append(following)
                self._expected += 1
        if self._ready:
            self._stirred.set()


async def _finish(ending: Awaitable[None]) -> None:
    """Wait for an end that must not be cut off by a cancellation; it is passed on afterwards."""
    task = asyncio.ensure_future(ending)
    cancelled = False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                break
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError
    task.result()
