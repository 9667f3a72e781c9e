"""The Gearman binary protocol: packets to bytes and back. No I/O.

A packet is a header of 12 bytes (magic, type, size of the body; big-endian) and a body of arguments joined by NUL; the
last argument may hold any byte. Source: the PROTOCOL text of gearmand, and gearmand 1.1 where it differs.
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct

from genii.errors import PeerError

__all__ = [
    "ARGUMENTS",
    "HEADER",
    "HEADER_SIZE",
    "HIGH",
    "LOW",
    "MAX_BODY",
    "MAX_HANDLE",
    "MAX_UNIQUE",
    "NORMAL",
    "REQUEST",
    "RESPONSE",
    "Kind",
    "PacketReader",
    "arguments",
    "request",
    "response",
]

HEADER = Struct(">4sII")
HEADER_SIZE = 12
REQUEST = b"\0REQ"
"""The magic of packets towards the server."""
RESPONSE = b"\0RES"
"""The magic of packets from the server."""
MAX_HANDLE = 63
MAX_UNIQUE = 64
MAX_BODY = 256 << 20
"""The largest body that is read unless one asks for more, in bytes; the protocol's own limit is 4 GiB."""

HIGH, NORMAL, LOW = 0, 1, 2
"""Priorities, in the order in which they are served."""


class Kind(IntEnum):
    """The types of packets."""

    CAN_DO = 1
    CANT_DO = 2
    RESET_ABILITIES = 3
    PRE_SLEEP = 4
    NOOP = 6
    SUBMIT_JOB = 7
    JOB_CREATED = 8
    GRAB_JOB = 9
    NO_JOB = 10
    JOB_ASSIGN = 11
    WORK_STATUS = 12
    WORK_COMPLETE = 13
    WORK_FAIL = 14
    GET_STATUS = 15
    ECHO_REQ = 16
    ECHO_RES = 17
    SUBMIT_JOB_BG = 18
    ERROR = 19
    STATUS_RES = 20
    SUBMIT_JOB_HIGH = 21
    SET_CLIENT_ID = 22
    CAN_DO_TIMEOUT = 23
    ALL_YOURS = 24
    WORK_EXCEPTION = 25
    OPTION_REQ = 26
    OPTION_RES = 27
    WORK_DATA = 28
    WORK_WARNING = 29
    GRAB_JOB_UNIQ = 30
    JOB_ASSIGN_UNIQ = 31
    SUBMIT_JOB_HIGH_BG = 32
    SUBMIT_JOB_LOW = 33
    SUBMIT_JOB_LOW_BG = 34
    SUBMIT_JOB_SCHED = 35
    SUBMIT_JOB_EPOCH = 36
    SUBMIT_REDUCE_JOB = 37
    SUBMIT_REDUCE_JOB_BACKGROUND = 38
    GRAB_JOB_ALL = 39
    JOB_ASSIGN_ALL = 40
    GET_STATUS_UNIQUE = 41
    STATUS_RES_UNIQUE = 42


ARGUMENTS: dict[int, int] = {
    Kind.CAN_DO: 1,
    Kind.CANT_DO: 1,
    Kind.RESET_ABILITIES: 0,
    Kind.PRE_SLEEP: 0,
    Kind.NOOP: 0,
    Kind.SUBMIT_JOB: 3,
    Kind.JOB_CREATED: 1,
    Kind.GRAB_JOB: 0,
    Kind.NO_JOB: 0,
    Kind.JOB_ASSIGN: 3,
    Kind.WORK_STATUS: 3,
    Kind.WORK_COMPLETE: 2,
    Kind.WORK_FAIL: 1,
    Kind.GET_STATUS: 1,
    Kind.ECHO_REQ: 1,
    Kind.ECHO_RES: 1,
    Kind.SUBMIT_JOB_BG: 3,
    Kind.ERROR: 2,
    Kind.STATUS_RES: 5,
    Kind.SUBMIT_JOB_HIGH: 3,
    Kind.SET_CLIENT_ID: 1,
    Kind.CAN_DO_TIMEOUT: 2,
    Kind.ALL_YOURS: 0,
    Kind.WORK_EXCEPTION: 2,
    Kind.OPTION_REQ: 1,
    Kind.OPTION_RES: 1,
    Kind.WORK_DATA: 2,
    Kind.WORK_WARNING: 2,
    Kind.GRAB_JOB_UNIQ: 0,
    Kind.JOB_ASSIGN_UNIQ: 4,
    Kind.SUBMIT_JOB_HIGH_BG: 3,
    Kind.SUBMIT_JOB_LOW: 3,
    Kind.SUBMIT_JOB_LOW_BG: 3,
    Kind.SUBMIT_JOB_SCHED: 8,
    Kind.SUBMIT_JOB_EPOCH: 4,
    Kind.SUBMIT_REDUCE_JOB: 5,
    Kind.SUBMIT_REDUCE_JOB_BACKGROUND: 5,
    Kind.GRAB_JOB_ALL: 0,
    Kind.JOB_ASSIGN_ALL: 5,
    Kind.GET_STATUS_UNIQUE: 1,
    Kind.STATUS_RES_UNIQUE: 6,
}
"""How many arguments each type has; the last one takes all that is left of the body."""


def request(kind: int, *parts: bytes) -> bytes:
    """Encode a packet towards the server."""
    body = b"\0".join(parts)
    return HEADER.pack(REQUEST, kind, len(body)) + body


def response(kind: int, *parts: bytes) -> bytes:
    """Encode a packet from the server."""
    body = b"\0".join(parts)
    return HEADER.pack(RESPONSE, kind, len(body)) + body


def arguments(kind: int, body: bytes) -> list[bytes]:
    """Split a body into the arguments of its type.

    Raises PeerError when there are too few.
    """
    count = ARGUMENTS.get(kind, 1)
    if count == 0:
        return []
    parts = body.split(b"\0", count - 1)
    if len(parts) != count:
        raise PeerError(f"{_name(kind)} has {len(parts)} arguments instead of {count}")
    return parts


def _name(kind: int) -> str:
    try:
        return Kind(kind).name
    except ValueError:
        return f"packet type {kind}"


class PacketReader:
    """Cut a stream of bytes into packets of one direction, whatever the chunks it comes in."""

    __slots__ = ("_chunks", "_have", "_magic", "_max_body", "_need")

    def __init__(self, magic: bytes = RESPONSE, max_body: int = 0xFFFFFFFF) -> None:
        self._magic = magic
        self._max_body = max_body
        self._chunks: list[bytes] = []
        self._have = 0
        self._need = HEADER_SIZE

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Take bytes as they came; return the packets they complete, each as type and body.

        Raises PeerError when the stream is not Gearman's, or a body is larger than allowed.
        """
        self._chunks.append(data)
        self._have += len(data)
        if self._have < self._need:
            return []
        data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        packets: list[tuple[int, bytes]] = []
        position, end = 0, len(data)
        need = HEADER_SIZE
        while end - position >= HEADER_SIZE:
            magic, kind, size = HEADER.unpack_from(data, position)
            if magic != self._magic:
                raise PeerError(f"expected a Gearman packet, got {data[position : position + 20]!r}")
            if size > self._max_body:
                raise PeerError(f"a body of {size} bytes is larger than the {self._max_body} that are allowed")
            stop = position + HEADER_SIZE + size
            if stop > end:
                need = HEADER_SIZE + size
                break
            packets.append((kind, data[position + HEADER_SIZE : stop]))
            position = stop
        rest = data[position:]
        self._chunks = [rest] if rest else []
        self._have = len(rest)
        self._need = need
        return packets
