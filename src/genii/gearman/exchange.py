"""A client's side of one connection: questions out, answers and results of jobs in. No I/O.

The shells (``client``) send what the methods here return, and feed what arrives. Answers come in the order of the
questions; results of jobs come at any time.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from genii.errors import ConnectionLost, GeniiError, JobFailed, JobRefused, PeerError
from genii.gearman.protocol import HIGH, LOW, NORMAL, Kind, PacketReader, arguments, request

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Exchange", "JobStatus", "Question", "Task", "submit_packet"]

_SUBMITS = {
    (False, NORMAL): Kind.SUBMIT_JOB,
    (False, HIGH): Kind.SUBMIT_JOB_HIGH,
    (False, LOW): Kind.SUBMIT_JOB_LOW,
    (True, NORMAL): Kind.SUBMIT_JOB_BG,
    (True, HIGH): Kind.SUBMIT_JOB_HIGH_BG,
    (True, LOW): Kind.SUBMIT_JOB_LOW_BG,
}


class Question:
    """Something that is answered once; ``ended`` is called then, with the question."""

    __slots__ = ("answer", "done", "ended", "error")

    def __init__(self, ended: Callable[[Question], None] | None = None) -> None:
        self.ended = ended
        self.done = False
        self.answer: list[bytes] = []
        self.error: GeniiError | None = None

    def end(self, answer: list[bytes], error: GeniiError | None = None) -> None:
        """Note the answer, or why there is none."""
        self.done = True
        self.answer = answer
        self.error = error
        if self.ended is not None:
            self.ended(self)


class Task(Question):
    """A submitted job: accepted when it has a handle, done when it has ended; ``answer`` is then its result.

    ``heard`` is called for each WORK_DATA, WORK_WARNING and WORK_STATUS, with the type and what follows the handle.
    """

    __slots__ = ("background", "handle", "heard")

    def __init__(
        self,
        *,
        background: bool = False,
        ended: Callable[[Question], None] | None = None,
        heard: Callable[[Kind, list[bytes]], None] | None = None,
    ) -> None:
        super().__init__(ended)
        self.background = background
        self.handle = b""
        self.heard = heard


class JobStatus:
    """What a server knows of a job; a job that it does not know has ended, or never was."""

    __slots__ = ("denominator", "known", "numerator", "running")

    def __init__(self, answer: list[bytes]) -> None:
        self.known = answer[1] == b"1"
        self.running = answer[2] == b"1"
        self.numerator = int(answer[3] or b"0")
        self.denominator = int(answer[4] or b"0")

    def __repr__(self) -> str:
        state = "running" if self.running else "waiting" if self.known else "unknown"
        return f"<JobStatus {state} {self.numerator}/{self.denominator}>"


def submit_packet(
    function: bytes,
    payload: bytes,
    unique: bytes = b"",
    *,
    priority: int = NORMAL,
    background: bool = False,
    at: int = 0,
) -> bytes:
    """Encode the submission of a job; with ``at`` (seconds since the epoch) it is a background one, priority normal."""
    if at:
        return request(Kind.SUBMIT_JOB_EPOCH, function, unique, b"%d" % at, payload)
    return request(_SUBMITS[background, priority], function, unique, payload)


class Exchange:
    """The state of one connection of a client."""

    def __init__(self) -> None:
        self._reader = PacketReader()
        self._asked: deque[Question] = deque()
        self._running: dict[bytes, deque[Task]] = {}
        self._lost: str | None = None

    @property
    def busy(self) -> bool:
        """Say whether anything is still to come."""
        return bool(self._asked or self._running)

    def ask(self, question: Question) -> None:
        """Expect an answer to a request that is sent now; on a lost connection it ends at once."""
        if self._lost is None:
            self._asked.append(question)
        else:
            question.end([], ConnectionLost(self._lost))

    def forget(self, task: Task) -> None:
        """Stop waiting for the result of a job; what still comes of it is dropped."""
        tasks = self._running.get(task.handle)
        if tasks is not None and task in tasks:
            tasks.remove(task)
            if not tasks:
                del self._running[task.handle]
        task.heard = task.ended = None

    def feed(self, data: bytes) -> None:
        """Take what arrived; raises PeerError when it is not Gearman's protocol."""
        for kind, body in self._reader.feed(data):
            if kind in (Kind.WORK_COMPLETE, Kind.WORK_FAIL, Kind.WORK_EXCEPTION):
                self._end(kind, body)
            elif kind in (Kind.WORK_DATA, Kind.WORK_WARNING, Kind.WORK_STATUS):
                self._hear(Kind(kind), body)
            else:
                self._answer(kind, body)

    def lose(self, reason: str) -> None:
        """End everything that waits, and what is still to be asked: the connection is lost."""
        self._lost = reason
        waiting: list[Question] = [*self._asked, *(task for tasks in self._running.values() for task in tasks)]
        self._asked.clear()
        self._running.clear()
        for question in waiting:
            question.end([], ConnectionLost(reason))

    def _answer(self, kind: int, body: bytes) -> None:
        if not self._asked:
            raise PeerError(f"the job server sent packet type {kind} that nobody asked for")
        question = self._asked.popleft()
        parts = arguments(kind, body)
        if kind == Kind.ERROR:
            code, text = parts[0].decode("utf-8", "replace"), parts[1].decode("utf-8", "replace")
            question.end([], JobRefused(f"the job server answered {code}: {text}", code))
        elif kind != Kind.JOB_CREATED:
            question.end(parts)
        elif isinstance(question, Task):
            question.handle = parts[0]
            if question.background:
                question.end(parts)
            else:
                self._running.setdefault(parts[0], deque()).append(question)
        else:
            raise PeerError("the job server sent JOB_CREATED for something else")

    def _end(self, kind: int, body: bytes) -> None:
        handle, _, data = body.partition(b"\0")
        tasks = self._running.get(handle)
        if not tasks:
            return  # of a job that was forgotten
        # a connection that submitted a coalesced job twice gets everything twice
        task = tasks.popleft()
        if not tasks:
            del self._running[handle]
        if kind == Kind.WORK_COMPLETE:
            task.end([data])
        elif kind == Kind.WORK_EXCEPTION:
            told = data.decode("utf-8", "replace")
            task.end([], JobFailed(f"the job {handle.decode('utf-8', 'replace')} failed: {told}", data))
        else:
            task.end([], JobFailed(f"the job {handle.decode('utf-8', 'replace')} failed"))

    def _hear(self, kind: Kind, body: bytes) -> None:
        handle, *rest = arguments(kind, body)
        tasks = self._running.get(handle)
        if tasks:
            task = tasks[0]
            tasks.rotate(-1)
            if task.heard is not None:
                task.heard(kind, rest)
