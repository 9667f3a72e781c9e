"""The scoreboard: what each worker is doing, in memory that the manager and its workers share.

Each worker writes to its own place only, single bytes and aligned words, so nothing is locked; a reader may be a
moment behind. It is a file in memory (memfd_create(2)), so that it outlives the manager's own replacement, or a file
with a name, so that others can look.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import stat
import struct

from genii.errors import NotRunning
from genii.typed import NamedTuple

__all__ = [
    "BUSY",
    "FREE",
    "IDLE",
    "LEAVING",
    "PLACE_WORDS",
    "STARTING",
    "TELL_READY",
    "TELL_SATURATED",
    "Row",
    "Scoreboard",
]

FREE, STARTING, IDLE, BUSY, LEAVING = b".s_BL"  # the letters of Apache's scoreboard where it has them
"""The states of a place, one byte each."""

TELL_SATURATED, TELL_READY = 1, 2
"""What the manager wants to be woken for; bits of byte 0."""

_MAGIC = b"genii prefork 1\n"
_HEADER = struct.Struct("16sIId")  # magic, capacity, pid of the manager, when it began (epoch)
_HEADER_AT = 8
_STATES_AT = 64
PLACE_WORDS = 8
"""The words of a place: 64 bytes, a cache line for each worker."""
_EMPTY = bytes(PLACE_WORDS * 8)
PID, BEGAN, SERVED, ENDED, BORN = range(5)
"""The words of a worker: its pid, when its request began (0: none), requests served, when the last ended, its birth."""


class Row(NamedTuple):
    """One worker; times in seconds from now backwards."""

    place: int
    pid: int
    state: str
    served: int
    age: float
    request_age: float
    """Of the request at work; 0: there is none."""
    idle: float


_NAMES = {STARTING: "starting", IDLE: "idle", BUSY: "busy", LEAVING: "leaving"}


class Scoreboard:
    """Places for ``capacity`` workers; place numbers count from 0."""

    def __init__(self, descriptor: int, capacity: int) -> None:
        self.descriptor = descriptor
        self.capacity = capacity
        self._words_at = _round_up(_STATES_AT + capacity, 64)
        self.memory = mmap.mmap(descriptor, self._words_at + capacity * PLACE_WORDS * 8)
        self._words = memoryview(self.memory).cast("Q")

    @classmethod
    def create(cls, capacity: int, path: str = "") -> Scoreboard:
        """Make one, all places free; ``path`` names the file (mode 0600), else it has no name."""
        if path:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        else:
            descriptor = os.memfd_create("genii-scoreboard")
        os.ftruncate(descriptor, _size(capacity))
        board = cls(descriptor, capacity)
        board.memory[_STATES_AT : _STATES_AT + capacity] = bytes([FREE]) * capacity
        return board

    @classmethod
    def open(cls, path: str) -> Scoreboard:
        """Open the scoreboard of a running server by its file, only to look.

        Raises ``NotRunning`` when there is none.
        """
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            raise NotRunning(f"there is no scoreboard {path}; is the server running?") from None
        try:
            return cls.attach(descriptor)
        except ValueError:
            os.close(descriptor)
            raise NotRunning(f"{path} is not the scoreboard of a prefork server") from None

    @classmethod
    def of_process(cls, pid: int) -> Scoreboard:
        """Open the scoreboard of the manager with this pid, only to look: it is one of its open files.

        Raises ``NotRunning`` when there is no such process or it is no manager, and ``PermissionError``.
        """
        folder = f"/proc/{pid}/fd"
        try:
            numbers = os.listdir(folder)
        except FileNotFoundError:
            raise NotRunning(f"there is no process {pid}") from None
        for path in (f"{folder}/{number}" for number in numbers):
            with contextlib.suppress(FileNotFoundError):
                if _is_scoreboard(path):
                    return cls.attach(os.open(path, os.O_RDWR | os.O_CLOEXEC))
        raise NotRunning(f"process {pid} is not the manager of a prefork server")

    @classmethod
    def attach(cls, descriptor: int) -> Scoreboard:
        """Take a descriptor of one that exists; raises ``ValueError`` when it is something else."""
        magic, capacity, _, _ = _HEADER.unpack(os.pread(descriptor, _HEADER.size, _HEADER_AT).ljust(_HEADER.size))
        if magic != _MAGIC or os.fstat(descriptor).st_size != _size(capacity):
            raise ValueError("not a scoreboard")
        return cls(descriptor, capacity)

    def sign(self, pid: int, time: float) -> None:
        """Write down whose it is."""
        _HEADER.pack_into(self.memory, _HEADER_AT, _MAGIC, self.capacity, pid, time)

    @property
    def manager(self) -> tuple[int, float]:
        """Return the pid of the manager and when it began, in seconds since the epoch."""
        _, _, pid, began = _HEADER.unpack_from(self.memory, _HEADER_AT)
        return pid, began

    def take(self, now_ns: int) -> int:
        """Return a free place for a worker that is about to be forked; -1: there is none."""
        found = self.memory.find(bytes([FREE]), _STATES_AT, _STATES_AT + self.capacity)
        if found < 0:
            return -1
        self.renew(found - _STATES_AT, now_ns)
        return found - _STATES_AT

    def renew(self, place: int, now_ns: int) -> None:
        """Prepare a place that is taken for the next worker."""
        start = self._words_at // 8 + place * PLACE_WORDS
        self.memory[start * 8 : (start + PLACE_WORDS) * 8] = _EMPTY
        words = self._words
        words[start + BORN] = words[start + ENDED] = now_ns
        self.memory[_STATES_AT + place] = STARTING

    def free(self, place: int) -> None:
        """Let another worker have the place."""
        self.memory[_STATES_AT + place] = FREE

    @property
    def room(self) -> int:
        """Return how many places are free."""
        return self.memory[_STATES_AT : _STATES_AT + self.capacity].count(FREE)

    def ask(self, wishes: int) -> None:
        """Say what the manager wants to be woken for."""
        self.memory[0] = wishes

    # For the workers, who write where they were told directly: these run for each request.

    def state_index(self, place: int) -> int:
        """Return where in ``memory`` the state of a place is."""
        return _STATES_AT + place

    def word(self, place: int, which: int) -> int:
        """Return where in ``words`` a word of a place is."""
        return self._words_at // 8 + place * PLACE_WORDS + which

    @property
    def words(self) -> memoryview:
        """Return the memory as words of 64 bits."""
        return self._words

    @property
    def states(self) -> tuple[int, int]:
        """Return from where to where in ``memory`` the states of all places are."""
        return _STATES_AT, _STATES_AT + self.capacity

    def state(self, place: int) -> int:
        """Return the state of a place."""
        return self.memory[_STATES_AT + place]

    def get(self, place: int, which: int) -> int:
        """Return a word of a place."""
        return int(self._words[self.word(place, which)])

    def rows(self, now_ns: int) -> list[Row]:
        """Return the workers there are."""
        rows = []
        for place in range(self.capacity):
            state = self.state(place)
            if state == FREE:
                continue
            began, ended = self.get(place, BEGAN), self.get(place, ENDED)
            rows.append(
                Row(
                    place,
                    self.get(place, PID),
                    _NAMES.get(state, "?"),
                    self.get(place, SERVED),
                    _seconds(now_ns - self.get(place, BORN)),
                    _seconds(now_ns - began) if began else 0.0,
                    0.0 if began else _seconds(now_ns - ended),
                )
            )
        return rows

    def close(self) -> None:
        """Let go of the memory here."""
        self._words.release()
        self.memory.close()
        os.close(self.descriptor)


def _is_scoreboard(path: str) -> bool:
    if not stat.S_ISREG(os.stat(path).st_mode):
        return False
    with open(path, "rb", buffering=0) as file:
        file.seek(_HEADER_AT)
        return file.read(len(_MAGIC)) == _MAGIC


def _size(capacity: int) -> int:
    return _round_up(_STATES_AT + capacity, 64) + capacity * PLACE_WORDS * 8


def _round_up(number: int, unit: int) -> int:
    return -(-number // unit) * unit


def _seconds(nanoseconds: int) -> float:
    return max(0.0, nanoseconds / 1e9)
