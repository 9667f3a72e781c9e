"""A worker's side of its connections: when to ask which server for a job, and what was assigned. No I/O.

The shell (``worker``) sends what gathers in ``Session.out`` and feeds what arrives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from genii.errors import PeerError
from genii.gearman.protocol import Kind, PacketReader, arguments, request

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Assignment", "Session", "choose"]

_GRAB = request(Kind.GRAB_JOB_UNIQ)
_SLEEP = request(Kind.PRE_SLEEP)
_RESET = request(Kind.RESET_ABILITIES)
_ECHO = request(Kind.ECHO_REQ, b"heartbeat")


class Assignment(NamedTuple):
    """A job that a server gave to this worker."""

    session: Session
    handle: bytes
    function: bytes
    unique: bytes
    payload: bytes


class Session:
    """One connection of a worker to a server.

    ``called`` says that the server may have a job: it is new, or it woke us, or it gave us one the last time.
    """

    def __init__(self, functions: Mapping[bytes, float], client_id: bytes, now: float) -> None:
        self.called = True
        self.grabbing = False
        self.out: list[bytes] = [request(Kind.SET_CLIENT_ID, client_id)]
        self._reader = PacketReader()
        self._heard_at = now
        self._checking = False
        self.offer(functions)

    def offer(self, functions: Mapping[bytes, float]) -> None:
        """Tell the server what this worker can do, with the seconds that each job may take (0: any time)."""
        for name, limit in functions.items():
            if limit:
                self.out.append(request(Kind.CAN_DO_TIMEOUT, name, b"%d" % (limit * 1000)))
            else:
                self.out.append(request(Kind.CAN_DO, name))
        self.called = True

    def withdraw(self) -> None:
        """Tell the server that this worker takes nothing for now."""
        self.out.append(_RESET)
        self.called = False

    def grab(self) -> None:
        """Ask for a job."""
        self.grabbing = True
        self.out.append(_GRAB)

    def feed(self, data: bytes, now: float) -> list[Assignment]:
        """Take what arrived; return the jobs that were assigned. Raises PeerError when it is not Gearman's protocol."""
        self._heard_at = now
        self._checking = False
        assigned = []
        for kind, body in self._reader.feed(data):
            if kind == Kind.JOB_ASSIGN_UNIQ:
                handle, function, unique, payload = arguments(kind, body)
                self.grabbing = False
                assigned.append(Assignment(self, handle, function, unique, payload))
            elif kind == Kind.NO_JOB:
                self.grabbing = self.called = False
                self.out.append(_SLEEP)
            elif kind == Kind.NOOP:
                self.called = True
            elif kind == Kind.ERROR:
                self._take_error(arguments(kind, body))
            elif kind not in (Kind.ECHO_RES, Kind.OPTION_RES):
                raise PeerError(f"the job server sent packet type {kind} to a worker")
        return assigned

    def _take_error(self, parts: list[bytes]) -> None:
        """Overlook that a job was taken from us (it took too long, or was cancelled); anything else is serious."""
        if parts[0] != b"JOB_NOT_FOUND":
            raise PeerError(f"the job server answered {parts[0].decode(errors='replace')}")

    def finish(self, kind: Kind, handle: bytes, data: bytes = b"") -> None:
        """Report the end of a job: WORK_COMPLETE or WORK_EXCEPTION with data, or WORK_FAIL."""
        self.out.append(request(kind, handle) if kind == Kind.WORK_FAIL else request(kind, handle, data))

    def resume(self, now: float) -> None:
        """Take note that nobody listened up to now, so that silence means nothing."""
        self._heard_at = now
        self._checking = False

    def check(self, now: float, interval: float) -> bool:
        """Ask a silent server for a sign of life each ``interval`` seconds; return False when it gave none."""
        if now - self._heard_at < interval:
            return True
        if self._checking:
            return now - self._heard_at < 2 * interval
        self._checking = True
        self.out.append(_ECHO)
        return True


def choose(sessions: Iterable[Session], free: int) -> None:
    """Ask servers that may have jobs for as many as the worker has room for, one each at a time."""
    for session in sessions:
        if free <= 0:
            return
        if session.called and not session.grabbing:
            session.grab()
            free -= 1
