from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from genii.errors import UsageError
from genii.events.signals import Signals


def test_a_handler_runs_when_the_program_waits() -> None:
    seen: list[str] = []
    with Signals() as signals:
        signals.on("USR1", lambda: seen.append("hello"))
        os.kill(os.getpid(), signal.SIGUSR1)
        assert seen == []
        assert signals.wait(timeout=10)
    assert seen == ["hello"]


def test_a_stop_signal_ends_the_waiting() -> None:
    with Signals() as signals:
        os.kill(os.getpid(), signal.SIGTERM)
        assert not signals.wait(timeout=10)
        assert signals.stopped_by == signal.SIGTERM
        assert not signals.wait(timeout=10)


def test_a_handler_may_refuse_to_stop() -> None:
    with Signals() as signals:
        signals.on("TERM", lambda: False)
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.wait(timeout=10)
        assert signals.stopped_by is None


def test_time_runs_out_without_a_signal() -> None:
    with Signals() as signals:
        assert signals.wait(timeout=0.01)


def test_the_earlier_handlers_come_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Signals() as signals:
        signals.on("USR2", lambda: None)
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before
    assert signal.getsignal(signal.SIGUSR2) is signal.SIG_DFL


@pytest.mark.parametrize("first_out", [0, 1])
def test_two_catch_the_same_signal_and_leave_in_any_order(first_out: int) -> None:
    before = signal.getsignal(signal.SIGUSR1)
    pair = [Signals(), Signals()]
    for signals in pair:
        signals.on("USR1", lambda: None)
        signals.__enter__()
    os.kill(os.getpid(), signal.SIGUSR1)
    assert [signals.take() for signals in pair] == [[signal.SIGUSR1], [signal.SIGUSR1]]
    pair[first_out].__exit__(None, None, None)
    rest = pair[1 - first_out]
    os.kill(os.getpid(), signal.SIGUSR1)
    assert rest.take() == [signal.SIGUSR1]
    rest.__exit__(None, None, None)
    assert signal.getsignal(signal.SIGUSR1) is before


def test_a_burst_is_kept_in_order() -> None:
    with Signals() as signals:
        for name in ("USR1", "USR2", "HUP"):
            signals.on(name, lambda: None)
        for number in (signal.SIGUSR2, signal.SIGHUP, signal.SIGUSR1):
            os.kill(os.getpid(), number)
        assert signals.take() == [signal.SIGUSR2, signal.SIGHUP, signal.SIGUSR1]


@pytest.mark.parametrize("others", [0, 1])
def test_a_signal_that_another_thread_receives_wakes_the_one_that_waits(others: int) -> None:
    waiting = threading.Event()

    def send() -> None:
        waiting.wait(20)
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

    with contextlib.ExitStack() as stack:
        first = [stack.enter_context(Signals()) for _ in range(others)]
        signals = Signals()
        signals.__enter__()
        for other in first:
            other.take()
        stack.close()  # the first has left, and handed on what it had
        thread = threading.Thread(target=send)
        thread.start()
        waiting.set()
        assert not signals.wait(timeout=20)
        assert signals.stopped_by == signal.SIGTERM
        thread.join()
        signals.__exit__(None, None, None)
    assert signal.set_wakeup_fd(-1) == -1


@pytest.mark.parametrize("name", ["KILL", "STOP", 9])
def test_what_can_not_be_caught_is_refused(name: str | int) -> None:
    with pytest.raises(UsageError, match="no program can catch"):
        Signals().on(name, lambda: None)


def test_an_unknown_signal_is_named() -> None:
    with pytest.raises(ValueError, match="'USR3' is not a signal"):
        Signals().on("USR3", lambda: None)


def test_another_thread_can_not_catch_signals() -> None:
    def enter() -> None:
        with Signals():
            pass

    assert threading.current_thread() is threading.main_thread()
    with ThreadPoolExecutor(1) as pool, pytest.raises(UsageError, match="main thread"):
        pool.submit(enter).result()


def test_the_parent_learns_which_signal_ended_the_program() -> None:
    program = """
from genii.events.signals import Signals
with Signals() as signals:
    print("ready", flush=True)
    while signals.wait():
        pass
    print("clean", end="")
signals.reraise()
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.terminate()
    assert process.stdout.read() == "clean"
    assert process.wait(20) == -signal.SIGTERM
    process.stdout.close()
