"""The journal's format: what is written of jobs so that they outlive the server. No I/O.

A segment is a file of batches. A batch is a header (magic, length of its records, their CRC-32) and records; it counts
as a whole or not at all. Integers are little-endian. A record is a submitted job or the end of one::

    B  number:8  priority:1  size:4  then function NUL unique NUL payload, just as they were submitted
    S  number:8  priority:1  when:8  function:2 unique:1 reducer:2 payload:4 (lengths)  then the four
    D  number:8

B is what most submits become, because it is made in no time; S says all that there is to say of any job.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple
from zlib import crc32

__all__ = [
    "BATCH",
    "MAGIC",
    "Ended",
    "Scan",
    "Submitted",
    "encode_batch",
    "encode_body",
    "encode_ended",
    "encode_submitted",
    "scan",
]

MAGIC = b"\xf1GJ1"
BATCH = Struct("<4sII")
_SUBMITTED = Struct("<cQBqHBHI")
_BODY = Struct("<cQBI")
_ENDED = Struct("<cQ")
_pack_body = _BODY.pack


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


def encode_body(number: int, priority: int, body: bytes) -> bytes:
    """Write the record of a job that was submitted with this body and runs as soon as it can."""
    return _pack_body(b"B", number, priority, len(body)) + body


def encode_ended(number: int) -> bytes:
    """Write the record of the end of a job."""
    return _ENDED.pack(b"D", number)


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
        if body[position] == 0x42:  # B
            _, number, priority, size = _BODY.unpack_from(body, position)
            position += _BODY.size
            function, unique, payload = body[position : position + size].split(b"\0", 2)
            position += size
            records.append(Submitted(number, priority, 0, function, unique, b"", payload))
        elif body[position] == 0x53:  # S
            _, number, priority, when, *sizes = _SUBMITTED.unpack_from(body, position)
            position += _SUBMITTED.size
            parts = []
            for size in sizes:
                parts.append(body[position : position + size])
                position += size
            records.append(Submitted(number, priority, when, *parts))
        else:
            records.append(Ended(_ENDED.unpack_from(body, position)[1]))
            position += _ENDED.size
    return records
