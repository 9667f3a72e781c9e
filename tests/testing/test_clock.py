from __future__ import annotations

import asyncio
import time

import pytest

from genii.testing.clock import VirtualTime


def test_hours_pass_in_no_time() -> None:
    virtual = VirtualTime(start=1_000_000.0)

    async def main() -> list[float]:
        await asyncio.sleep(3600)
        return [virtual.monotonic(), virtual.time()]

    before = time.monotonic()
    assert virtual.run(main()) == pytest.approx([3600.0, 1_003_600.0])
    assert time.monotonic() - before < 60


def test_timers_run_in_their_order() -> None:
    virtual, order = VirtualTime(), []

    async def wait(seconds: float) -> None:
        await asyncio.sleep(seconds)
        order.append((seconds, round(virtual.monotonic(), 6)))

    async def main() -> None:
        await asyncio.gather(*(wait(seconds) for seconds in (30.0, 0.5, 7.0)))

    virtual.run(main())
    assert order == [(0.5, 0.5), (7.0, 7.0), (30.0, 30.0)]


def test_no_time_passes_while_a_thread_works() -> None:
    virtual = VirtualTime()

    async def main() -> float:
        timer = asyncio.ensure_future(asyncio.sleep(1))
        await asyncio.to_thread(time.sleep, 0.02)
        now = virtual.monotonic()
        await timer
        return now

    assert virtual.run(main()) == 0.0


def test_time_can_be_set_but_not_run_backwards() -> None:
    virtual = VirtualTime(start=100.0)
    virtual.advance(5)
    virtual.set_time(50.0)
    assert (virtual.monotonic(), virtual.time()) == (5.0, 50.0)
    with pytest.raises(ValueError, match="set_time"):
        virtual.advance(-1)
