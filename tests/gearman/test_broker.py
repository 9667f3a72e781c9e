from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from genii.gearman.broker import Broker
from genii.gearman.jobs import Peer
from genii.gearman.protocol import HEADER, REQUEST, Kind, PacketReader, request
from genii.gearman.settings import Settings
from genii.testing.transcript import Conversation, MemoryServer

if TYPE_CHECKING:
    from collections.abc import Callable

TRANSCRIPTS = sorted((Path(__file__).parent / "transcripts").rglob("*.txt"))


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_holds_the_conversation(path: Path) -> None:
    Conversation(MemoryServer()).run(path)


def test_a_result_without_a_nul_is_not_taken_for_one_of_a_job_with_a_shorter_handle() -> None:
    broker, peer = Broker(), Peer()
    broker.connect(peer)
    for packet in (
        request(Kind.CAN_DO, b"f"),
        request(Kind.SUBMIT_JOB_BG, b"f", b"", b""),
        request(Kind.GRAB_JOB),
        HEADER.pack(REQUEST, Kind.WORK_COMPLETE, 14) + b"H:localhost:1x",
    ):
        peer.out.clear()
        broker.receive(peer, packet, 0.0)
    assert b"JOB_NOT_FOUND" in peer.out[-1]
    assert b"H:localhost:1" in peer.jobs


def test_counts_what_became_of_the_jobs_of_a_function_and_how_long_they_took() -> None:
    broker, peer = Broker(), Peer()
    broker.connect(peer)
    broker.receive(peer, request(Kind.CAN_DO, b"f"), 0.0)
    for number in range(1, 21):
        broker.receive(peer, request(Kind.SUBMIT_JOB_BG, b"f", b"", b""), 100.0 * number)
        broker.receive(peer, request(Kind.GRAB_JOB), 100.0 * number)
        broker.receive(peer, request(Kind.WORK_COMPLETE, b"H:localhost:%d" % number, b""), 101.0 * number)
    broker.receive(peer, request(Kind.SUBMIT_JOB_BG, b"f", b"", b""), 3000.0)
    broker.receive(peer, request(Kind.GRAB_JOB), 3000.0)
    broker.receive(peer, request(Kind.WORK_FAIL, b"H:localhost:21"), 3000.0)
    broker.receive(peer, request(Kind.CAN_DO, b"new"), 3000.0)
    peer.out.clear()
    broker.receive(peer, b"figures\r\n", 3000.0)
    assert peer.out == [b"f\t20\t1\t11.000000\t20.000000\nnew\t0\t0\t0.000000\t0.000000\n.\n"]


def test_the_time_of_one_job_is_taken_at_a_time_where_a_worker_has_several() -> None:
    broker, peer = Broker(), Peer()
    broker.connect(peer)
    broker.receive(peer, request(Kind.CAN_DO, b"f"), 0.0)
    for number, now in ((1, 1.0), (2, 5.0)):
        broker.receive(peer, request(Kind.SUBMIT_JOB_BG, b"f", b"", b""), now)
        broker.receive(peer, request(Kind.GRAB_JOB), now)
        assert len(peer.jobs) == number
    broker.receive(peer, request(Kind.WORK_COMPLETE, b"H:localhost:2", b""), 6.0)
    broker.receive(peer, request(Kind.WORK_COMPLETE, b"H:localhost:1", b""), 11.0)
    assert list(broker.functions[b"f"].times) == [10.0]
    assert broker.functions[b"f"].completed == 2


def conversation(broker: Broker) -> Callable[..., list[int]]:
    """Return how to send a packet on a new connection at a time, and read what came back meanwhile."""
    peer, reader = Peer(), PacketReader()
    broker.connect(peer)

    def send(now: float, *packets: bytes) -> list[int]:
        if packets:
            broker.receive(peer, b"".join(packets), now)
        else:
            broker.tick(now, now)
        kinds = [kind for kind, _ in reader.feed(b"".join(peer.out))]
        peer.out.clear()
        return kinds

    return send


