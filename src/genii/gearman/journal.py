"""The journal on disk: segments that are written and synced by one thread, so that the server never waits for a disk.

A batch is handed over with ``write``; when ``descriptor`` becomes readable ``settle`` tells the broker how it went.
Segments are deleted from the oldest on, once none of their jobs lives; jobs that outstay the others are written
anew. The format is in ``records``.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import threading
from collections import deque
from contextlib import suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING, Literal, NamedTuple

from genii.errors import NotAllowed
from genii.gearman.records import scan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from genii.gearman.broker import Broker
    from genii.gearman.job import Job
    from genii.gearman.ledger import Batch
    from genii.gearman.records import Ended, Submitted

__all__ = ["Durability", "Journal", "Writer"]

Durability = Literal["group", "each", "none"]
SEGMENT_SIZE = 64 << 20
RESERVE = 4 << 20
"""Space is reserved in steps of this size: a write into reserved space can't run out of it."""
FILL = 256 << 10
"""Smaller batches go over zeros that were written before, in steps of this size: then most syncs have only data to
write, which takes half the time. For larger batches it isn't worth it to write everything twice."""
PIECE = 64 << 10
"""Zeros are written in pieces of this size: for larger ones the kernel looks for large pages, for ten times as long."""
HANDOVER = 0.002
"""Seconds for which a batch of many jobs is waited with until the kernel has it. Then its sync goes on beside what the
server does next; without that the thread has its turn when the server has nothing more to do."""
MANY = 20
"""Fewer jobs than these come from clients that wait, so that the server has nothing to do meanwhile."""
REWRITE = 5000
"""How many jobs are written anew in one batch."""


class Result(NamedTuple):
    """How the write of a batch went: into which segment, or why not."""

    batch: Batch
    segment: int
    size: int
    error: OSError | None


class Segment:
    """One file: its size in use, how many jobs were written to it and how many of those live."""

    __slots__ = ("jobs", "live", "path", "size")

    def __init__(self, path: Path, size: int = 0, jobs: int = 0) -> None:
        self.path = path
        self.size = size
        self.jobs = jobs
        self.live = 0


