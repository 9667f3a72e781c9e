"""What a supervisor hands over to the version that takes its place in the same process. No I/O.

It is JSON: ``{"format": N, "version": …, "state": {…}}``. A key that a version does not know is left out
when it reads, one that it misses has its default, so most changes need no new format; one that changes what a key means
gets the next number, and its version still reads and writes the number before. The newest that both know is used.
Descriptors are numbers: executing a program anew keeps those that are inheritable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from genii.errors import GeniiError
from genii.supervise.model import Settings  # noqa: TC001 -- msgspec reads the annotations when it decodes
from genii.supervise.report import Event  # noqa: TC001 -- as above

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

__all__ = ["FORMATS", "Handover", "HandoverError", "Listener", "Origin", "Slot", "Stream", "agree", "decode", "encode"]

FORMATS = (1,)
"""The formats that this version reads and writes, the oldest first."""


class HandoverError(GeniiError):
    """Say that a state was handed over that can't be used."""

    code = "handover"


class _Record(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The base of the records here."""


class Origin(_Record, kw_only=True, omit_defaults=True):
    """Where a version of genii is found: interpreter, the file it begins with, and the folders of its modules."""

    executable: str
    script: str
    path: str


class Slot(_Record, kw_only=True, omit_defaults=True):
    """One process slot; times with ``_at`` are seconds since the epoch, the others monotonic."""

    name: str
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
    note: str = ""


class Stream(_Record, kw_only=True, omit_defaults=True):
    """One output stream: its key, the name before its lines, its log, its descriptor."""

    key: str
    name: str
    descriptor: int
    log: list[Any] | None = None


class Listener(_Record, kw_only=True, omit_defaults=True):
    """Listening sockets by the address that they serve; for one of a program ``url`` is its own."""

    url: str
    descriptors: list[int]


class Handover(_Record, kw_only=True, omit_defaults=True):
    """All that makes a supervisor what it is."""

    settings: Settings
    origin: Origin
    """Of the version that hands over: where to go back to."""
    words: str
    """The options of the supervisor, as it was started with."""
    pid_file: int
    keeper: int
    """The link to the keeper."""
    keeper_pid: int
    keeper_listener: int
    notify: int
    guard: int = -1
    """The socket whose name says that this supervisor runs."""
    streams: list[Stream] = []
    sockets: list[Listener] = []
    listeners: dict[str, list[int]] = {}
    """Those of the control API (``unix``, ``tcp``), and those of supervisord's servers by their section."""
    files: tuple[int, int] = (0, 0)
    """The limit on open files that programs inherit."""
    slots: list[Slot] = []
    starts: list[str] = []
    """Processes whose start waits for others."""
    stops: list[str] = []
    wishes: dict[str, bool] = {}
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
    failure: str = ""
    """Why the version that this was handed to could not use it; it hands it back."""
    silent_at: float = 0.0
    """Monotonic seconds at which the last answer was given."""

    def descriptors(self) -> Iterator[int]:
        """Yield all descriptors that are handed over."""
        yield from (self.pid_file, self.keeper, self.notify)
        yield from (number for number in (self.keeper_listener, self.guard) if number >= 0)
        yield from (stream.descriptor for stream in self.streams)
        for group in (*self.listeners.values(), *(listener.descriptors for listener in self.sockets)):
            yield from group


class _Envelope(_Record, kw_only=True, omit_defaults=True):
    format: int
    version: str = ""
    state: msgspec.Raw = msgspec.Raw()


def agree(theirs: Collection[int]) -> int:
    """Return the newest format that we and somebody who reads ``theirs`` know; 0: there is none."""
    return max((number for number in FORMATS if number in theirs), default=0)


def encode(handover: Handover, number: int, version: str) -> bytes:
    """Return the bytes of a state in the format ``number``, written by ``version``.

    Raises:
        HandoverError: that format is not known here.
    """
    if number not in FORMATS:
        raise HandoverError(f"format {number} is not known to this version (it knows {_list()})")
    state = msgspec.Raw(msgspec.json.encode(handover))
    return msgspec.json.encode(_Envelope(format=number, version=version, state=state))


def decode(data: bytes) -> Handover:
    """Read a state.

    Raises:
        HandoverError: it is of a format that is not known here, or damaged.
    """
    try:
        envelope = msgspec.json.decode(data, type=_Envelope)
        if envelope.format not in FORMATS:
            raise HandoverError(
                f"the state of genii {envelope.version} is of format {envelope.format}; this version reads {_list()}"
            )
        return msgspec.json.decode(envelope.state, type=Handover)
    except (msgspec.DecodeError, RecursionError) as error:
        raise HandoverError(f"the state that was handed over can't be read: {error}") from None


def _list() -> str:
    return ", ".join(map(str, FORMATS))
