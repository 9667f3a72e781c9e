"""What a supervisor hands over to the version that takes its place in the same process. No I/O.

It is JSON: an envelope that all versions understand, and in it the state in a numbered format. A key that a version
does not know is left out when it reads, one that it misses has its default, so most changes need no new format; one
that changes what a key means gets the next number, and its version still reads and writes the number before. The newest
format that both know is used.
Descriptors are numbers: executing a program anew keeps those that are inheritable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from genii.errors import GeniiError
from genii.supervise.model import Settings  # noqa: TC001 -- msgspec reads the annotations when it decodes
from genii.supervise.origin import Origin  # noqa: TC001 -- as above
from genii.supervise.report import Event  # noqa: TC001 -- as above

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

__all__ = [
    "FORMATS",
    "Envelope",
    "Handover",
    "HandoverError",
    "Listener",
    "Slot",
    "Stream",
    "agree",
    "decode",
    "encode",
    "open_envelope",
]

FORMATS = (1,)
"""The formats that this version reads and writes, the oldest first."""


class HandoverError(GeniiError):
    """Say that a state was handed over that can't be used."""

    code = "handover"


class _Record(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The base of the records here."""


class Slot(_Record, kw_only=True, omit_defaults=True):
    """One process slot; times with ``_at`` are seconds since the epoch, the others monotonic."""

    name: str
    program: str
    number: int
    state: str
    pid: int = 0
    start_time: int = 0
    group: int = 0
    digest: int = 0
    current: bool = True
    """Whether its process runs what is declared now; ``digest`` counts only if it does not."""
    wanted: bool = False
    again: bool = False
    by_itself: bool = False
    since: float = 0.0
    started: float = 0.0
    deadline: float | None = None
    attempts: int = 0
    restarts: int = 0
    ready: bool = False
    killed: bool = False
    adopted: bool = False
    status: int | None = None
    reason: str = ""
    changed_at: float = 0.0
    started_at: float = 0.0
    healthy: bool | None = None
    busy: bool | None = None
    busy_since: float = 0.0
    job: str = ""
    jobs_left: int | None = None
    paused: bool = False
    note: str = ""


class Stream(_Record, kw_only=True, omit_defaults=True):
    """One output stream: its key, the name before its lines, its log, its descriptor."""

    key: str
    name: str
    descriptor: int
    log: list[Any] | None = None


class Listener(_Record, kw_only=True, omit_defaults=True):
    """A listening socket of programs."""

    url: str
    descriptor: int


class Handover(_Record, kw_only=True, omit_defaults=True):
    """All that makes a supervisor what it is."""

    settings: Settings
    pid_file: int = -1
    keeper: int = -1
    """The link to the keeper."""
    keeper_pid: int = 0
    keeper_listener: int = -1
    notify: int = -1
    guard: int = -1
    """The socket whose name says that this supervisor runs."""
    streams: list[Stream] = []
    sockets: list[Listener] = []
    servers: dict[str, tuple[list[int], list[int]]] = {}
    """Listening sockets and connections of the control API (``unix``, ``tcp``) and of supervisord's sections."""
    files: tuple[int, int] = (0, 0)
    """The limit on open files that programs inherit."""
    slots: list[Slot] = []
    starts: list[str] = []
    """Processes whose start waits for others."""
    stops: list[str] = []
    wishes: dict[str, bool] = {}
    paused: list[str] = []
    """Programs whose workers take no work for now."""
    leaving: list[str] = []
    """Processes that are to end, and their slot with them."""
    scales: dict[str, tuple[int, int]] = {}
    runs: dict[str, float] = {}
    """Program -> the time of the calendar up to which its schedule was dealt with."""
    due: dict[str, float] = {}
    """Program -> the run of its schedule that is decided and not begun."""
    repeats: list[str] = []
    """Programs that run once more when they have ended, because files changed."""
    helpers: list[int] = []
    """Children that are no programs: to be reaped."""
    started_at: float = 0.0
    serial: int = 0
    spawns: int = 0
    exits: int = 0
    upgrades: int = 0
    lost: dict[str, int] = {}
    history: list[Event] = []
    supervisord: dict[str, Any] = {}
    """What only supervisord's side knows."""
    silent_at: float = 0.0
    """Monotonic seconds at which the last answer was given."""

    def descriptors(self) -> Iterator[int]:
        """Yield all descriptors that are handed over."""
        single = (self.pid_file, self.keeper, self.keeper_listener, self.notify, self.guard)
        yield from (number for number in single if number >= 0)
        yield from (stream.descriptor for stream in self.streams)
        yield from (listener.descriptor for listener in self.sockets)
        for listening, connections in self.servers.values():
            yield from (*listening, *connections)


class Envelope(_Record, kw_only=True, omit_defaults=True):
    """What has to be understood of a state even where the state itself is not."""

    format: int
    version: str
    """Of the version that wrote it."""
    origin: Origin
    """Where that is found, to go back to."""
    words: str
    """The options of the supervisor."""
    descriptors: list[int]
    """All that the state needs."""
    state: msgspec.Raw = msgspec.Raw(b"{}")


def agree(theirs: Collection[int]) -> int:
    """Return the newest format that we and somebody who reads ``theirs`` know; 0: there is none."""
    return max((number for number in FORMATS if number in theirs), default=0)


def encode(handover: Handover, envelope: Envelope) -> bytes:
    """Return the bytes of a state, in the format of the envelope that it is put into."""
    envelope.state = msgspec.Raw(msgspec.json.encode(handover))
    return msgspec.json.encode(envelope)


def open_envelope(data: bytes) -> Envelope:
    """Read what is around a state.

    Raises:
        HandoverError: it is damaged.
    """
    try:
        return msgspec.json.decode(data, type=Envelope)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HandoverError(f"the state that was handed over can't be read: {error}") from None


def decode(data: bytes) -> Handover:
    """Read a state.

    Raises:
        HandoverError: it is of a format that is not known here, or damaged.
    """
    envelope = open_envelope(data)
    if envelope.format not in FORMATS:
        known = ", ".join(map(str, FORMATS))
        raise HandoverError(
            f"the state of genii {envelope.version} is of format {envelope.format}; this version reads {known}"
        )
    try:
        return msgspec.json.decode(envelope.state, type=Handover)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HandoverError(f"the state that was handed over can't be read: {error}") from None
