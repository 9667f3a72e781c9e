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
