from __future__ import annotations

import errno
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from genii.errors import NotAllowed
from genii.gearman.broker import Broker
from genii.gearman.jobs import Peer
from genii.gearman.journal import SEGMENT_SIZE, Journal
from genii.gearman.protocol import Kind, PacketReader, request
from genii.gearman.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from genii.gearman.journal import Durability


class Bench:
    """A broker with a journal, and one connection; batches are written when ``sync`` is called."""

    def __init__(self, directory: Path, segment_size: int = 1 << 20, durability: Durability = "group") -> None:
        self.journal = Journal(directory, durability, segment_size)
        self.broker = Broker(Settings(durable=True))
        self.journal.recover(self.broker)
        self.peer = Peer()
        self.broker.connect(self.peer)
        self._reader = PacketReader()

    def send(self, kind: Kind, *parts: bytes) -> None:
        self.broker.receive(self.peer, request(kind, *parts), 0.0)

    def answers(self) -> list[tuple[int, bytes]]:
        data = b"".join(self.peer.out)
        self.peer.out.clear()
        return self._reader.feed(data)

    def sync(self) -> None:
        while True:
            self.journal.wait()
            self.journal.settle(self.broker)
            batch = self.broker.ledger.take_batch()
            if batch is None:
                return
            self.journal.write(batch)
            if self.journal.failure:
                self.journal.wait()
                self.journal.settle(self.broker)
                return

    def submit(self, payload: bytes, unique: bytes = b"") -> None:
        self.send(Kind.SUBMIT_JOB_BG, b"f", unique, payload)

    def finish_one(self) -> bytes:
        self.send(Kind.CAN_DO, b"f")
        self.send(Kind.GRAB_JOB)
        handle, _, payload = self.answers()[-1][1].split(b"\0")
        self.send(Kind.WORK_COMPLETE, handle, b"")
        return payload

    def payloads(self) -> list[bytes]:
        return [job.payload for job in self.broker.jobs.values()]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    open_ones: list[Bench] = []

    def start(segment_size: int = 1 << 20) -> Bench:
        for other in open_ones:
            other.journal.close()
        open_ones[:] = [Bench(tmp_path / "journal", segment_size)]
        return open_ones[0]

    yield start
    for other in open_ones:
        other.journal.close()


def test_a_job_is_acknowledged_and_queued_only_when_it_is_written(bench: Callable[..., Bench]) -> None:
    one = bench()
    one.submit(b"x")
    assert one.answers() == []
    assert one.broker.functions[b"f"].queued == 0
    one.sync()
    assert one.answers() == [(Kind.JOB_CREATED, b"H:localhost:1")]
    assert one.broker.functions[b"f"].queued == 1


def test_later_answers_do_not_overtake_an_acknowledgement_that_waits(bench: Callable[..., Bench]) -> None:
    one = bench()
    one.submit(b"x")
    one.send(Kind.SUBMIT_JOB, b"f", b"", b"foreground")
    one.send(Kind.ECHO_REQ, b"hello")
    assert one.answers() == []
    one.sync()
    assert one.answers() == [
        (Kind.JOB_CREATED, b"H:localhost:1"),
        (Kind.JOB_CREATED, b"H:localhost:2"),
        (Kind.ECHO_RES, b"hello"),
    ]
    one.send(Kind.ECHO_REQ, b"again")
    assert one.answers() == [(Kind.ECHO_RES, b"again")]


def test_jobs_come_back_in_order_with_their_handles_and_finished_ones_do_not(bench: Callable[..., Bench]) -> None:
    first = bench()
    for number in range(5):
        first.submit(b"%d" % number, b"u%d" % number)
    first.sync()
    first.answers()
    assert first.finish_one() == b"0"
    first.sync()
    second = bench()
    assert second.payloads() == [b"1", b"2", b"3", b"4"]
    second.send(Kind.GET_STATUS, b"H:localhost:3")
    assert second.answers()[0][1] == b"H:localhost:3\x001\x000\x000\x000"
    second.submit(b"again", b"u2")
    second.sync()
    assert second.answers()[-1] == (Kind.JOB_CREATED, b"H:localhost:3")


@pytest.mark.parametrize("durability", ["group", "each", "none"])
def test_jobs_of_one_batch_come_back_whatever_was_submitted_between_them(
    tmp_path: Path, durability: Durability
) -> None:
    one = Bench(tmp_path / "journal", durability=durability)
    for number in range(30):
        one.send(Kind.SUBMIT_JOB, b"f", b"", b"foreground %d" % number)
        one.send(Kind.SUBMIT_JOB_LOW_BG, b"f", b"", b"low %d" % number)
        one.send(Kind.SUBMIT_JOB_HIGH_BG, b"g", b"u%d" % number, b"")
        one.send(Kind.SUBMIT_JOB_EPOCH, b"later", b"", b"2000000000", b"in 2033")
    one.sync()
    kept = {job.handle: job for job in one.broker.jobs.values() if job.background}
    one.journal.close()
    again = Bench(tmp_path / "journal", durability=durability)
    assert again.journal.notes == []
    assert list(again.broker.jobs) == list(kept)
    for handle, job in again.broker.jobs.items():
        before = kept[handle]
        assert (job.function.name, job.unique, job.payload, job.priority, job.when) == (
            before.function.name, before.unique, before.payload, before.priority, before.when,
        )  # fmt: skip
    again.journal.close()


def test_numbers_are_not_used_again_after_everything_was_done(bench: Callable[..., Bench]) -> None:
    first = bench()
    first.submit(b"x")
    first.sync()
    first.answers()
    first.finish_one()
    first.sync()
    second = bench()
    second.submit(b"y")
    second.sync()
    assert second.answers() == [(Kind.JOB_CREATED, b"H:localhost:2")]


