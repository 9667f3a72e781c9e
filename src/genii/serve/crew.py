"""The workers of a server: forks them, watches over them, and ends them, as the machine of each one decides."""

from __future__ import annotations

import _signal  # without the enums of signal, whose conversions cost more than a fork
import os
import select

from genii.serve import messages
from genii.serve.child import ADOPTED, Child
from genii.serve.recruit import Recruit, Tie
from genii.serve.worker import Place
from genii.supervise.machine import Effect, Spawned, SpawnFailed, StartWanted
from genii.supervise.state import State
from genii.typed import TYPE_CHECKING
from genii.units import format_signal, parse_signal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from genii.serve.manager import Manager
    from genii.serve.model import Handler
    from genii.serve.scoreboard import Scoreboard

__all__ = ["FOLLOWED", "GONE", "LOOK", "STRANGER", "Crew"]

LOOK = 0.25
"""Seconds between looks at the scoreboard while something is awaited that nobody tells, or that was told too early."""
STRANGER, FOLLOWED, GONE = range(3)
"""What a readable descriptor means: nothing to us; a worker has its successor already; a worker is gone."""
_RESEND = 0.02
"""Seconds between two signals to a worker that may have missed the first."""
_NEVER = float("inf")


class Crew:
    """All workers. ``now`` is the monotonic time in seconds."""

    def __init__(
        self, manager: Manager, load: Callable[[], Handler], board: Scoreboard, wake: int, poll: select.poll
    ) -> None:
        self.children: dict[int, Child] = {}
        self.stopping = False
        """Whether all of them are to go for good."""
        self.caught: list[int] = []
        self.blocked: list[int] = []
        """What must not reach a worker before it has handlers of its own: what we catch, and what we pass on."""
        self._manager = manager
        self._load = load
        self._board = board
        self._wake = wake
        self._poll = poll
        self._by_descriptor: dict[int, Child] = {}
        self._told: set[Child] = set()
        self._recruit: Recruit | None = None
        self._serial = 0
        self._last_fork = 0.0
        self._waiting: list[Child] = []
        """Those that are to be forked."""
        self._news: list[str] = []
        self._patience = 0.0
        self._stuck_at = 0.0

    @property
    def serving(self) -> list[Child]:
        """Those that were not told to go for good."""
        return [child for child in self.children.values() if not child.retired]

    def add(self, generation: int, now: float) -> None:
        """Fork one more."""
        self._serial += 1
        child = self.children[self._serial] = Child(self._serial, generation, self._manager.settings, self._board)
        self.carry_out(child, child.handle(StartWanted(), now))

    def retire(self, child: Child, now: float) -> None:
        """Let a worker finish its request and go."""
        self.carry_out(child, child.retire(now))

    def adopt(self, pid: int, place: int, now: float) -> None:
        """Take over a worker of the manager that was this process before."""
        self._serial += 1
        child = Child(self._serial, ADOPTED, self._manager.settings, self._board)
        try:
            child.adopt(pid, place, now)
        except ProcessLookupError:
            self._board.free(place)
            return
        self.children[child.key] = child
        self._watch(child)

    def signal_all(self, number: int) -> None:
        """Send a signal to each of them."""
        for child in self.children.values():
            child.send(number)

    # Over time.

    def attend(self, now: float) -> None:
        """Do what is due."""
        due = [child for child in self.children.values() if child.life.deadline is not None]
        for child in due:
            if child.life.deadline is not None and now >= child.life.deadline:
                self.carry_out(child, child.due(now))
        for child in self._told:
            if child.may_have_missed:
                child.tell(child.told)
        self._kill_stuck(now)

    def next_moment(self, now: float) -> float:
        """Return when ``attend`` has something to do; infinity: not before something happens."""
        moments = [child.life.deadline for child in self.children.values() if child.life.deadline is not None]
        if self._waiting:
            moments.append(self._last_fork + self._manager.settings.spawn_interval)
        if self._told and any(child.may_have_missed for child in self._told):
            moments.append(now + _RESEND)
        if self._patience:
            moments.append(self._stuck_at)
        return min(moments, default=_NEVER)

    def _kill_stuck(self, now: float) -> None:
        """Kill workers whose request takes too long; the others go on."""
        patience = self._manager.patience
        if patience != self._patience:
            self._patience, self._stuck_at = patience, now
        if not patience or now < self._stuck_at:
            return
        soonest = now + patience  # of a request that begins right now
        for child in self.children.values():
            began = child.began_ns / 1e9
            if not began:
                continue
            if began + patience <= now:
                limit = self._manager.settings.request_timeout
                messages.warning("worker %d is killed: its request takes longer than %g s", child.pid, limit)
                child.kill()
                soonest = min(soonest, now + LOOK)
            else:
                soonest = min(soonest, began + patience)
        self._stuck_at = soonest

    # What the machines want done.

    def carry_out(self, child: Child, effects: Sequence[Effect]) -> None:
        """Do what a worker's machine has decided."""
        for effect in effects:
            match effect:
                case Effect.SPAWN:
                    self._waiting.append(child)
                case Effect.SEND_STOP:
                    child.tell(self._stop_signal)
                    self._told.add(child)
                case Effect.KILL_GROUP:
                    messages.warning("worker %d did not end in time and is killed", child.pid)
                    child.kill()
        if child.life.state in (State.STOPPED, State.EXITED, State.FATAL):
            self.children.pop(child.key, None)

    @property
    def _stop_signal(self) -> int:
        name = self._manager.settings.signals.get("TERM" if self.stopping else "HUP") or "TERM"
        return int(parse_signal(name))

    def fork_waiting(self, now: float) -> None:
        """Fork those that wait, as fast as the spawn interval allows.

        First all that may be forked now, then what has to be noted about them: what we write to between two forks, the
        first worker keeps a copy of.
        """
        interval = self._manager.settings.spawn_interval
        if not self._waiting or (interval and self._last_fork and now < self._last_fork + interval):
            return
        self._last_fork = now
        due = [self._waiting.pop(0)] if interval else self._waiting
        self._waiting = self._waiting if interval else []
        wanted = [child for child in due if self._is_wanted(child, now)]
        for child in wanted:
            child.place = self._board.take(int(now * 1e9))
        recruit = self._next_recruit()
        born = [(child, self._fork(recruit, child)) for child in wanted]
        for child, pid in born:
            if isinstance(pid, int):
                child.born(pid, os.pidfd_open(pid), now)
                self._watch(child)
                self.carry_out(child, child.handle(Spawned(pid), now))
            else:
                self._not_born(child, pid, now)

    def _is_wanted(self, child: Child, now: float) -> bool:
        if child.life.state is State.STOPPING:
            self.carry_out(child, child.handle(SpawnFailed("not wanted any more"), now))
            return False
        return True

    def _fork(self, recruit: Recruit, child: Child) -> int | Exception:
        """Return the pid, or why there is none."""
        try:
            if child.place < 0:
                raise OSError("the scoreboard is full")
            if self._manager.settings.before_fork is not None:
                self._manager.settings.before_fork(self._manager)
            return self._fork_blocked(recruit, child.place)
        except Exception as error:
            return error

    def _not_born(self, child: Child, error: Exception, now: float) -> None:
        messages.error("can't fork a worker: %s", error)
        if child.place >= 0:
            self._board.free(child.place)
            child.place = -1
        self.carry_out(child, child.handle(SpawnFailed(str(error)), now, _chance()))

    def _fork_blocked(self, recruit: Recruit, place: int) -> int:
        """Fork; signals wait until the child has handlers of its own."""
        serve, lifetime = recruit.serve, recruit.lifetime()
        _signal.pthread_sigmask(_signal.SIG_BLOCK, self.blocked)
        try:
            pid = os.fork()
            if pid == 0:
                serve(place, lifetime)
        finally:
            _signal.pthread_sigmask(_signal.SIG_UNBLOCK, self.blocked)
        return pid

    def _next_recruit(self) -> Recruit:
        recruit, manager = self._recruit, self._manager
        if recruit is None or recruit.handler is not manager.handler or recruit.settings is not manager.settings:
            recruit = self._recruit = Recruit(
                manager.handler, manager.settings, manager.listeners, Place(self._board, self._wake),
                Tie(manager.pid), manager=manager, load=self._load, caught=self.caught, blocked=self.blocked,
            )  # fmt: skip
        return recruit

    def _watch(self, child: Child) -> None:
        self._poll.register(child.pidfd, select.POLLIN)
        self._by_descriptor[child.pidfd] = child

    # Ends.

    def tell_news(self) -> None:
        """Say who ended out of order: after its successor was forked, which would wait for the module logging."""
        news, self._news = self._news, []
        for text in news:
            messages.warning("%s", text)

    def ended(self, descriptor: int, now: float) -> int:
        """Take note of what is behind a readable descriptor: STRANGER, FOLLOWED or GONE."""
        child = self._by_descriptor.get(descriptor)
        if child is None:
            return STRANGER
        if not child.reap():
            return FOLLOWED
        self._poll.unregister(descriptor)
        del self._by_descriptor[descriptor]
        if child.status == 0 and self._follow(child, now):
            return FOLLOWED
        self._told.discard(child)
        pid, status, stuck = child.pid, child.status, child.began_ns
        if status:
            how = f"was killed by {format_signal(-status)}" if status < 0 else f"ended with {status}"
            self._news.append(f"worker {pid} {how}{' in the middle of a request' if stuck else ''}")
        if self._manager.settings.on_child_reap is not None:
            try:
                self._manager.settings.on_child_reap(self._manager, pid, status)
            except Exception:
                messages.exception("on_child_reap")
        self.carry_out(child, child.ended(now, _chance()))
        return GONE

    def _follow(self, child: Child, now: float) -> bool:
        """Fork the successor of a worker that left in order, if that is all there is to do."""
        manager, recruit = self._manager, self._recruit
        if (
            recruit is None
            or not recruit.is_plain
            or recruit.settings is not manager.settings
            or recruit.handler is not manager.handler
            or child.generation != manager.generation
            or not child.follow(now)
        ):
            return False
        self._board.renew(child.place, int(now * 1e9))
        try:
            pid = self._fork_blocked(recruit, child.place)
        except OSError:
            return False  # the ordinary way ends in a back-off
        child.born(pid, os.pidfd_open(pid), now)
        self._watch(child)
        return True


def _chance() -> float:
    """Draw a number in [0, 1); the module random would bring OpenSSL's hashes along."""
    high, low = os.urandom(2)
    return (high * 256 + low) / 65536
