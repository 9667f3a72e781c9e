from __future__ import annotations

import subprocess
import sys
import threading
import weakref

import pytest

from genii.system.threads import ThreadPool


def test_threads_are_made_when_needed_and_used_again() -> None:
    pool = ThreadPool(4)
    assert [pool.submit(pow, number, 2).result(20) for number in range(10)] == [number**2 for number in range(10)]
    pool.shutdown()


def test_no_more_threads_than_its_size_work_at_once() -> None:
    pool, gate = ThreadPool(2), threading.Semaphore(0)
    calls = [pool.submit(lambda: (gate.acquire(), threading.current_thread())[1]) for _ in range(6)]
    for _ in calls:
        gate.release()
    assert len({call.result(20) for call in calls}) <= 2
    pool.shutdown()


def test_an_error_is_carried_to_the_caller() -> None:
    pool = ThreadPool(1)
    with pytest.raises(ZeroDivisionError):
        pool.submit(lambda: 1 / 0).result(20)
    pool.shutdown()


def test_a_closed_pool_takes_no_calls_and_drops_those_that_wait() -> None:
    pool, gate = ThreadPool(1), threading.Event()
    entered = threading.Event()

    def block() -> bool:
        entered.set()
        return gate.wait(20)

    first = pool.submit(block)
    entered.wait(20)
    second = pool.submit(print)
    pool.shutdown(wait=False, cancel_futures=True)
    assert second.cancelled()
    with pytest.raises(RuntimeError, match="closed"):
        pool.submit(print)
    gate.set()
    assert first.result(20)


def test_an_idle_thread_keeps_nothing_alive() -> None:
    class Heavy:
        pass

    pool, heavy = ThreadPool(1), Heavy()
    gone = threading.Event()
    weakref.finalize(heavy, gone.set)
    pool.submit(id, heavy).result(20)
    del heavy
    assert gone.wait(20)
    pool.shutdown()


def test_a_blocked_thread_does_not_hold_up_the_end_of_the_program() -> None:
    program = (
        "import threading; from genii.system.threads import ThreadPool; ThreadPool(1).submit(threading.Event().wait)"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=30).returncode == 0


def test_an_empty_pool_is_refused() -> None:
    with pytest.raises(ValueError, match="one thread or more"):
        ThreadPool(0)
