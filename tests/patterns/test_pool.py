from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import os
import sys
import threading
import types
from typing import TYPE_CHECKING, Any

import pytest

from genii.backoff import Backoff
from genii.errors import TimedOut, UsageError
from genii.patterns import Outcome, Progress, Stage, boss_worker, crew, pipeline, run, values
from genii.testing.clock import VirtualTime

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

AT_ONCE = Backoff(initial=0.0, jitter=0.0)


async def double(number: int) -> int:
    await asyncio.sleep(0)
    return number * 2


def double_plainly(number: int) -> int:
    return number * 2


def raise_odd(number: int) -> int:
    if number % 2:
        raise ValueError(f"{number} is odd")
    return number


WORK = """
import os, signal, time

def kill_self(number):
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number

def sleep_long(number):
    if number == 1:
        time.sleep(1000)
    return number

def announce_and_sleep(path):
    with open(path, "w") as file:
        file.write(f"{os.getpid()}\\n")
    time.sleep(1000)

def raise_odd(number):
    if number % 2:
        raise ValueError(f"{number} is odd")
    return number

def unpicklable(number):
    return lambda: number
"""


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give a module that a fresh process can import too."""
    (tmp_path / "work_of_test.py").write_text(WORK)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "work_of_test", raising=False)
    return importlib.import_module("work_of_test")


def virtually(outcomes: AsyncIterator[Outcome[Any]]) -> list[Outcome[Any]]:
    async def take() -> list[Outcome[Any]]:
        return [outcome async for outcome in outcomes]

    return VirtualTime().run(take())


def test_five_thousand_items_through_twenty_workers() -> None:
    running = most = 0

    async def work(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1
        return number

    outcomes = virtually(boss_worker(work, range(5000), workers=20))
    assert sorted(values(outcomes)) == list(range(5000))
    assert most == 20


def test_plain_work_is_done_in_threads() -> None:
    seen = set()

    def work(number: int) -> int:
        seen.add(threading.current_thread())
        return number

    assert len(run(boss_worker(work, range(50), workers=3))) == 50
    assert threading.main_thread() not in seen
    assert len(seen) <= 3


def test_outcomes_come_as_they_are_done_or_in_order() -> None:
    async def work(seconds: float) -> float:
        await asyncio.sleep(seconds)
        return seconds

    delays = [3.0, 1.0, 2.0]
    assert [outcome.item for outcome in virtually(boss_worker(work, delays, workers=3))] == [1.0, 2.0, 3.0]
    assert [outcome.item for outcome in virtually(boss_worker(work, delays, workers=3, ordered=True))] == delays


def test_errors_end_only_their_item_and_can_be_raised_together() -> None:
    outcomes = run(boss_worker(raise_odd, range(6), workers=2, ordered=True))
    assert [outcome.ok for outcome in outcomes] == [True, False] * 3
    with pytest.raises(ExceptionGroup, match="3 of 6 items failed") as caught:
        values(outcomes)
    assert [str(error) for error in caught.value.exceptions] == ["1 is odd", "3 is odd", "5 is odd"]
    assert "item 1: 1" in caught.value.exceptions[0].__notes__
    with pytest.raises(ValueError, match="1 is odd"):
        outcomes[1].result()


def test_an_item_that_takes_too_long_is_given_up() -> None:
    async def work(seconds: float) -> float:
        await asyncio.sleep(seconds)
        return seconds

    outcomes = virtually(boss_worker(work, [1.0, 100.0, 2.0], workers=1, timeout=10))
    assert [outcome.value for outcome in outcomes] == [1.0, None, 2.0]
    assert isinstance(outcomes[1].error, TimedOut)
    assert str(outcomes[1].error) == "the work took longer than 10 s"


def test_a_time_out_of_the_work_itself_is_its_own_error() -> None:
    async def work(number: int) -> None:
        raise TimeoutError("the server")

    (outcome,) = virtually(boss_worker(work, [1], timeout=10))
    assert str(outcome.error) == "the server"


def test_a_thread_that_hangs_is_replaced() -> None:
    release = threading.Event()

    def work(number: int) -> int:
        if number == 0:
            release.wait()
        return number

    outcomes = run(boss_worker(work, range(4), workers=1, timeout=0.1))
    release.set()
    assert [outcome.value for outcome in outcomes] == [None, 1, 2, 3]


def test_failed_items_are_tried_again_after_a_while() -> None:
    attempts = []

    async def work(number: int) -> int:
        attempts.append(asyncio.get_running_loop().time())
        if len(attempts) < 3:
            raise ConnectionError("refused")
        return number

    backoff = Backoff(initial=1.0, factor=2.0, jitter=0.0)
    (outcome,) = virtually(boss_worker(work, [7], retries=5, backoff=backoff))
    assert (outcome.value, outcome.attempts) == (7, 3)
    assert attempts == pytest.approx([0.0, 1.0, 3.0])
    (failed,) = run(boss_worker(raise_odd, [1], retries=2, backoff=AT_ONCE))
    assert (failed.attempts, str(failed.error)) == (3, "1 is odd")


def test_takes_items_only_as_fast_as_results_are_taken() -> None:
    taken = 0

    def endless() -> Iterator[int]:
        nonlocal taken
        while True:
            taken += 1
            yield taken

    async def main() -> None:
        async with contextlib.aclosing(boss_worker(double, endless(), workers=2, buffer=5)) as outcomes:
            async for _ in outcomes:
                for _ in range(100):
                    await asyncio.sleep(0)
                assert taken <= 6
                break

    asyncio.run(main())


def test_items_may_come_from_an_async_source() -> None:
    async def source() -> AsyncIterator[int]:
        for number in range(5):
            await asyncio.sleep(1)
            yield number

    assert sorted(values(virtually(boss_worker(double, source(), workers=3)))) == [0, 2, 4, 6, 8]


def test_a_broken_source_ends_all_and_is_told() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise OSError("the list is unreadable")

    with pytest.raises(OSError, match="unreadable"):
        run(boss_worker(double, source(), workers=3))


def test_no_items_make_no_outcomes() -> None:
    assert run(boss_worker(double, [], workers=3)) == []


def test_progress_is_told_with_the_total_if_it_is_known() -> None:
    seen: list[Progress] = []
    run(boss_worker(raise_odd, [0, 1, 2], workers=1, progress=seen.append))
    assert seen == [Progress(1, 0, 3), Progress(2, 1, 3), Progress(3, 1, 3)]
    seen.clear()
    run(boss_worker(double, iter([1]), progress=seen.append))
    assert seen == [Progress(1, 0, None)]


@pytest.mark.parametrize("ordered", [False, True])
def test_cancellation_leaves_no_task_running(ordered: bool) -> None:
    cancelled = 0

    async def work(number: int) -> None:
        nonlocal cancelled
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            cancelled += 1
            raise

    async def take() -> None:
        async for _ in boss_worker(work, range(100), workers=7, ordered=ordered):
            pass

    async def main() -> None:
        task = asyncio.ensure_future(take())
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() == {asyncio.current_task()}

    VirtualTime().run(main())
    assert cancelled == 7


def test_cancellation_waits_for_threads() -> None:
    entered, release, ended = threading.Event(), threading.Event(), []

    def work(number: int) -> None:
        entered.set()
        release.wait(20)
        ended.append(number)

    async def take() -> None:
        async for _ in boss_worker(work, range(100), workers=1):
            pass

    async def main() -> None:
        task = asyncio.ensure_future(take())
        await asyncio.to_thread(entered.wait, 20)
        task.cancel()
        asyncio.get_running_loop().call_soon(release.set)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended == [0]

    asyncio.run(main())


def test_processes_do_the_work_and_tell_their_errors(work: Any) -> None:
    outcomes = run(boss_worker(work.raise_odd, range(4), workers=2, under="processes", ordered=True))
    assert [outcome.value for outcome in outcomes] == [0, None, 2, None]
    assert str(outcomes[1].error) == "1 is odd"
    assert outcomes[1].error is not None
    assert "in the worker process" in outcomes[1].error.__notes__[0]


def test_a_process_that_dies_or_hangs_is_replaced(work: Any) -> None:
    outcomes = run(boss_worker(work.kill_self, range(3), workers=1, under="processes"))
    assert [outcome.value for outcome in outcomes] == [0, None, 2]
    assert "signal 9" in str(outcomes[1].error)
    (outcome,) = run(boss_worker(work.sleep_long, [1], workers=1, under="processes", timeout=0.5))
    assert isinstance(outcome.error, TimedOut)


def test_cancellation_kills_processes(tmp_path: Path, work: Any) -> None:
    marker = tmp_path / "pid"

    async def take() -> None:
        async for _ in boss_worker(work.announce_and_sleep, [str(marker)], under="processes", workers=1):
            pass

    async def main() -> int:
        task = asyncio.ensure_future(take())
        async with asyncio.timeout(30):
            while not (marker.exists() and marker.read_text().endswith("\n")):  # noqa: ASYNC110 -- a file of another process
                await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return int(marker.read_text())

    pid = asyncio.run(main())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_work_that_a_fresh_process_can_not_find_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("module_that_is_only_here")
    exec("def work(number): return number", vars(module))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    outcomes = run(boss_worker(module.work, [1], under="processes", workers=1))
    assert "can't be found in a fresh process" in str(outcomes[0].error)


def test_a_result_that_can_not_be_sent_is_told(work: Any) -> None:
    outcomes = run(boss_worker(work.unpicklable, [1], under="processes", workers=1))
    assert "the result can't be sent" in str(outcomes[0].error)


def test_a_crew_works_on_shards_and_keeps_their_order() -> None:
    assert asyncio.run(crew(sum, range(10), workers=3)) == [0 + 1 + 2 + 3, 4 + 5 + 6, 7 + 8 + 9]
    assert asyncio.run(crew(sum, [5], workers=3)) == [5]
    assert asyncio.run(crew(len, range(1000), workers=2, under="processes")) == [500, 500]


def test_a_crew_tells_all_errors_together() -> None:
    def work(shard: Any) -> None:
        raise ValueError(f"{len(shard)} lines")

    with pytest.raises(ExceptionGroup, match="2 of 2"):
        asyncio.run(crew(work, range(10), workers=2))


def test_a_pipeline_leads_items_through_its_stages() -> None:
    outcomes = run(pipeline(range(10), Stage(double, workers=3), raise_odd, str, ordered=True))
    assert values(outcomes) == [str(number * 2) for number in range(10)]


def test_an_item_that_fails_in_a_stage_skips_the_others() -> None:
    outcomes = run(pipeline(range(4), raise_odd, double_plainly, ordered=True))
    assert [(outcome.value, outcome.stage) for outcome in outcomes] == [(0, 1), (None, 0), (4, 1), (None, 0)]
    assert [outcome.item for outcome in outcomes] == [0, 1, 2, 3]


def test_a_slow_stage_holds_up_the_ones_before_it() -> None:
    begun = 0

    async def fast(number: int) -> int:
        nonlocal begun
        begun += 1
        return number

    async def slow(number: int) -> int:
        await asyncio.sleep(1)
        assert begun <= number + 10
        return number

    outcomes = virtually(pipeline(range(100), Stage(fast, buffer=2), Stage(slow, buffer=2)))
    assert len(values(outcomes)) == 100


def test_leaving_a_pipeline_early_leaves_nothing_running() -> None:
    async def main() -> None:
        async with contextlib.aclosing(pipeline(range(100), double, double, double)) as outcomes:
            async for _ in outcomes:
                break
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
    gc.collect()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"workers": 0}, "one worker or more"),
        ({"retries": -1}, "no negative number"),
        ({"workers": 5, "buffer": 4}, "a buffer not smaller"),
        ({"under": "magic"}, "expected 'coroutines', 'threads' or 'processes'"),
        ({"under": "threads"}, "double is async: it runs as coroutines"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        run(boss_worker(double, [1], **settings))
    with pytest.raises(UsageError, match="double_plainly is not async"):
        run(boss_worker(double_plainly, [1], under="coroutines"))
    with pytest.raises(UsageError, match="one stage or more"):
        run(pipeline([1]))
