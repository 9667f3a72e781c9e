"""The journal's format: what is written of jobs so that they outlive the server. No I/O.

A segment is a file of batches. A batch is a header (magic, length of its records, their CRC-32) and records; it counts
as a whole or not at all. Integers are little-endian. A record is submitted jobs, one submitted job, or ends of jobs::

    P  number:8  size:4  then the packets that submitted that number and those after it
    S  number:8  priority:1  when:8  function:2 unique:1 reducer:2 payload:4 (lengths)  then the four
    D  count:4  numbers:8 each

P is what most submits become: it has them just as they came, and many are written in the time of one. S says all that
there is to say of any job.
"""

from __future__ import annotations

from struct import Struct, pack, unpack_from
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

from genii.gearman.protocol import HEADER, HEADER_SIZE, HIGH, LOW, NORMAL, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "BATCH",
    "MAGIC",
    "Ended",
    "Scan",
    "Submitted",
    "encode_batch",
    "encode_ended",
    "encode_packets",
    "encode_submitted",
    "scan",
]

MAGIC = b"\xf1GJ1"
BATCH = Struct("<4sII")
_SUBMITTED = Struct("<cQBqHBHI")
_PACKETS = Struct("<cQI")
_ENDED = Struct("<cI")
_PRIORITIES = {Kind.SUBMIT_JOB_HIGH_BG.value: HIGH, Kind.SUBMIT_JOB_BG.value: NORMAL, Kind.SUBMIT_JOB_LOW_BG.value: LOW}


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


def encode_packets(number: int, packets: bytes) -> bytes:
    """Write the record of jobs with numbers from this one on, that were submitted with these packets."""
    return _PACKETS.pack(b"P", number, len(packets)) + packets


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
        if body[position] == 0x50:  # P
            _, number, size = _PACKETS.unpack_from(body, position)
            position += _PACKETS.size
            records += _packets(body, position, position + size, number)
            position += size
        elif body[position] == 0x53:  # S
            _, number, priority, when, *sizes = _SUBMITTED.unpack_from(body, position)
            position += _SUBMITTED.size
            parts = []
            for size in sizes:
                parts.append(body[position : position + size])
                position += size
            records.append(Submitted(number, priority, when, *parts))
        else:
            _, count = _ENDED.unpack_from(body, position)
            position += _ENDED.size
            records += map(Ended, unpack_from(f"<{count}Q", body, position))
            position += 8 * count
    return records


def _packets(body: bytes, position: int, end: int, number: int) -> Iterator[Submitted]:
    while position < end:
        _, kind, size = HEADER.unpack_from(body, position)
        position += HEADER_SIZE
        function, unique, payload = body[position : position + size].split(b"\0", 2)
        yield Submitted(number, _PRIORITIES[kind], 0, function, unique, b"", payload)
        position += size
        number += 1
