"""What the broker wants kept: journal records gathered into batches, and the answers that wait for them. No I/O.

The shell takes a batch, writes it, and tells how that went; what the batch holds back is released only then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from genii.gearman.job import Job, State
from genii.gearman.protocol import Kind
from genii.gearman.protocol import response as encode
from genii.gearman.records import Submitted, encode_ended, encode_submitted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from genii.gearman.jobs import Peer
    from genii.gearman.queues import Queues
    from genii.gearman.records import Ended

__all__ = ["Batch", "Ledger"]

_COMMITTING, _GONE = State.COMMITTING.value, State.GONE.value


class Batch:
    """Journal records that are written together, and what waits for that.

    ``jobs`` are to be queued (or known to be kept) afterwards, ``moved`` are written anew from an older part of the
    journal, ``ended`` are the parts of the journal that lost a job each.
    """

    __slots__ = ("acknowledgements", "ended", "jobs", "moved", "peers", "records")

    def __init__(self) -> None:
        self.records: list[bytes] = []
        self.jobs: list[Job] = []
        self.moved: list[Job] = []
        self.ended: list[int] = []
        self.acknowledgements: list[tuple[list[bytes], int]] = []
        self.peers: dict[Peer, None] = {}


class Ledger:
    """Gather what is to be written of a broker's jobs, and hold back acknowledgements until it was."""

    __slots__ = ("_broker", "batch")

    def __init__(self, broker: Queues) -> None:
        self.batch = Batch()
        self._broker = broker

    # -- what the broker calls -------------------------------------------------------------------------------------

    def persist(self, peer: Peer, job: Job, acknowledgement: bytes) -> None:
        """Put a job into the batch; its acknowledgement, and all that comes after it, waits for the batch."""
        batch = self.batch
        batch.records.append(_record(job))
        batch.jobs.append(job)
        if peer.held is None:
            peer.held = []
            peer.emit = peer.held.append
        batch.peers[peer] = None
        batch.acknowledgements.append((peer.held, len(peer.held)))
        peer.held.append(acknowledgement)

    def end(self, job: Job) -> None:
        """Note that a job that was put into a batch will not run again."""
        self.batch.records.append(encode_ended(job.number))
        self.batch.ended.append(job.segment)

    # -- what the shell calls --------------------------------------------------------------------------------------

    def take_batch(self) -> Batch | None:
        """Hand over the journal records that have gathered, to be written; what they hold back stays held.

        Each batch must be answered by ``committed`` or ``refused`` before the next one is taken.
        """
        batch = self.batch
        if not batch.records:
            return None
        self.batch = Batch()
        for peer in batch.peers:
            peer.flight = peer.held
            peer.held = []
            peer.emit = peer.held.append
        return batch

    def committed(self, batch: Batch) -> list[Job]:
        """Take note that a batch is safe: release its acknowledgements, queue its jobs; return those still alive."""
        self._release(batch)
        alive = []
        for job in batch.jobs:
            job.kept = True
            if job.state == _COMMITTING:
                job.function.waiting -= 1
                self._broker.admit(job)
            if job.state != _GONE:
                alive.append(job)
        alive += [job for job in batch.moved if job.state != _GONE]
        return alive

    def refused(self, batch: Batch, reason: str) -> None:
        """Take note that a batch could not be written: its clients are told, its jobs dropped, ends of jobs kept."""
        answer = encode(Kind.ERROR, b"QUEUE_ERROR", reason.encode())
        for held, index in batch.acknowledgements:
            held[index] = answer
        self._broker.refused_jobs += len(batch.acknowledgements)
        tried_again = {job.handle for job in self.batch.jobs}
        for job in batch.jobs:
            if not job.kept and job.handle not in tried_again:
                self._unpersist(job)
        self._release(batch)
        ends = [record for record in batch.records if record[:1] == b"D"]
        self.batch.records[:0] = ends
        self.batch.ended[:0] = batch.ended

    def restore(self, segments: Iterable[tuple[int, list[Submitted | Ended]]]) -> None:
        """Take back what the segments of a journal have, at start-up; the jobs wait again in their old order."""
        waiting: dict[int, tuple[int, Submitted]] = {}
        newest = 0
        for segment, records in segments:
            for record in records:
                if record.number > newest:
                    newest = record.number
                if isinstance(record, Submitted):
                    waiting[record.number] = (segment, record)
                else:
                    waiting.pop(record.number, None)
        self._broker.skip_numbers(newest)
        for number in sorted(waiting):
            segment, record = waiting.pop(number)
            self._broker.revive(record).segment = segment

    def rewrite(self, jobs: Iterable[Job]) -> None:
        """Put the records of jobs that still live into the next batch, so that their older ones can be deleted."""
        for job in jobs:
            if job.state != _GONE and job.number:
                self.batch.records.append(_record(job))
                self.batch.moved.append(job)

    def _release(self, batch: Batch) -> None:
        """Let go of the output that waited for a batch."""
        broker = self._broker
        for peer in batch.peers:
            if peer.flight is not None:
                peer.out += peer.flight
                peer.flight = None
            if peer not in self.batch.peers:
                peer.out += peer.held or ()
                peer.held = None
                peer.emit = peer.out.append
            if peer in broker.peers:
                broker.touch(peer)
            else:
                peer.out.clear()

    def _unpersist(self, job: Job) -> None:
        """Forget that a job was to be kept; one that nobody listens to is dropped."""
        job.number = 0
        job.background = False
        if job.state == _COMMITTING:
            job.function.waiting -= 1
            if job.listeners:
                self._broker.admit(job)
            else:
                self._broker.drop(job)


def _record(job: Job) -> bytes:
    return encode_submitted(job.number, job.priority, job.when, job.function.name, job.unique, job.reducer, job.payload)
