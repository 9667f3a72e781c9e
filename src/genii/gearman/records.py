"""The journal's format: what is written of jobs so that they outlive the server. No I/O.

A segment is a file of batches. A batch is a header (magic, length of its records, their CRC-32) and records; it counts
as a whole or not at all. Integers are little-endian. A record is submitted jobs, one submitted job, or ends of jobs::

    B  count:4  numbers:8 each  sizes:4 each  priorities:1 each  then for each: function NUL unique NUL payload
    S  number:8  priority:1  when:8  function:2 unique:1 reducer:2 payload:4 (lengths)  then the four
    D  count:4  numbers:8 each

B is what most submits become: it has them just as they came, and many are written in the time of one. S says all that
there is to say of any job.
"""

from __future__ import annotations

from struct import Struct, pack, unpack_from
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "BATCH",
    "MAGIC",
    "Ended",
    "Scan",
    "Submitted",
    "encode_batch",
    "encode_bodies",
    "encode_ended",
    "encode_submitted",
    "scan",
]

MAGIC = b"\xf1GJ1"
BATCH = Struct("<4sII")
_SUBMITTED = Struct("<cQBqHBHI")
_COUNT = Struct("<cI")


class Submitted(NamedTuple):
    """A background job was accepted."""

    number: int
    priority: int
    when: int
    function: bytes
    unique: bytes
    reducer: bytes
    payload: bytes


class Ended(NamedTuple):
    """A job will not run again."""

    number: int


def encode_submitted(
    number: int, priority: int, when: int, function: bytes, unique: bytes, reducer: bytes, payload: bytes
) -> bytes:
    """Write the record of an accepted job."""
    sizes = len(function), len(unique), len(reducer), len(payload)
    return _SUBMITTED.pack(b"S", number, priority, when, *sizes) + b"%b%b%b%b" % (function, unique, reducer, payload)


def encode_bodies(numbers: list[int], priorities: list[int], bodies: list[bytes]) -> bytes:
    """Write the record of jobs that were submitted with these bodies and run as soon as they can."""
    count = len(numbers)
    head = pack(f"<cI{count}Q{count}I{count}B", b"B", count, *numbers, *map(len, bodies), *priorities)
    return b"".join((head, *bodies))


def encode_ended(numbers: list[int]) -> bytes:
    """Write the record of the ends of jobs."""
    return pack(f"<cI{len(numbers)}Q", b"D", len(numbers), *numbers)


def encode_batch(records: list[bytes]) -> bytes:
    """Make a batch of records."""
    body = b"".join(records)
    return BATCH.pack(MAGIC, len(body), crc32(body)) + body


class Scan(NamedTuple):
    """What a segment holds: its records, the end of its last whole batch, and the byte ranges that were damaged."""

    records: list[Submitted | Ended]
    end: int
    damage: list[tuple[int, int]]


def scan(data: bytes) -> Scan:
    """Read a segment; damaged parts are skipped up to the next batch that is whole.

    Zeros at the end are space that was reserved and never written, not damage.
    """
    records: list[Submitted | Ended] = []
    damage: list[tuple[int, int]] = []
    position = end = 0
    written = len(data.rstrip(b"\0"))
    while position < len(data):
        body = _batch_at(data, position)
        if body is None:
            if position >= written:
                break
            found = _next_batch(data, position + 1)
            damage.append((position, len(data) if found < 0 else found))
            if found < 0:
                break
            position = found
            continue
        records += _records(body)
        position = end = position + BATCH.size + len(body)
    return Scan(records, end, damage)


def _batch_at(data: bytes, position: int) -> bytes | None:
    if len(data) - position < BATCH.size:
        return None
    magic, length, checksum = BATCH.unpack_from(data, position)
    start = position + BATCH.size
    if magic != MAGIC or start + length > len(data):
        return None
    body = data[start : start + length]
    return body if crc32(body) == checksum else None


def _next_batch(data: bytes, position: int) -> int:
    """Find the next batch that is whole, from ``position`` on; -1: there is none."""
    while (position := data.find(MAGIC, position)) >= 0:
        if _batch_at(data, position) is not None:
            return position
        position += 1
    return -1


def _records(body: bytes) -> list[Submitted | Ended]:
    records: list[Submitted | Ended] = []
    position, end = 0, len(body)
    while position < end:
        if body[position] == 0x53:  # S
            _, number, priority, when, *sizes = _SUBMITTED.unpack_from(body, position)
            position += _SUBMITTED.size
            records.append(Submitted(number, priority, when, *_cut(body, position, sizes)))
            position += sum(sizes)
            continue
        kind, count = _COUNT.unpack_from(body, position)
        position += _COUNT.size
        numbers = unpack_from(f"<{count}Q", body, position)
        position += 8 * count
        if kind == b"D":
            records += map(Ended, numbers)
            continue
        sizes = list(unpack_from(f"<{count}I", body, position))
        priorities = body[position + 4 * count : position + 5 * count]
        position += 5 * count
        for number, priority, submit in zip(numbers, priorities, _cut(body, position, sizes), strict=True):
            function, unique, payload = submit.split(b"\0", 2)
            records.append(Submitted(number, priority, 0, function, unique, b"", payload))
        position += sum(sizes)
    return records


def _cut(body: bytes, position: int, sizes: list[int]) -> Iterator[bytes]:
    """Cut parts of these sizes out of what begins at ``position``."""
    for size in sizes:
        yield body[position : position + size]
        position += size
