"""What the clients ask, step by step, without a server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from genii.errors import ConnectionLost, JobFailed, UsageError
from genii.gearman.calls import Calls, JobHandle, due_time
from genii.gearman.codecs import codec
from genii.gearman.exchange import Task
from genii.gearman.protocol import Kind, request
from genii.system.address import parse_address

if TYPE_CHECKING:
    from genii.gearman.calls import Ask, Steps

HERE, THERE = parse_address("127.0.0.1:1"), parse_address("127.0.0.1:2")
CALLS = Calls(codec("json"))


def end(steps: Steps[Any], ask: Ask, answer: list[bytes]) -> Any:
    """Answer the last question and return what the steps lead to."""
    ask.question.end(answer)
    with pytest.raises(StopIteration) as stop:
        steps.send(HERE)
    return stop.value.value


def test_a_call_is_one_question_whose_answer_is_decoded() -> None:
    steps = CALLS.call("f", {"a": 1}, unique="u")
    ask = next(steps)
    assert ask.packet == request(Kind.SUBMIT_JOB, b"f", b"u", b'{"a":1}')
    assert ask.unique == b"u"
    assert end(steps, ask, [b"[2]"]) == [2]


def test_a_lost_call_is_asked_again_as_often_as_was_allowed() -> None:
    steps = CALLS.call("f", 1, retries=1)
    first = next(steps)
    second = steps.throw(ConnectionLost("gone"))
    assert second.packet == first.packet
    assert second.question is not first.question
    with pytest.raises(ConnectionLost):
        steps.throw(ConnectionLost("gone again"))


def test_a_call_that_was_lost_while_it_ran_is_asked_again_too() -> None:
    steps = CALLS.call("f", 1, retries=1)
    first = next(steps)
    first.question.end([], ConnectionLost("gone"))
    second = steps.send(HERE)
    assert end(steps, second, [b"3"]) == 3


def test_a_failed_job_is_not_repeated() -> None:
    steps = CALLS.call("f", 1, retries=5)
    next(steps).question.end([], JobFailed("no"))
    with pytest.raises(JobFailed):
        steps.send(HERE)


def test_a_submitted_job_knows_its_server() -> None:
    steps = CALLS.submit("f", 1, "", "high", 0, None)
    ask = next(steps)
    assert ask.packet == request(Kind.SUBMIT_JOB_HIGH_BG, b"f", b"", b"1")
    assert isinstance(ask.question, Task)
    ask.question.handle = b"H:x:1"
    handle = end(steps, ask, [b"H:x:1"])
    assert isinstance(handle, JobHandle)
    assert (handle, handle.server) == ("H:x:1", HERE)


def test_a_status_is_asked_of_each_server_until_one_knows_the_job() -> None:
    steps = CALLS.status(Kind.GET_STATUS, "H:x:1", [HERE, THERE, HERE], None)
    ask = next(steps)
    assert list(ask.servers) == [HERE]
    ask.question.end([b"H:x:1", b"0", b"0", b"0", b"0"])
    ask = steps.send(HERE)
    assert list(ask.servers) == [THERE]
    status = end(steps, ask, [b"H:x:1", b"1", b"1", b"1", b"2"])
    assert (status.known, status.running, status.numerator, status.denominator) == (True, True, 1, 2)


@pytest.mark.parametrize(
    ("function", "unique", "priority"),
    [("a\0b", "", "normal"), ("f", "a\0b", "normal"), ("f", "u" * 64, "normal"), ("f", "", "urgent")],
)
def test_what_the_protocol_can_not_say_is_refused_before_it_is_sent(function: str, unique: str, priority: Any) -> None:
    with pytest.raises(UsageError):
        next(CALLS.call(function, 1, unique, priority))


def test_a_time_is_rounded_up_to_whole_seconds_and_given_only_once() -> None:
    assert due_time(None, None, 1000.5) == 0
    assert due_time(None, 2, 1000.5) == 1003
    assert due_time(1700000000.1, None, 0.0) == 1700000001
    with pytest.raises(UsageError):
        due_time(1.0, 1.0, 0.0)