class Journal:
    """Keep the background jobs of one server in a directory of its own.

    ``durability`` is what an acknowledgement promises: ``group`` and ``each`` that the job is on the disk (synced with
    the others that came meanwhile, or by itself), ``none`` that the kernel has it, which outlives the server but not a
    power cut. Raises NotAllowed when another server uses the directory.
    """

    def __init__(self, directory: Path, durability: Durability = "group", segment_size: int = SEGMENT_SIZE) -> None:
        self.directory = directory
        self.notes: list[str] = []
        """What was found damaged at start-up, a sentence each."""
        self.segments: dict[int, Segment] = {}
        """By number, the oldest first."""
        self.failure = ""
        """Why the last write failed; empty: it did not."""
        self.descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._durability = durability
        self._segment_size = segment_size
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = _lock(directory)
        self._results: deque[Result] = deque()
        self._work: SimpleQueue[tuple[Batch, list[bytes]] | list[Path] | None] = SimpleQueue()
        self._busy = False
        self._baton = threading.Lock()
        """Held by the server's thread, but for the moment in which the other one is off to the disk."""
        self._moving: list[Job] = []
        self._writer = Writer(directory, segment_size, self._pass_baton)
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)

    # -- start and end --------------------------------------------------------------------------------------------

    def recover(self, broker: Broker) -> None:
        """Read what is there into the broker, and begin to write behind it."""
        broker.ledger.restore(self._read(sorted(self.directory.glob("jobs.[0-9]*"))))
        for job in broker.jobs.values():
            self.segments[job.segment].live += 1
        self._writer.number = max(self.segments, default=0)
        self._thread.start()
        self._delete_finished()

    def _read(self, paths: list[Path]) -> Iterator[tuple[int, list[Submitted | Ended]]]:
        for path in paths:
            data = path.read_bytes()
            found = scan(data)
            number = int(path.suffix[1:])
            self.segments[number] = Segment(path, found.end, sum(len(record) > 1 for record in found.records))
            for start, end in found.damage:
                torn = path is paths[-1] and end == len(data)
                what = "the last write was cut off and is left out" if torn else "damaged bytes are left out"
                self.notes.append(f"{path}: {what}: {end - start} bytes from offset {start} on")
            yield number, found.records

    def close(self) -> None:
        """Wait for the last write, and let go of the directory."""
        if self._thread.is_alive():
            self._work.put(None)
            self._thread.join()
        self._writer.close()
        os.close(self.descriptor)
        os.close(self._lock)

    # -- writing --------------------------------------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        """Say whether a batch can be handed over."""
        return not self._busy

    def write(self, batch: Batch) -> None:
        """Hand a batch to the thread; let a large one come as far as the kernel."""
        self._busy = True
        # encoded here, because each change of threads costs more than that
        blocks = batch.encode(apart=self._durability == "each")
        self._baton.acquire(blocking=False)
        self._work.put((batch, blocks))
        if len(batch.jobs) >= MANY:
            self._baton.acquire(timeout=HANDOVER)

    def wait(self) -> None:
        """Wait until the batch that was handed over is written, or is not."""
        if self._busy:
            select.select([self.descriptor], [], [])

    def settle(self, broker: Broker) -> None:
        """Tell the broker of the batches that were written, or not, since the last call."""
        try:
            os.eventfd_read(self.descriptor)
        except BlockingIOError:
            return
        while self._results:
            result = self._results.popleft()
            self._busy = False
            if result.error is None:
                self.failure = ""
                self._account(broker, result)
            else:
                self.failure = result.error.strerror or str(result.error)
                broker.ledger.refused(
                    result.batch, f"The job was not accepted: its journal can't be written: {self.failure}"
                )

    def _account(self, broker: Broker, result: Result) -> None:
        """Note where the jobs of a batch are now, and delete or thin out segments."""
        new = result.segment not in self.segments
        if new:
            self.segments[result.segment] = Segment(_path(self.directory, result.segment))
        segment = self.segments[result.segment]
        segment.size = result.size
        segment.jobs += len(result.batch.jobs) + len(result.batch.moved)
        got, left = broker.ledger.committed(result.batch, result.segment)
        segment.live += got
        for number in left:
            self.segments[number].live -= 1
        for number in result.batch.left:
            if number >= 0:
                self.segments[number].live -= 1
        self._delete_finished()
        if new and not self._moving and self._wasteful():
            oldest = next(iter(self.segments))
            self._moving = [job for job in broker.jobs.values() if job.segment == oldest]
        if self._moving:
            broker.ledger.rewrite(self._moving[-REWRITE:])
            del self._moving[-REWRITE:]

    def _delete_finished(self) -> None:
        """Delete segments without living jobs, from the oldest on, but for the last: it has the highest number."""
        finished = []
        while len(self.segments) > 1:
            number, segment = next(iter(self.segments.items()))
            if segment.live > 0:
                break
            finished.append(segment.path)
            del self.segments[number]
        if finished:
            self._work.put(finished)

    def _wasteful(self) -> bool:
        """Say whether the files are much larger than what lives in them."""
        total = sum(segment.size for segment in self.segments.values())
        alive = sum(segment.size * segment.live // max(segment.jobs, 1) for segment in self.segments.values())
        return total > 4 * alive + 4 * self._segment_size

    # -- the thread -----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            if isinstance(work, list):
                for path in work:
                    path.unlink(missing_ok=True)
            else:
                self._results.append(self._write(*work))
                os.eventfd_write(self.descriptor, 1)

    def _write(self, batch: Batch, blocks: list[bytes]) -> Result:
        writer = self._writer
        try:
            writer.append(blocks, sync=self._durability != "none" and bool(batch.jobs or batch.moved))
        except OSError as error:
            return Result(batch, writer.number, writer.size, error)
        return Result(batch, writer.number, writer.size, None)

    def _pass_baton(self) -> None:
        if self._baton.locked():
            self._baton.release()


class Writer:
    """Append to the last segment, and begin a new one when it is full.

    ``written`` is called when a batch is with the kernel, before what takes long.
    """

    def __init__(self, directory: Path, segment_size: int, written: Callable[[], None] = lambda: None) -> None:
        self.number = 0
        self.size = 0
        self._directory = directory
        self._segment_size = segment_size
        self._written = written
        self._descriptor = -1
        self._reserved = 0
        self._filled = 0

    def append(self, batches: list[bytes], *, sync: bool) -> None:
        """Write batches, syncing each if asked to; on an OSError nothing of them counts."""
        total = sum(map(len, batches))
        if self._descriptor < 0 or self.size + total > max(self._segment_size, total):
            self._begin()
        self._reserve(total)
        if sync and total < FILL:
            self._fill(total)
        start = self.size
        try:
            for batch in batches:
                self._write(batch)
                self._written()
                if sync:
                    os.fdatasync(self._descriptor)
        except OSError:
            self._abandon(start)
            raise

    def _begin(self) -> None:
        self.close()
        path = _path(self._directory, self.number + 1)
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        self.number += 1
        self.size = self._reserved = self._filled = 0
        directory = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _reserve(self, size: int) -> None:
        missing = self.size + size - self._reserved
        if missing <= 0:
            return
        for step in (max(missing, RESERVE), missing):
            try:
                os.posix_fallocate(self._descriptor, self._reserved, step)
            except OSError as error:
                if error.errno == errno.EOPNOTSUPP:
                    return  # then a write may still fail, and is dealt with
                if error.errno != errno.ENOSPC or step == missing:
                    raise
            else:
                self._reserved += step
                return

    def _fill(self, size: int) -> None:
        """Write zeros where the next batches go, unless they are there or the space isn't reserved."""
        if self.size + size > self._filled:
            begin = max(self.size, self._filled)
            end = min(begin + FILL, self._reserved)
            while begin < end:
                begin += os.pwrite(self._descriptor, bytes(min(end - begin, PIECE)), begin)
                self._filled = begin

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            written = os.pwrite(self._descriptor, view, self.size)
            self.size += written
            view = view[written:]

    def _abandon(self, size: int) -> None:
        """Cut off what was written in vain, and go on in a new segment: after an error this file is not trusted."""
        self.size = size
        with suppress(OSError):  # recovery leaves out what is torn
            os.ftruncate(self._descriptor, size)
        os.close(self._descriptor)
        self._descriptor = -1

    def close(self) -> None:
        """Close the segment, giving back the space that was reserved."""
        if self._descriptor >= 0:
            os.ftruncate(self._descriptor, self.size)
            os.close(self._descriptor)
            self._descriptor = -1


def _path(directory: Path, number: int) -> Path:
    return directory / f"jobs.{number:08d}"


def _lock(directory: Path) -> int:
    descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise NotAllowed(f"another job server uses the journal in {directory}; name another directory") from None
    return descriptor
