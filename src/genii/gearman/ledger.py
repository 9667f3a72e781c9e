"""What the broker wants kept: journal records gathered into batches, and the answers that wait for them. No I/O.

The shell takes a batch, writes it, and tells how that went; what the batch holds back is released only then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from genii.gearman.job import Job, State
from genii.gearman.protocol import Kind
from genii.gearman.protocol import response as encode
from genii.gearman.records import Submitted, encode_batch, encode_ended, encode_packets, encode_submitted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from genii.gearman.jobs import Peer
    from genii.gearman.queues import Queues
    from genii.gearman.records import Ended

__all__ = ["Batch", "Ledger"]

_COMMITTING, _QUEUED, _GONE = State.COMMITTING.value, State.QUEUED.value, State.GONE.value


class Batch:
    """What is written to the journal together, and what waits for that."""

    __slots__ = ("acknowledgements", "ended", "jobs", "left", "moved", "packets", "peers", "plain", "records")

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        """To be queued, or known to be kept, afterwards."""
        self.plain: list[Job] = []
        """Those of them whose submit says all there is to say."""
        self.packets: list[bytes] = []
        """The submits of the plain ones, as they came."""
        self.moved: list[Job] = []
        """Written anew from an older part of the journal."""
        self.records: list[bytes] = []
        """Those of the jobs that are not plain, and of the moved ones."""
        self.ended: list[int] = []
        """The numbers of jobs that will not run again."""
        self.left: list[int] = []
        """For each of them the part of the journal that lost it."""
        self.acknowledgements: list[bytes] = []
        self.peers: dict[Peer, None] = {}

    @property
    def empty(self) -> bool:
        """Say whether there is nothing to write."""
        return not (self.jobs or self.ended or self.moved)

    def encode(self, *, apart: bool = False) -> list[bytes]:
        """Return the blocks to be written: one, or one for each job that came and one for the rest."""
        rest = [encode_ended(self.ended)] if self.ended else []
        if apart:
            submits = [encode_packets(job.number, packet) for job, packet in zip(self.plain, self.packets, strict=True)]
            return [encode_batch([record]) for record in (*submits, *self.records, *rest)]
        return [encode_batch([*self._runs(), *self.records, *rest])]

    def _runs(self) -> Iterator[bytes]:
        """Write the plain jobs, a record for each run of numbers."""
        plain, packets = self.plain, self.packets
        begin = 0
        while begin < len(plain):
            first = plain[begin].number
            end = len(plain)
            if plain[-1].number - first >= end - begin:  # numbers only grow, so that this says whether any is missing
                end = begin + 1
                while plain[end].number - first == end - begin:
                    end += 1
            yield encode_packets(first, b"".join(packets[begin:end]))
            begin = end


class Ledger:
    """Gather what is to be written of a broker's jobs, and hold back acknowledgements until it was."""

    __slots__ = ("_broker", "batch")

    def __init__(self, broker: Queues) -> None:
        self.batch = Batch()
        self._broker = broker

    # -- what the broker calls -------------------------------------------------------------------------------------

    def persist(self, peer: Peer, job: Job, packet: bytes, acknowledgement: bytes) -> None:
        """Put a job into the batch; its acknowledgement, and all that comes after it, waits for the batch.

        ``packet`` is what submitted it, where that says all; else nothing.
        """
        batch = self.batch
        if packet:
            batch.plain.append(job)
            batch.packets.append(packet)
        else:
            batch.records.append(_encode_job(job))
        batch.jobs.append(job)
        batch.acknowledgements.append(acknowledgement)
        if peer.held is None:
            peer.held = []
            peer.emit = peer.held.append
        batch.peers[peer] = None
        peer.emit(acknowledgement)

    def end(self, job: Job) -> None:
        """Note that a job that was put into a batch will not run again."""
        self.batch.ended.append(job.number)
        self.batch.left.append(job.segment)

    # -- what the shell calls --------------------------------------------------------------------------------------

    def take_batch(self) -> Batch | None:
        """Hand over what has gathered, to be written; what it holds back stays held.

        Each batch must be answered by ``committed`` or ``refused`` before the next one is taken.
        """
        batch = self.batch
        if batch.empty:
            return None
        self.batch = Batch()
        for peer in batch.peers:
            peer.flight = peer.held
            peer.held = []
            peer.emit = peer.held.append
        return batch

    def committed(self, batch: Batch, segment: int) -> tuple[int, list[int]]:
        """Take note that a batch is safe in this segment: release its acknowledgements, queue its jobs.

        Returns how many jobs the segment got by that, and for each that was in another one before, in which.
        """
        self._release(batch)
        got, left = 0, []
        for job in batch.jobs + batch.moved:
            state = job.state
            if state == _GONE:
                continue
            before = job.segment
            if before != segment:
                job.segment = segment
                got += 1
                if before >= 0:
                    left.append(before)
            if state != _COMMITTING:
                continue
            function = job.function
            function.waiting -= 1
            if job.when or function.sleepers:
                self._broker.admit(job)
            else:
                job.state = _QUEUED
                function.queues[job.priority].append(job)
                function.queued += 1
        return got, left

    def refused(self, batch: Batch, reason: str) -> None:
        """Take note that a batch could not be written: its clients are told, its jobs dropped, ends of jobs kept."""
        answer = encode(Kind.ERROR, b"QUEUE_ERROR", reason.encode())
        # known by identity: an equal packet may tell somebody of a foreground job, which goes on
        refused = set(map(id, batch.acknowledgements))
        for peer in batch.peers:
            peer.flight = [answer if id(packet) in refused else packet for packet in peer.flight or ()]
        self._broker.refused_jobs += len(batch.acknowledgements)
        tried_again = {job.handle for job in self.batch.jobs}
        for job in batch.jobs:
            if job.segment < 0 and job.handle not in tried_again:
                self._unpersist(job)
        self._release(batch)
        self.batch.ended[:0] = batch.ended
        self.batch.left[:0] = batch.left

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
                self.batch.records.append(_encode_job(job))
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


def _encode_job(job: Job) -> bytes:
    """Write the record of a job, whatever it is like."""
    return encode_submitted(job.number, job.priority, job.when, job.function.name, job.unique, job.reducer, job.payload)