def test_a_background_submit_makes_a_foreground_job_durable(bench: Callable[..., Bench]) -> None:
    first = bench()
    first.send(Kind.SUBMIT_JOB, b"f", b"key", b"x")
    first.submit(b"x", b"key")
    first.sync()
    assert bench().payloads() == [b"x"]


def test_segments_without_living_jobs_are_deleted(bench: Callable[..., Bench], tmp_path: Path) -> None:
    one = bench(segment_size=4000)
    for _ in range(20):
        one.submit(b"x" * 1000)
        one.sync()
        one.answers()
        one.finish_one()
        one.sync()
    one.journal.wait()
    assert bench(4000).payloads() == []
    assert len(list((tmp_path / "journal").glob("jobs.*"))) <= 2


def test_jobs_that_outstay_the_others_are_written_anew(bench: Callable[..., Bench], tmp_path: Path) -> None:
    one = bench(segment_size=4000)
    one.send(Kind.SUBMIT_JOB_LOW_BG, b"f", b"", b"the one that stays")
    one.sync()
    for _ in range(100):
        one.submit(b"x" * 1000)
        one.sync()
        one.answers()
        one.finish_one()
        one.sync()
    assert sum(path.stat().st_size for path in (tmp_path / "journal").glob("jobs.*")) < 1 << 26
    assert len(one.journal.segments) < 12
    assert bench(4000).payloads() == [b"the one that stays"]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_journal_of_the_real_size_is_thinned_out(tmp_path: Path) -> None:
    directory = tmp_path / "journal"
    one = Bench(directory, SEGMENT_SIZE)
    for number in range(3):
        one.send(Kind.SUBMIT_JOB_LOW_BG, b"f", b"", b"stays %d" % number)
    one.sync()
    payload = b"x" * (8 << 20)
    for _ in range(60):  # 480 MiB
        one.submit(payload)
        one.sync()
        one.answers()
        assert one.finish_one() == payload
        one.sync()
    one.journal.close()
    assert sum(path.stat().st_size for path in directory.glob("jobs.*")) < 6 * SEGMENT_SIZE
    again = Bench(directory, SEGMENT_SIZE)
    assert again.journal.notes == []
    assert again.payloads() == [b"stays 0", b"stays 1", b"stays 2"]
    again.journal.close()


def test_a_torn_last_write_is_left_out_and_told(tmp_path: Path) -> None:
    one = Bench(tmp_path / "journal")
    one.submit(b"whole")
    one.sync()
    one.submit(b"torn")
    one.sync()
    one.journal.close()
    path = tmp_path / "journal" / "jobs.00000001"
    os.truncate(path, path.stat().st_size - 3)
    again = Bench(tmp_path / "journal")
    assert again.payloads() == [b"whole"]
    assert len(again.journal.notes) == 1
    assert "the last write was cut off" in again.journal.notes[0]
    again.journal.close()


def test_another_server_on_the_same_journal_is_refused(bench: Callable[..., Bench], tmp_path: Path) -> None:
    bench()
    with pytest.raises(NotAllowed, match="another job server uses the journal"):
        Journal(tmp_path / "journal")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    directory = tmp_path / "disk"
    directory.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(directory)]
    if os.geteuid() != 0 or subprocess.run(mounting, capture_output=True, check=False).returncode != 0:
        pytest.skip("only root can mount a small file system")
    yield directory
    subprocess.run(["umount", "-l", str(directory)], check=True)


def test_a_full_disk_refuses_background_jobs_clearly_and_loses_none(small_disk: Path) -> None:
    one = Bench(small_disk / "journal")
    accepted = 0
    refused: list[bytes] = []
    while not refused and accepted < 1000:
        one.submit(b"%04d" % accepted + b"x" * 10_000)
        one.sync()
        for kind, body in one.answers():
            if kind == Kind.ERROR:
                refused.append(body)
            else:
                accepted += 1
    assert 50 < accepted < 200
    assert refused[0].startswith(b"QUEUE_ERROR\0")
    assert b"No space left on device" in refused[0]
    one.send(Kind.SUBMIT_JOB, b"f", b"", b"foreground jobs go on")
    assert one.answers()[0][0] == Kind.JOB_CREATED
    assert len(one.broker.jobs) == accepted + 1

    (small_disk / "journal" / "other").write_bytes(b"")  # the directory still works
    done = one.finish_one()
    assert done.startswith(b"0000")
    one.sync()
    one.journal.close()

    again = Bench(small_disk / "journal")
    left = [payload[:4] for payload in again.payloads()]
    assert left == [b"%04d" % number for number in range(accepted - len(left), accepted)]
    assert len(left) in (accepted, accepted - 1)  # the end of the one that ran may not have fitted
    for _ in left:
        again.finish_one()
    again.sync()
    again.journal.close()
    recovered = Bench(small_disk / "journal")
    for _ in range(len(recovered.payloads())):
        recovered.finish_one()
    recovered.sync()
    recovered.journal.close()


def test_a_failed_sync_refuses_and_what_was_refused_does_not_come_back(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = bench()
    one.submit(b"before")
    one.sync()
    one.answers()
    with monkeypatch.context() as broken:
        broken.setattr(os, "fdatasync", fail)
        one.submit(b"refused", b"key")
        one.submit(b"refused", b"key")
        one.sync()
    answers = one.answers()
    assert [kind for kind, _ in answers] == [Kind.ERROR, Kind.ERROR]
    assert b"Input/output error" in answers[0][1]
    one.submit(b"after")
    one.sync()
    assert one.answers()[0][0] == Kind.JOB_CREATED
    assert bench().payloads() == [b"before", b"after"]


def fail(_: int) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))
