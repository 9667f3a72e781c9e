from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from genii.config.ini.declaration import Group
from genii.supervisord.pool import Mood, Pool

READY, OK, FAIL = b"READY\n", b"RESULT 2\nOK", b"RESULT 4\nFAIL"


def make_pool(size: int = 3, members: tuple[str, ...] = ("a",)) -> Pool:
    group = Group(name="ears", kind="eventlistener", members=members, events=("TICK",), buffer_size=size)
    pool = Pool(group, lambda _, result: result == b"OK")
    for name in members:
        pool.born(name)
        pool.ran(name)
    return pool


def sent(pool: Pool) -> list[tuple[str, int]]:
    return [(name, envelope.serial) for name, envelope in pool.dispatch()]


def test_sends_an_event_to_who_is_ready() -> None:
    pool = make_pool()
    pool.offer(7, "TICK_5", "when:5")
    assert sent(pool) == []
    pool.received("a", READY)
    assert sent(pool) == [("a", 7)]
    assert sent(pool) == []


def test_writes_the_header_of_the_protocol() -> None:
    pool = make_pool()
    pool.offer(7, "TICK_5", "wann:ü")
    envelope = pool.waiting[0]
    head = b"ver:3.0 server:s serial:7 pool:ears poolserial:0 eventname:TICK_5 len:6\n"
    assert envelope.render("s", "ears") == head + "wann:ü".encode()


def test_sends_nothing_before_a_listener_is_running() -> None:
    pool = make_pool()
    pool.born("a")
    pool.received("a", READY)
    pool.offer(1, "TICK_5", "")
    assert sent(pool) == []
    pool.ran("a")
    assert sent(pool) == [("a", 1)]


def test_sends_a_rejected_event_again_first() -> None:
    pool = make_pool()
    pool.offer(1, "TICK_5", "")
    pool.offer(2, "TICK_5", "")
    pool.received("a", READY)
    assert sent(pool) == [("a", 1)]
    assert pool.received("a", FAIL + READY) == ["a: event was rejected"]
    assert sent(pool) == [("a", 1)]
    pool.received("a", OK + READY)
    assert sent(pool) == [("a", 2)]


def test_sends_the_event_of_a_dead_listener_to_another() -> None:
    pool = make_pool(members=("a", "b"))
    pool.received("a", READY)
    pool.received("b", READY)
    pool.offer(1, "TICK_5", "")
    assert sent(pool) == [("a", 1)]
    pool.died("a")
    assert sent(pool) == [("b", 1)]


def test_throws_the_oldest_away_when_full() -> None:
    pool = make_pool(size=2)
    assert [pool.offer(number, "TICK_5", "") for number in range(2)] == [None, None]
    lost = pool.offer(2, "TICK_5", "")
    assert lost is not None
    assert lost.serial == 0
    assert [envelope.serial for envelope in pool.waiting] == [1, 2]


def test_who_breaks_the_protocol_gets_nothing_more_and_its_event_goes_to_others() -> None:
    for garbage in (b"hello\n", READY + b"x"):
        pool = make_pool()
        assert "UNKNOWN" in pool.received("a", garbage)[-1]
        pool.offer(1, "TICK_5", "")
        pool.received("a", READY)
        assert sent(pool) == []
    for garbage in (b"RESULT x\n", b"NONSENSE", b"RESULT 99999999999\n", b"RESULT " + b"1" * 2000):
        pool = make_pool(members=("a", "b"))
        pool.received("a", READY)
        pool.offer(1, "TICK_5", "")
        assert sent(pool) == [("a", 1)]
        assert "UNKNOWN" in pool.received("a", garbage)[-1]
        pool.received("b", READY)
        assert sent(pool) == [("b", 1)]


def test_subscribes_by_the_beginning_of_a_name() -> None:
    pool = make_pool()
    assert pool.wants("TICK_3600")
    assert not pool.wants("PROCESS_STATE_RUNNING")


@given(st.lists(st.integers(1, 7), min_size=1, max_size=30), st.integers(1, 6))
def test_reads_messages_however_they_are_cut(cuts: list[int], count: int) -> None:
    pool = make_pool(size=50)
    for number in range(count):
        pool.offer(number, "TICK_5", "")
    accepted: list[int] = []
    stream = READY + (OK + READY) * count
    position = 0
    while position < len(stream):
        step = cuts[position % len(cuts)]
        # What follows an answer may only come when the next event was sent: the protocol takes turns.
        piece = stream[position : position + step]
        for byte in piece:
            pool.received("a", bytes((byte,)))
            accepted += [serial for _, serial in sent(pool)]
        position += step
    assert accepted == list(range(count))
    assert pool.listeners["a"].mood is Mood.READY
