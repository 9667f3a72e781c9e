"""The manager's view of one worker: its life (by the machine of all programs), its place, its pidfd."""

from __future__ import annotations

import os
import signal

from genii.backoff import Backoff
from genii.serve.scoreboard import BEGAN, BUSY, ENDED, FREE, IDLE, LEAVING, STARTING
from genii.supervise.machine import (
    Adopted,
    BecameReady,
    Due,
    Exited,
    Failed,
    Life,
    Rules,
    Spawned,
    StartWanted,
    StopWanted,
    step,
)
from genii.supervise.scaling import Member
from genii.supervise.state import Restart, State
from genii.system.process import send_signal
from genii.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from genii.serve.model import Settings
    from genii.serve.scoreboard import Scoreboard
    from genii.supervise.machine import Effect, Event

__all__ = ["ADOPTED", "Child", "rules_of"]

ADOPTED = -1
"""The generation of workers that were forked before the manager was replaced."""

_START_TIMEOUT = 60.0
_FOR_EVER = 1e9
_RETRIES = 1 << 30  # a server never gives up: whoever mends the cause must not have to start it, too


class Leave(NamedTuple):
    """How a worker is asked to end: it alone, as its connections are its own."""

    timeout: float
    signal: int = 15
    group: bool = False


def rules_of(settings: Settings) -> Rules:
    """Return what the machine has to know of workers.

    A worker counts as running when it has proved itself (see ``Child.ended``), not when it is ready: one that falls
    over its first request must not be forked again and again without a pause.
    """
    return Rules(
        startsecs=0.0,
        needs_ready=True,
        ready_timeout=max(_START_TIMEOUT, settings.startsecs),
        restart=Restart.ALWAYS,
        exit_codes=(0,),
        early_exit_fails=True,
        retries=_RETRIES,
        backoff=Backoff(initial=0.1, cap=settings.backoff_cap),
        stop=Leave(settings.stop_timeout or _FOR_EVER),
    )


class Child:
    """One worker, through all its processes: who leaves after its share of requests is followed in the same slot."""

    __slots__ = (
        "_proof", "_rules", "_untold", "board", "generation", "key", "life", "pid", "pidfd", "place", "started",
        "status", "told",
    )  # fmt: skip

    def __init__(self, key: int, generation: int, settings: Settings, board: Scoreboard) -> None:
        self.key = key
        self.generation = generation
        self.board = board
        self.life = Life()
        """What the machine knows: that of the first of those who followed one another in order (see ``follow``)."""
        self.pid = 0
        self.started = 0.0
        self.status: int | None = None
        """How the last process ended: exit code, -N for signal N; None: not known."""
        self._untold = False
        self.place = -1
        self.pidfd = -1
        self.told = 0
        """The signal that asked it to leave; 0: none did."""
        self._rules = rules_of(settings)
        self._proof = settings.startsecs

    def handle(self, event: Event, now: float, chance: float = 0.5) -> tuple[Effect, ...]:
        """Give an event to the machine and return what has to be done."""
        if self._untold:
            self._tell_of_succession()
        self.life, effects = step(self.life, event, now, self._rules, chance)
        return effects

    def born(self, pid: int, pidfd: int, now: float) -> None:
        """Take note of the process that was forked for this slot."""
        self.pid, self.pidfd, self.started = pid, pidfd, now

    def follow(self, now: float) -> bool:
        """Say whether this slot's next process may be forked at once, as the last one left in order.

        The machine would decide so; it is told when it is asked next (``handle``). A server that replaces its workers
        after few requests does nothing as often as this, and after a fork each page that the manager writes to has to
        be copied.
        """
        if self.board.state(self.place) != LEAVING:
            return False
        if not self._untold:
            if self.told or not self.life.wanted:
                return False
            if self.life.state is State.STARTING:
                self.handle(BecameReady(), now)
            self._untold = self.life.state is State.RUNNING
        return self._untold

    def _tell_of_succession(self) -> None:
        """Tell the machine that its process has ended in order and that another one runs."""
        self._untold = False
        self.handle(Exited(0), self.started)
        if self.life.state is not State.STARTING:  # it makes a pause where a life was short; there was none
            self.handle(StartWanted(), self.started)
        self.handle(Spawned(self.pid), self.started)

    def adopt(self, pid: int, place: int, now: float) -> None:
        """Take over a worker of the manager that was here before; raises ``ProcessLookupError``."""
        self.born(pid, os.pidfd_open(pid), now)
        self.place = place
        self.handle(Adopted(pid, now), now)

    @property
    def state(self) -> int:
        """The state of its place on the scoreboard."""
        return self.board.state(self.place) if self.place >= 0 else FREE

    @property
    def retired(self) -> bool:
        """Say whether it was told to go for good, and does not count any more."""
        return not self.life.wanted

    @property
    def ready(self) -> bool:
        """Say whether it takes requests (or has just served its last: the next is as good as there)."""
        return self.state in (IDLE, BUSY, LEAVING)

    @property
    def began_ns(self) -> int:
        """When its request at work began; 0: there is none."""
        return self.board.get(self.place, BEGAN) if self.place >= 0 else 0

    def member(self) -> Member:
        """Return what the scaling plan wants to know."""
        if self.state == BUSY:
            return Member(self.key, busy=True)
        if self.state == IDLE and not self.began_ns:
            return Member(self.key, since=self.board.get(self.place, ENDED) / 1e9)
        # Not there yet; or an async one with some work and room for more, which is neither idle nor busy.
        return Member(self.key, starting=True)

    def due(self, now: float) -> tuple[Effect, ...]:
        """Tell the machine that its deadline has come."""
        if self.life.state is State.STARTING and self.state in (IDLE, BUSY, LEAVING):
            return self.handle(BecameReady(), now)
        if self.life.state is State.STARTING and self.pid:
            return self.handle(Failed(f"not ready within {self._rules.ready_timeout:g} s", counts=True), now)
        return self.handle(Due(), now)

    def retire(self, now: float) -> tuple[Effect, ...]:
        """Let it finish its request and go."""
        return self.handle(StopWanted(), now)

    def send(self, number: int) -> None:
        """Send it a signal, if it has a process."""
        if self.pidfd >= 0:
            send_signal(self.pidfd, number)

    def tell(self, number: int) -> None:
        """Ask it to leave."""
        self.told = number
        self.send(number)

    def kill(self) -> None:
        """End it at once."""
        self.send(signal.SIGKILL)

    @property
    def may_have_missed(self) -> bool:
        """Say whether it may wait for a connection although it was told to leave.

        A signal that comes right before accept(2) is seen after it only; so it has to be sent again.
        """
        return bool(self.told) and self.life.state is State.STOPPING and self.state in (IDLE, STARTING)

    def reap(self) -> bool:
        """Say whether the process has ended; then it is released, and ``status`` says how."""
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:  # the program ignores SIGCHLD, so nobody is told
            self.status = None
        else:
            if not pid:
                return False
            self.status = os.waitstatus_to_exitcode(status) if status else 0
        os.close(self.pidfd)
        self.pidfd = -1
        return True

    def ended(self, now: float, chance: float) -> tuple[Effect, ...]:
        """Take note that the process, which is reaped, is gone; returns what has to be done."""
        self.told = 0
        done = self.state == LEAVING and self.status == 0
        if self.place >= 0:
            self.board.free(self.place)
            self.place = -1
        if self._untold:
            self._tell_of_succession()
        self.pid = 0
        if self.life.state is State.STARTING and (done or now - self.started >= self._proof):
            self.handle(BecameReady(), now)
        return self.handle(Exited(self.status), now, chance)
