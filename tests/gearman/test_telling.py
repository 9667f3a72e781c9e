"""What a worker tells: messages when it matters, nothing in between."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from genii.gearman.telling import LINGER, Teller, make_teller
from genii.system.notify import NotifySocket
from genii.system.worksheet import read_worksheet

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[NotifySocket]:
    with NotifySocket(str(tmp_path / "notify")) as found:
        yield found


def heard(listener: NotifySocket) -> list[dict[str, str]]:
    return [fields for _, fields in listener.messages()]


def test_tells_busy_at_once_and_idle_after_a_moment(listener: NotifySocket) -> None:
    teller = Teller(listener.address, 0)
    teller.begin(b"T::f")
    assert heard(listener) == [{"BUSY": "1", "JOB": "T::f"}]
    teller.end(b"T::f")
    teller.settle()
    assert heard(listener) == []
    deadline = teller.deadline
    assert deadline is not None
    assert deadline <= time.monotonic() + LINGER
    teller.deadline = time.monotonic()
    teller.settle()
    assert heard(listener) == [{"BUSY": "0"}]
    settled: float | None = teller.deadline
    assert settled is None
    teller.close()


def test_jobs_that_follow_each_other_are_one_time_of_work(listener: NotifySocket) -> None:
    teller = Teller(listener.address, 0)
    for number in range(100):
        teller.begin(b"T::f%d" % number)
        teller.end(b"T::f%d" % number)
    assert heard(listener) == [{"BUSY": "1", "JOB": "T::f0"}]
    work = read_worksheet(os.getpid())
    assert work is not None  # whoever asks is told exactly
    assert (work.done, work.job) == (100, "T::f99")
    teller.close()


def test_tells_of_the_last_job_although_it_was_busy_before(listener: NotifySocket) -> None:
    teller = Teller(listener.address, 2)
    for _ in range(2):
        teller.begin(b"T::f")
        teller.end(b"T::f")
    assert [fields["JOBS_LEFT"] for fields in heard(listener)] == ["1", "0"]
    teller.close()


def test_a_listener_that_is_replaced_is_found_again(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with NotifySocket(path):
        teller = Teller(path, 0)
        assert teller.say("STATUS=one")
    assert teller.say("STATUS=nobody hears this")
    with NotifySocket(path) as listener:
        assert teller.say("STATUS=two")
        assert heard(listener) == [{"STATUS": "two"}]
    teller.close()


def test_a_listener_that_does_not_listen_never_holds_up_a_job(listener: NotifySocket) -> None:
    teller = Teller(listener.address, 0)
    for _ in range(5000):  # more than any queue of datagrams takes
        if not teller.say("STATUS=full"):
            break
    else:
        pytest.fail("the queue never filled")
    teller.begin(b"T::f")
    teller.end(b"T::f")
    heard(listener)
    teller.begin(b"T::g")  # what could not be told is told when there is room
    assert heard(listener) == [{"BUSY": "1", "JOB": "T::g"}]
    teller.close()


def test_nothing_is_told_where_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert make_teller(0) is None
    monkeypatch.setenv("NOTIFY_SOCKET", "no address")
    assert make_teller(0) is None
