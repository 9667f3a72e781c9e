"""What the clients ask of job servers, step by step. No I/O.

Each method is a generator of steps: it yields what is to be asked, is resumed when that was answered (or gets the error
thrown in that kept it from being asked), and returns the value. ``Client`` and ``AsyncClient`` carry the steps out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self, TypeVar

from genii.errors import ConnectionLost, UsageError
from genii.gearman.exchange import JobStatus, Question, Task, submit_packet
from genii.gearman.protocol import HIGH, LOW, NORMAL, Kind, request

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from genii.gearman.codecs import Codec
    from genii.system.listen import Address

    Priority = Literal["high", "normal", "low"]
    Value = TypeVar("Value")
    Steps = Generator["Ask", "Address", Value]

__all__ = ["Ask", "Calls", "JobHandle", "Report", "due_time"]

_PRIORITIES = {"high": HIGH, "normal": NORMAL, "low": LOW}
_MAX_UNIQUE = 63
"""The longest unique id that C gearmand keeps whole, in bytes."""


class Ask(NamedTuple):
    """One step: ask this, wait until ``question`` is done, and send back the address of the server that took it."""

    question: Question
    packet: bytes
    what: str
    """What an error is about."""
    unique: bytes = b""
    """The unique id, whose hash chooses the server."""
    timeout: float | None = None
    """Seconds; None: the client's own."""
    servers: Sequence[Address] = ()
    """The only servers to ask; empty: the best one."""


class JobHandle(str):
    """The name that a server gave to a job; ``server`` is the address of that server."""

    __slots__ = ("server",)

    server: Address | None

    def __new__(cls, handle: str, server: Address | None = None) -> Self:
        """Make it of the handle's text."""
        self = super().__new__(cls, handle)
        self.server = server
        return self


class Report(NamedTuple):
    """What a running job tells: ``kind`` is ``data``, ``warning`` or ``status``; ``value`` its data or (done, of)."""

    kind: Literal["data", "warning", "status"]
    value: Any


class Calls:
    """What both clients share: arguments to packets, answers to values."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec

    def call(
        self,
        function: str,
        payload: Any,
        unique: str = "",
        priority: Priority = "normal",
        timeout: float | None = None,
        retries: int = 0,
        on_report: Callable[[Report], None] | None = None,
    ) -> Steps[Any]:
        """Run a job, again if its connection is lost, and return its result."""
        packet = self.packet(function, payload, unique, priority)
        while True:
            task = Task(heard=_heard(on_report))
            try:
                yield Ask(task, packet, function, unique.encode(), timeout)
                return self.result(task)
            except ConnectionLost:
                if retries <= 0:
                    raise
                retries -= 1

    def submit(
        self, function: str, payload: Any, unique: str, priority: Priority, at: int, timeout: float | None
    ) -> Steps[JobHandle]:
        """Leave a background job with a server, to be run at ``at`` (seconds since the epoch; 0: now)."""
        packet = self.packet(function, payload, unique, priority, background=True, at=at)
        task = Task(background=True)
        server = yield Ask(task, packet, function, unique.encode(), timeout)
        return handle(task, server)

    def status(self, kind: Kind, key: str, servers: Sequence[Address], timeout: float | None) -> Steps[JobStatus]:
        """Ask each server for a job until one knows it."""
        answer: list[bytes] = []
        for server in servers:
            question = Question()
            yield Ask(question, request(kind, key.encode()), key, timeout=timeout, servers=[server])
            answer = _answer(question)
            if JobStatus(answer).known:
                break
        return JobStatus(answer)

    def echo(self, data: bytes, timeout: float | None) -> Steps[bytes]:
        """Have a server send bytes back."""
        question = Question()
        yield Ask(question, request(Kind.ECHO_REQ, data), "echo", timeout=timeout)
        return _answer(question)[0]

    def packet(
        self, function: str, payload: Any, unique: str, priority: Priority, *, background: bool = False, at: int = 0
    ) -> bytes:
        """Encode the submission of a job; raises UsageError for what the protocol can't say."""
        if priority not in _PRIORITIES:
            raise UsageError(f"priority {priority!r}: it is 'high', 'normal' or 'low'")
        if "\0" in function or "\0" in unique:
            raise UsageError("the name of a function and a unique id can't contain NUL")
        key = unique.encode()
        if len(key) > _MAX_UNIQUE:
            raise UsageError(f"the unique id {unique!r} is longer than {_MAX_UNIQUE} bytes")
        data = self._codec.encode(payload)
        return submit_packet(function.encode(), data, key, priority=_PRIORITIES[priority], background=background, at=at)

    def result(self, task: Question) -> Any:
        """Return what a job returned, or raise what became of it."""
        return self._codec.decode(_answer(task)[0])


def handle(task: Task, server: Address) -> JobHandle:
    """Return the handle of a job that a server took, or raise why it did not."""
    _answer(task)
    return JobHandle(task.handle.decode(), server)


def due_time(at: float | None, after: float | None, now: float) -> int:
    """Return when a job is to run, in whole seconds since the epoch; 0: now."""
    if at is not None and after is not None:
        raise UsageError("give a job one of 'at' and 'after', not both")
    if after is not None:
        at = now + after
    return 0 if at is None else max(1, int(-(-at // 1)))


def _answer(question: Question) -> list[bytes]:
    if question.error is not None:
        raise question.error
    return question.answer


def _heard(on_report: Callable[[Report], None] | None) -> Callable[[Kind, list[bytes]], None] | None:
    if on_report is None:
        return None
    return lambda kind, parts: on_report(_report(kind, parts))


def _report(kind: Kind, parts: list[bytes]) -> Report:
    if kind == Kind.WORK_STATUS:
        return Report("status", (int(parts[0] or b"0"), int(parts[1] or b"0")))
    if kind == Kind.WORK_WARNING:
        return Report("warning", parts[0])
    return Report("data", parts[0])
