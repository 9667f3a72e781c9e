"""Any sequence of packets, connections, failures of the journal and garbage leaves the broker consistent."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from genii.gearman.broker import Broker
from genii.gearman.job import State
from genii.gearman.jobs import Peer
from genii.gearman.protocol import Kind, PacketReader, request
from genii.gearman.settings import Settings

if TYPE_CHECKING:
    from genii.gearman.ledger import Batch

EXAMPLES = int(os.environ.get("GENII_FUZZ", "1"))
"""How many times more examples than usual."""

name = st.sampled_from([b"f", b"g", b"h"])
unique = st.sampled_from([b"", b"", b"a", b"b", b"-"])
payload = st.sampled_from([b"", b"x", b"y\0z"])
index = st.integers(0, 9)


class BrokerMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.peers: list[Peer] = []
        self.readers: dict[Peer, PacketReader] = {}
        self.handles: list[bytes] = [b"H:localhost:999"]
        self.now = 100.0
        self.wall = 1_700_000_000.0
        self.flying: Batch | None = None
        self.commits = 0

    @initialize(
        durable=st.booleans(),
        attempts=st.sampled_from([0, 2]),
        wakeup=st.sampled_from([0, 1, 2]),
        linger=st.sampled_from([0.0, 2.0]),
    )
    def begin(self, durable: bool, attempts: int, wakeup: int, linger: float) -> None:
        self.broker = Broker(
            Settings(durable=durable, attempts=attempts, wakeup=wakeup, round_robin=attempts == 2, linger=linger)
        )
        self.broker.tick(self.now, self.wall)
        for _ in range(3):
            self.connect()

    @precondition(lambda self: len(self.peers) < 8)
    @rule()
    def connect(self) -> None:
        peer = Peer(len(self.peers), "127.0.0.1")
        self.broker.connect(peer)
        self.peers.append(peer)
        self.readers[peer] = PacketReader()

    @precondition(lambda self: len(self.peers) > 1)
    @rule(which=index)
    def disconnect(self, which: int) -> None:
        self.broker.disconnect(self.peers.pop(which % len(self.peers)))

    def send(self, which: int, kind: Kind, *parts: bytes) -> Peer:
        peer = self.peers[which % len(self.peers)]
        self.broker.receive(peer, request(kind, *parts), self.now)
        assert not peer.closing
        for other in self.peers:
            for kind_back, body in self.readers[other].feed(b"".join(other.out)):
                if kind_back == Kind.JOB_CREATED:
                    self.handles = [*self.handles[-8:], body]
            other.out.clear()
        for dirty in self.broker.dirty:
            dirty.dirty = False
        self.broker.dirty.clear()
        return peer

    @rule(
        which=index,
        kind=st.sampled_from([
            Kind.SUBMIT_JOB, Kind.SUBMIT_JOB_HIGH, Kind.SUBMIT_JOB_LOW,
            Kind.SUBMIT_JOB_BG, Kind.SUBMIT_JOB_HIGH_BG, Kind.SUBMIT_JOB_LOW_BG,
        ]),
        name=name, unique=unique, payload=payload,
    )  # fmt: skip
    def submit(self, which: int, kind: Kind, name: bytes, unique: bytes, payload: bytes) -> None:
        self.send(which, kind, name, unique, payload)

    @rule(which=index, name=name, unique=unique, delay=st.integers(-5, 5))
    def submit_for_later(self, which: int, name: bytes, unique: bytes, delay: int) -> None:
        self.send(which, Kind.SUBMIT_JOB_EPOCH, name, unique, b"%d" % (self.wall + delay), b"later")

    @rule(which=index, name=name)
    def can_do(self, which: int, name: bytes) -> None:
        self.send(which, Kind.CAN_DO, name)

    @rule(which=index, name=name)
    def can_do_in_time(self, which: int, name: bytes) -> None:
        self.send(which, Kind.CAN_DO_TIMEOUT, name, b"2000")

    @rule(which=index, name=name)
    def can_not_do(self, which: int, name: bytes) -> None:
        self.send(which, Kind.CANT_DO, name)

    @rule(which=index)
    def reset(self, which: int) -> None:
        self.send(which, Kind.RESET_ABILITIES)

    @rule(which=index, kind=st.sampled_from([Kind.GRAB_JOB, Kind.GRAB_JOB_UNIQ, Kind.GRAB_JOB_ALL]))
    def grab(self, which: int, kind: Kind) -> None:
        self.send(which, kind)

    @rule(which=index)
    def sleep(self, which: int) -> None:
        peer = self.peers[which % len(self.peers)]
        self.send(which, Kind.PRE_SLEEP)
        assert peer.asleep or any(function.queued for function in peer.abilities)

    @rule(
        which=index,
        kind=st.sampled_from([Kind.WORK_COMPLETE, Kind.WORK_EXCEPTION, Kind.WORK_DATA]),
        mine=st.booleans(),
        number=index,
    )
    def report(self, which: int, kind: Kind, mine: bool, number: int) -> None:
        self.send(which, kind, self.some_handle(which, mine, number), b"result")

    @rule(which=index, mine=st.booleans(), number=index)
    def fail(self, which: int, mine: bool, number: int) -> None:
        self.send(which, Kind.WORK_FAIL, self.some_handle(which, mine, number))

    @rule(which=index, number=index, unique=unique)
    def ask(self, which: int, number: int, unique: bytes) -> None:
        self.send(which, Kind.GET_STATUS, self.some_handle(which, False, number))
        self.send(which, Kind.GET_STATUS_UNIQUE, unique)

    def some_handle(self, which: int, mine: bool, number: int) -> bytes:
        own = list(self.peers[which % len(self.peers)].jobs)
        return own[number % len(own)] if mine and own else self.handles[number % len(self.handles)]

    @rule(number=index)
    def cancel(self, number: int) -> None:
        job = self.broker.jobs.get(self.handles[number % len(self.handles)])
        if job is not None:
            self.broker.cancel(job)

    @rule(name=name)
    def drop(self, name: bytes) -> None:
        function = self.broker.functions.get(name)
        if function is not None:
            self.broker.drop_function(function)

    @rule(seconds=st.sampled_from([0.5, 1.5, 3.0]))
    def let_pass(self, seconds: float) -> None:
        self.now += seconds
        self.wall += seconds
        self.broker.tick(self.now, self.wall)

    @precondition(lambda self: self.flying is None)
    @rule()
    def take_batch(self) -> None:
        self.flying = self.broker.ledger.take_batch()

    @precondition(lambda self: self.flying is not None)
    @rule(works=st.booleans())
    def end_batch(self, works: bool) -> None:
        batch, self.flying = self.flying, None
        assert batch is not None
        if works:
            segment = self.commits = self.commits + 1
            got, left = self.broker.ledger.committed(batch, segment)
            kept = [job for job in self.broker.jobs.values() if job.segment == segment]
            assert len(kept) == got
            assert len(left) <= got
        else:
            self.broker.ledger.refused(batch, "no space")

    @invariant()
    def counts_agree(self) -> None:
        if not hasattr(self, "broker"):
            return
        jobs = list(self.broker.jobs.values())
        for function in self.broker.functions.values():
            own = [job for job in jobs if job.function is function]
            assert function.queued == sum(job.state == State.QUEUED for job in own)
            assert function.running == sum(job.state == State.RUNNING for job in own)
            assert function.waiting == sum(job.state in (State.COMMITTING, State.SCHEDULED) for job in own)
            entries = [job for queue in function.queues for job in queue]
            assert sum(job.state == State.QUEUED for job in entries) == function.queued
            assert len(entries) == function.queued + function.dead
            assert function.workers == sum(function in peer.abilities for peer in self.peers)
            assert all(job in own for job in function.by_unique.values())
        assert all(self.broker.functions[job.function.name] is job.function for job in jobs)

    @invariant()
    def jobs_and_connections_agree(self) -> None:
        if not hasattr(self, "broker"):
            return
        for job in self.broker.jobs.values():
            assert job.state != State.GONE
            assert (job.worker is not None) == (job.state == State.RUNNING)
            if job.worker is not None:
                assert job.worker.jobs[job.handle] is job
            for listener in job.listeners:
                assert listener.listening[job.handle] is job
            assert job.background or job.listeners or job.state == State.RUNNING
        for peer in self.peers:
            assert all(self.broker.jobs[handle].worker is peer for handle in peer.jobs)
            assert all(peer in self.broker.jobs[handle].listeners for handle in peer.listening)

    @invariant()
    def who_is_kept_waiting_is_answered_in_time(self) -> None:
        if not hasattr(self, "broker"):
            return
        kept = [peer for peer in self.peers if peer.asked]
        assert all(peer.asleep and peer.woken_for is None for peer in kept)
        assert not any(function.queued for peer in kept for function in peer.abilities)
        delay = self.broker.next_tick(self.now, self.wall)
        assert not kept or (delay is not None and delay <= 2.0)

    @invariant()
    def nobody_sleeps_while_a_job_waits_unless_somebody_was_called_for_it(self) -> None:
        if not hasattr(self, "broker"):
            return
        for function in self.broker.functions.values():
            assert all(peer.asleep and function in peer.abilities for peer in function.sleepers)
            if function.queued and function.sleepers:
                assert any(peer.woken_for is function for peer in self.peers)


TestBroker = BrokerMachine.TestCase
TestBroker.settings = settings(
    max_examples=60 * EXAMPLES,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@settings(max_examples=200 * EXAMPLES, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=10))
def test_survives_random_bytes(chunks: list[bytes]) -> None:
    survive(chunks)


@settings(max_examples=200 * EXAMPLES, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 50), st.binary(max_size=40), st.integers(-3, 3)), max_size=10),
    st.lists(st.integers(1, 30), min_size=1),
)
def test_survives_packets_with_wrong_types_sizes_and_bodies(
    packets: list[tuple[int, bytes, int]], sizes: list[int]
) -> None:
    stream = b"".join(
        b"\0REQ" + kind.to_bytes(4, "big") + max(0, len(body) + error).to_bytes(4, "big") + body
        for kind, body, error in packets
    )
    chunks: list[bytes] = []
    while stream:
        size = sizes[len(chunks) % len(sizes)]
        chunks.append(stream[:size])
        stream = stream[size:]
    survive(chunks)


@settings(max_examples=200 * EXAMPLES, deadline=None)
@given(st.lists(st.binary(max_size=30).map(lambda line: b"x" + line), max_size=10))
def test_survives_any_line(lines: list[bytes]) -> None:
    survive([line + b"\n" for line in lines])


def survive(chunks: list[bytes]) -> None:
    broker = Broker()
    other, peer = Peer(1), Peer(2)
    broker.connect(other)
    broker.connect(peer)
    for chunk in chunks:
        broker.receive(peer, chunk, 0.0)
        if peer.closing:
            broker.disconnect(peer)
            break
    broker.receive(other, request(Kind.ECHO_REQ, b"unharmed"), 0.0)
    assert PacketReader().feed(b"".join(other.out))[-1] == (Kind.ECHO_RES, b"unharmed")


CONVERSATION = [
    request(Kind.CAN_DO, b"f"),
    request(Kind.CAN_DO_TIMEOUT, b"g", b"2000"),
    request(Kind.SET_CLIENT_ID, b"me"),
    request(Kind.OPTION_REQ, b"exceptions"),
    request(Kind.SUBMIT_JOB, b"f", b"key", b"payload"),
    request(Kind.SUBMIT_JOB_HIGH_BG, b"g", b"", b"payload"),
    request(Kind.SUBMIT_JOB_EPOCH, b"f", b"", b"1700000000", b"x"),
    request(Kind.SUBMIT_JOB_SCHED, b"f", b"", b"*", b"*", b"*", b"*", b"1", b"x"),
    request(Kind.SUBMIT_REDUCE_JOB, b"f", b"", b"reducer", b"aggregate", b"x"),
    request(Kind.GRAB_JOB_ALL),
    request(Kind.WORK_STATUS, b"H:localhost:1", b"1", b"2"),
    request(Kind.WORK_DATA, b"H:localhost:1", b"x"),
    request(Kind.GET_STATUS, b"H:localhost:1"),
    request(Kind.GET_STATUS_UNIQUE, b"key"),
    b"status\nworkers\r\nmaxqueue f 3\nshow jobs\n",
    request(Kind.WORK_COMPLETE, b"H:localhost:1", b"result"),
    request(Kind.GRAB_JOB_UNIQ),
    request(Kind.WORK_FAIL, b"H:localhost:2"),
    request(Kind.PRE_SLEEP),
    request(Kind.RESET_ABILITIES),
]
"""Something of everything, whose bytes are then spoilt."""

damage = st.tuples(
    st.sampled_from(["flip", "set", "drop", "repeat", "insert"]), st.integers(0, 1 << 20), st.integers(0, 255)
)


def spoil(stream: bytearray, how: str, where: int, value: int) -> None:
    """Do one kind of damage at a place of the stream."""
    at = where % max(1, len(stream))
    if how == "flip" and stream:
        stream[at] ^= 1 << value % 8
    elif how == "set" and stream:
        stream[at] = value
    elif how == "drop":
        del stream[at : at + value % 16]
    elif how == "repeat":
        stream[at:at] = stream[at : at + value % 64]
    elif how == "insert":
        stream[at:at] = bytes([value]) * (where % 5)


@settings(max_examples=300 * EXAMPLES, deadline=None)
@given(
    st.permutations(range(len(CONVERSATION))),
    st.lists(damage, max_size=8),
    st.lists(st.integers(1, 60), min_size=1, max_size=20),
)
def test_survives_conversations_with_spoilt_bytes(
    order: list[int], damages: list[tuple[str, int, int]], sizes: list[int]
) -> None:
    stream = bytearray(b"".join(CONVERSATION[number] for number in order))
    for how, where, value in damages:
        spoil(stream, how, where, value)
    chunks: list[bytes] = []
    while stream:
        size = sizes[len(chunks) % len(sizes)]
        chunks.append(bytes(stream[:size]))
        del stream[:size]
    survive(chunks)
