from __future__ import annotations

from pathlib import Path

import pytest

from genii.gearman.broker import Broker
from genii.gearman.jobs import Peer
from genii.gearman.protocol import HEADER, REQUEST, Kind, request
from genii.testing.transcript import Conversation, MemoryServer

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
