from __future__ import annotations

import pytest

from genii.errors import ConnectionLost, JobFailed, JobRefused, PeerError
from genii.gearman.exchange import Exchange, Question, Task
from genii.gearman.protocol import Kind, response


def test_answers_come_in_the_order_of_the_questions() -> None:
    exchange = Exchange()
    first, second, third = Task(background=True), Question(), Task(background=True)
    for question in (first, second, third):
        exchange.ask(question)
    exchange.feed(response(Kind.JOB_CREATED, b"H:1") + response(Kind.ECHO_RES, b"echo"))
    exchange.feed(response(Kind.ERROR, b"QUEUE_ERROR", b"Job queue is full"))
    assert (first.handle, second.answer) == (b"H:1", [b"echo"])
    assert isinstance(third.error, JobRefused)
    assert third.error.reason == "QUEUE_ERROR"
    assert not exchange.busy


def test_a_coalesced_job_that_was_submitted_twice_ends_twice() -> None:
    exchange = Exchange()
    heard: list[tuple[int, list[bytes]]] = []
    one = Task(heard=lambda _, parts: heard.append((1, parts)))
    two = Task(heard=lambda _, parts: heard.append((2, parts)))
    exchange.ask(one)
    exchange.ask(two)
    exchange.feed(response(Kind.JOB_CREATED, b"H:1") * 2)
    exchange.feed(response(Kind.WORK_DATA, b"H:1", b"x") * 2)
    assert heard == [(1, [b"x"]), (2, [b"x"])]
    exchange.feed(response(Kind.WORK_COMPLETE, b"H:1", b"done") * 2)
    assert (one.answer, two.answer) == ([b"done"], [b"done"])


def test_gearmands_failure_with_a_trailing_nul_is_understood() -> None:
    exchange, task = Exchange(), Task()
    exchange.ask(task)
    exchange.feed(response(Kind.JOB_CREATED, b"H:1") + response(Kind.WORK_FAIL, b"H:1\0"))
    assert isinstance(task.error, JobFailed)


def test_a_forgotten_job_is_dropped() -> None:
    exchange, task = Exchange(), Task()
    exchange.ask(task)
    exchange.feed(response(Kind.JOB_CREATED, b"H:1"))
    exchange.forget(task)
    exchange.feed(response(Kind.WORK_COMPLETE, b"H:1", b"late"))
    assert not task.done
    assert not exchange.busy


def test_everything_that_waits_ends_with_the_connection() -> None:
    exchange, asked, running = Exchange(), Question(), Task()
    exchange.ask(running)
    exchange.feed(response(Kind.JOB_CREATED, b"H:1"))
    exchange.ask(asked)
    exchange.lose("gone")
    assert isinstance(asked.error, ConnectionLost)
    assert isinstance(running.error, ConnectionLost)


def test_what_is_asked_of_a_lost_connection_ends_at_once() -> None:
    exchange, late = Exchange(), Question()
    exchange.lose("gone")
    exchange.ask(late)
    assert isinstance(late.error, ConnectionLost)
    assert not exchange.busy


def test_an_answer_that_nobody_asked_for_is_an_error() -> None:
    with pytest.raises(PeerError, match="nobody asked"):
        Exchange().feed(response(Kind.ECHO_RES, b""))
