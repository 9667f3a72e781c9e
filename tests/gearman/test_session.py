from __future__ import annotations

import pytest

from genii.errors import PeerError
from genii.gearman.protocol import REQUEST, Kind, PacketReader, response
from genii.gearman.session import Session, choose


def sent(session: Session) -> list[Kind]:
    kinds = [Kind(kind) for kind, _ in PacketReader(REQUEST).feed(b"".join(session.out))]
    session.out.clear()
    return kinds


def session() -> Session:
    made = Session({b"f": 0.0, b"g": 2.5}, b"me", 0.0)
    assert sent(made) == [Kind.SET_CLIENT_ID, Kind.CAN_DO, Kind.CAN_DO_TIMEOUT]
    return made


def test_asks_works_and_sleeps() -> None:
    one = session()
    choose([one], 1)
    assert sent(one) == [Kind.GRAB_JOB_UNIQ]
    assigned = one.feed(response(Kind.JOB_ASSIGN_UNIQ, b"H:1", b"f", b"", b"pay\0load"), 1.0)
    assert [(job.handle, job.function, job.payload) for job in assigned] == [(b"H:1", b"f", b"pay\0load")]
    one.finish(Kind.WORK_COMPLETE, b"H:1", b"done")
    choose([one], 1)
    assert sent(one) == [Kind.WORK_COMPLETE, Kind.GRAB_JOB_UNIQ]
    assert one.feed(response(Kind.NO_JOB), 1.0) == []
    assert sent(one) == [Kind.PRE_SLEEP]
    choose([one], 1)
    assert sent(one) == []
    one.feed(response(Kind.NOOP), 1.0)
    choose([one], 1)
    assert sent(one) == [Kind.GRAB_JOB_UNIQ]


def test_a_wake_up_while_it_asks_does_not_confuse_it() -> None:
    one = session()
    choose([one], 1)
    sent(one)
    one.feed(response(Kind.NOOP) + response(Kind.NO_JOB), 1.0)
    assert sent(one) == [Kind.PRE_SLEEP]


def test_asks_no_more_servers_than_it_has_room_for() -> None:
    first, second = session(), session()
    choose([first, second], 1)
    assert (sent(first), sent(second)) == ([Kind.GRAB_JOB_UNIQ], [])
    first.feed(response(Kind.NO_JOB), 1.0)
    choose([first, second], 1)
    assert (sent(first), sent(second)) == ([Kind.PRE_SLEEP], [Kind.GRAB_JOB_UNIQ])


def test_a_silent_server_is_asked_and_then_given_up() -> None:
    one = session()
    assert one.check(10.0, 30.0)
    assert sent(one) == []
    assert one.check(30.0, 30.0)
    assert sent(one) == [Kind.ECHO_REQ]
    one.feed(response(Kind.ECHO_RES, b"heartbeat"), 31.0)
    assert one.check(61.0, 30.0)
    assert one.check(80.0, 30.0)
    assert not one.check(91.0, 30.0)


def test_silence_while_nobody_listened_means_nothing() -> None:
    one = session()
    assert one.check(30.0, 30.0)
    one.resume(500.0)
    assert one.check(501.0, 30.0)


def test_overlooks_that_a_job_was_taken_from_it_but_not_other_errors() -> None:
    one = session()
    one.feed(response(Kind.ERROR, b"JOB_NOT_FOUND", b"gone"), 1.0)
    with pytest.raises(PeerError, match="INVALID_COMMAND"):
        one.feed(response(Kind.ERROR, b"INVALID_COMMAND", b"what"), 1.0)
    with pytest.raises(PeerError, match="packet type 20"):
        session().feed(response(Kind.STATUS_RES, b"H:1", b"0", b"0", b"0", b"0"), 1.0)