CAN_DO, GRAB, SLEEP = request(Kind.CAN_DO, b"f"), request(Kind.GRAB_JOB), request(Kind.PRE_SLEEP)
SUBMIT = request(Kind.SUBMIT_JOB_BG, b"f", b"", b"x")


def called_at_once() -> tuple[Callable[..., list[int]], Callable[..., list[int]], bytes]:
    """Return a worker that was called right after it fell asleep and runs a job now, a client, and the job's end."""
    broker = Broker(Settings(linger=0.002))
    worker, client = conversation(broker), conversation(broker)
    assert worker(1.0, CAN_DO, GRAB, SLEEP) == [Kind.NO_JOB]
    assert client(1.001, SUBMIT) == [Kind.JOB_CREATED]
    assert worker(1.001, GRAB) == [Kind.NOOP, Kind.JOB_ASSIGN]
    return worker, client, request(Kind.WORK_COMPLETE, b"H:localhost:1", b"")


def test_a_busy_worker_that_asks_between_two_jobs_gets_the_next_one_without_a_call() -> None:
    worker, client, end = called_at_once()
    assert worker(1.002, end + GRAB) == []
    assert client(1.003, SUBMIT) == [Kind.JOB_CREATED]
    assert worker(1.0031) == [Kind.JOB_ASSIGN]


def test_a_busy_worker_is_told_after_a_moment_that_there_is_no_job_and_the_next_time_at_once() -> None:
    worker, client, end = called_at_once()
    assert worker(1.002, end + GRAB) == []
    assert worker(1.003) == []
    assert worker(1.0041) == [Kind.NO_JOB]
    assert worker(1.0042, GRAB) == [Kind.NO_JOB]
    assert worker(1.0043, SLEEP) == []
    assert client(2.0, SUBMIT) == [Kind.JOB_CREATED]
    assert worker(2.0) == [Kind.NOOP]


def test_a_worker_that_says_something_while_it_is_kept_waiting_is_answered_first() -> None:
    worker, _, end = called_at_once()
    assert worker(1.002, end + GRAB) == []
    assert worker(1.0021, request(Kind.ECHO_REQ, b"x")) == [Kind.NO_JOB, Kind.ECHO_RES]


def test_a_worker_that_goes_to_sleep_without_reading_is_not_kept_waiting() -> None:
    worker, _, end = called_at_once()
    assert worker(1.002, end + GRAB + SLEEP) == [Kind.NO_JOB]


def test_a_worker_that_vanishes_while_it_is_kept_waiting_is_forgotten() -> None:
    broker = Broker(Settings(linger=2.0))
    worker, client = conversation(broker), conversation(broker)
    worker(1.0, CAN_DO, GRAB, SLEEP)
    client(1.0, SUBMIT)
    worker(1.0, GRAB, request(Kind.WORK_COMPLETE, b"H:localhost:1", b""), GRAB)
    broker.disconnect(next(iter(broker.peers)))
    client(1.0, SUBMIT)
    assert broker.functions[b"f"].queued == 1
    assert broker.next_tick(1.0, 1.0) is None


def test_the_client_of_a_background_job_is_answered_before_its_worker_is_woken() -> None:
    client, worker, dirty = submitted_to_a_sleeping_worker(Kind.SUBMIT_JOB_BG)
    assert dirty == [client, worker]


def test_the_worker_of_a_foreground_job_is_woken_before_its_client_learns_the_handle() -> None:
    client, worker, dirty = submitted_to_a_sleeping_worker(Kind.SUBMIT_JOB)
    assert dirty == [worker, client]


def submitted_to_a_sleeping_worker(kind: Kind) -> tuple[Peer, Peer, list[Peer]]:
    """Return client and worker, and who has to be sent something once a job was submitted."""
    broker, client, worker = Broker(), Peer(), Peer()
    for peer in (client, worker):
        broker.connect(peer)
    broker.receive(worker, request(Kind.CAN_DO, b"f") + request(Kind.PRE_SLEEP), 0.0)
    broker.dirty.clear()
    broker.receive(client, request(kind, b"f", b"", b""), 0.0)
    return client, worker, broker.dirty
