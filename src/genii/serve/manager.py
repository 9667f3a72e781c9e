"""The manager: forks workers, waits for signals and ends, and carries out what the machine and the plans decide.

It never touches a connection and sleeps unless something happens: a signal, the end of a worker (pidfd), a worker that
asked for attention (eventfd), a deadline.
"""

from __future__ import annotations

import _signal  # without the enums of signal, whose conversions cost more than a fork
import contextlib
import gc
import os
import select
import signal
import time

from genii.errors import GeniiError, UsageError
from genii.events.signals import Signals
from genii.serve import messages
from genii.serve.crew import FOLLOWED, LOOK, STRANGER, Crew
from genii.serve.plan import replace_generation
from genii.serve.recruit import is_async, rehearse
from genii.serve.scoreboard import IDLE, TELL_READY, TELL_SATURATED
from genii.serve.upgrade import Trial, replace_process
from genii.supervise.scaling import Pace, scale
from genii.system.memory import release_startup_memory
from genii.system.notify import notify
from genii.typed import TYPE_CHECKING
from genii.units import format_signal, parse_signal

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from genii.serve.child import Child
    from genii.serve.model import Handler, Settings
    from genii.serve.scoreboard import Row, Scoreboard
    from genii.serve.upgrade import Handover
    from genii.supervise.scaling import Member
    from genii.system.pidfile import PidFile

__all__ = ["Manager"]

_ENDS = ("TERM", "INT", "QUIT")
_OWN = ("USR2", "TTIN", "TTOU")
_MARGIN = 5.0
"""Seconds beyond its deadline that an async worker has to cancel the request itself."""


class Manager:
    """What hooks get to see: ``rows()``, ``scale()``, ``settings``, ``pid``; ``run`` serves until told to end."""

    def __init__(
        self,
        load: Callable[[], Handler],
        listeners: Sequence[socket.socket],
        settings: Settings,
        board: Scoreboard,
        *,
        pid_file: PidFile | None = None,
        directory: str = "",
        on_ready: Callable[[], object] = lambda: None,
    ) -> None:
        self.settings = settings
        self.listeners = listeners
        self.pid = os.getpid()
        self.generation = 0
        self.handler: Handler | None = None
        """What serves a connection; ``on_reload`` may put another in its place. None: each worker loads its own."""
        self._load = load
        self._board = board
        self._pid_file = pid_file
        self._directory = directory
        self._on_ready = on_ready
        self._announced = False
        self._stopping = False
        self._target = 0
        self._pace = Pace()
        self._decide_at: float | None = None
        self._notifies = "NOTIFY_SOCKET" in os.environ
        self._saturated = False
        self._trial: Trial | None = None
        self._poll = select.poll()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._crew = Crew(self, load, board, self._wake, self._poll)
        self._now = time.monotonic()

    # For hooks and users.

    def rows(self) -> list[Row]:
        """Return what each worker is doing."""
        return self._board.rows(time.monotonic_ns())

    def scale(self, minimum: int, maximum: int | None = None) -> None:
        """Change how many workers run; raises ``UsageError``."""
        maximum = minimum if maximum is None else maximum
        if minimum < 1:
            raise UsageError(f"{minimum} workers: at least one has to run")
        if maximum * 2 > self._board.capacity:
            raise UsageError(f"{maximum} workers: the scoreboard has room for {self._board.capacity // 2}")
        from dataclasses import replace  # late: it is larger than all of us

        self.settings = replace(self.settings, bounds=replace(self.settings.bounds, minimum=minimum, maximum=maximum))

    def stop(self) -> None:
        """End the server as TERM does."""
        self._end("TERM")

    # The loop.

    def run(self, handover: Handover | None = None) -> None:
        """Serve until TERM, INT or QUIT; all workers are gone when this returns."""
        with Signals(stops=()) as signals:
            self._install(signals)
            if handover is not None:
                self._adopt(handover)
            if self.settings.on_start is not None:
                self.settings.on_start(self)
            self._preload()
            self._poll.register(signals.fileno(), select.POLLIN)
            self._poll.register(self._wake, select.POLLIN)
            if handover is not None:
                _signal.pthread_sigmask(_signal.SIG_UNBLOCK, self._crew.blocked)
            while self._crew.children or not self._stopping:
                self._now = time.monotonic()
                self._arrange()
                self._wait(signals)
        os.close(self._wake)

    def _install(self, signals: Signals) -> None:
        names = [name.upper().removeprefix("SIG") for name in self.settings.signals]
        for name in dict.fromkeys((*names, *_ENDS, "HUP", *_OWN)):
            signals.on(name, lambda: None)
            self._crew.caught.append(int(parse_signal(name)))
        passed_on = {int(parse_signal(name)) for name in self.settings.signals.values() if name is not None}
        self._crew.blocked = [*{*self._crew.caught, *passed_on} - {_signal.SIGKILL, _signal.SIGSTOP}]
        for number in (signal.SIGPIPE, signal.SIGALRM):
            signal.signal(number, signal.SIG_IGN)

    def _preload(self) -> None:
        if self.settings.preload:
            self.handler = self._load()
        rehearse(self, self._wake)
        release_startup_memory()
        gc.freeze()  # collections in the workers would copy every page that they touch

    def _wait(self, signals: Signals) -> None:
        """Wait for what happens, and handle it; returns when something else may be wanted than there is."""
        moment = self._next()
        as_it_was = True
        while as_it_was and self._now <= moment:
            timeout = moment - time.monotonic()
            found = self._poll.poll(max(0.0, timeout) * 1000 if timeout < 1e6 else None)
            self._now = time.monotonic()
            as_it_was = bool(found)
            for descriptor, _ in found:
                meaning = self._crew.ended(descriptor, self._now)
                if meaning != FOLLOWED:
                    as_it_was = False
                    if meaning == STRANGER:
                        self._attend(descriptor, signals)

    def _attend(self, descriptor: int, signals: Signals) -> None:
        if descriptor == self._wake:
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._wake)
        elif self._trial is not None and descriptor == self._trial.descriptor:
            self._trial_ended()
        else:
            for number in signals.take():
                self._signalled(format_signal(number))

    def _next(self) -> float:
        """Return when to look again though nothing happens."""
        moment = self._crew.next_moment(self._now)
        if self._decide_at is not None:
            moment = min(moment, self._decide_at)
        if not self._announced or (self._saturated and self._notifies):
            moment = min(moment, self._now + LOOK)
        if self._trial is not None:
            moment = min(moment, self._trial.deadline)
        return moment

    @property
    def patience(self) -> float:
        """After how many seconds a worker is killed whose request is still at work; 0: never."""
        timeout = self.settings.request_timeout
        cancels = self.handler is None or is_async(self.handler)
        return timeout + (_MARGIN if cancels else 0.0) if timeout else 0.0

    # What ought to be.

    def _arrange(self) -> None:
        """Compare wanted with actual and take the steps that are due."""
        self._crew.attend(self._now)
        if self._trial is not None and self._now >= self._trial.deadline:
            self._trial.kill()
        if not self._stopping:
            self._number()
        self._crew.fork_waiting(self._now)
        self._crew.tell_news()
        if not self._stopping:
            self._announce()

    def _number(self) -> None:
        """Start and retire workers so that the right number of the right generation serves."""
        serving = self._crew.serving
        old = [child for child in serving if child.generation != self.generation]
        self._ask(serving, replacing=bool(old))
        if old:
            self._replace(serving, old)
        elif len(serving) > self.settings.bounds.maximum:
            self._reduce(serving)
        elif self.settings.bounds.elastic or self._notifies or len(serving) < self.settings.bounds.minimum:
            self._follow_load(serving)
        else:
            self._decide_at = None

    def _ask(self, serving: list[Child], *, replacing: bool) -> None:
        """Ask the workers to wake us for what we wait for; before looking, so that nothing falls in between."""
        wishes = TELL_READY if replacing or not self._announced else 0
        room = len(serving) < self.settings.bounds.maximum
        if (self.settings.bounds.elastic and room) or self._notifies:
            wishes |= TELL_SATURATED
        self._board.ask(wishes)

    def _replace(self, serving: list[Child], old: list[Child]) -> None:
        self._decide_at = self._now + LOOK
        ready = sum(child.ready for child in serving if child.generation == self.generation)
        starting = len(serving) - len(old) - ready
        bounds = self.settings.bounds
        target = min(max(self._target, bounds.minimum), bounds.maximum)
        at_once = 1 if self.settings.rolling else target
        step = replace_generation(target, len(old), starting, ready, at_once=at_once, room=self._board.room)
        for child in old[: step.retire]:
            self._crew.retire(child, self._now)
        for _ in range(step.start):
            self._crew.add(self.generation, self._now)

    def _reduce(self, serving: list[Child]) -> None:
        """Retire at once what is too much: somebody asked for fewer. Who is busy finishes its request."""
        by_idleness = sorted(serving, key=lambda child: (child.state != IDLE, child.member().since))
        for child in by_idleness[: len(serving) - self.settings.bounds.maximum]:
            self._crew.retire(child, self._now)

    def _follow_load(self, serving: list[Child]) -> None:
        bounds, members = self.settings.bounds, [child.member() for child in serving]
        step = scale(bounds, members, 0, self._now, self._pace)
        self._pace, self._decide_at = step.pace, step.deadline
        if not bounds.elastic:
            self._decide_at = None
        for key in step.retire:
            self._crew.retire(self._crew.children[key], self._now)
        for _ in range(min(step.start, self._board.room)):
            self._crew.add(self.generation, self._now)
        if bounds.elastic and self._decide_at is None and len(serving) > bounds.minimum:
            # Nothing tells us that a busy worker has become idle: look when it could be let go the soonest.
            self._decide_at = self._now + max(bounds.grace, 0.1)
        self._tell_busy(members)

    def _tell_busy(self, members: list[Member]) -> None:
        saturated = bool(members) and all(member.busy for member in members)
        if saturated != self._saturated:
            self._saturated = saturated
            notify(f"BUSY={int(saturated)}")

    def _announce(self) -> None:
        """Tell whoever started us that we serve, once the first worker does."""
        if not self._announced and any(child.ready for child in self._crew.children.values()):
            self._announced = True
            notify("READY=1")
            self._on_ready()

    # Signals.

    def _signalled(self, name: str) -> None:
        if name in _ENDS:
            self._end(name)
        elif name == "HUP":
            self.reload()
        elif name == "USR2":
            self.upgrade()
        elif name in ("TTIN", "TTOU"):
            self._change_number(1 if name == "TTIN" else -1)
        else:
            self.signal_workers(name)

    def signal_workers(self, name: str) -> None:
        """Send the workers what ``trap_signals`` says for this signal."""
        passed_on = self.settings.signals.get(name)
        if passed_on is not None:
            self._crew.signal_all(int(parse_signal(passed_on)))

    def _end(self, name: str) -> None:
        if self._stopping:
            return
        messages.info("%s: ending %d workers", name, len(self._crew.children))
        self._stopping = self._crew.stopping = True
        self._decide_at = None
        notify("STOPPING=1")
        if self._trial is not None:
            self._trial.kill()
        for child in self._crew.serving:
            self._crew.retire(child, self._now)

    def reload(self) -> None:
        """Call ``on_reload`` and replace all workers; when it raises, nothing is changed."""
        if self._stopping:
            return
        if self.settings.on_reload is not None:
            try:
                self.settings.on_reload(self)
            except GeniiError as error:
                messages.error("the reload failed, the workers go on as they are: %s", error)
                return
            except Exception:
                messages.exception("the reload failed, the workers go on as they are")
                return
        self._target = len(self._crew.serving)
        self.generation += 1
        messages.info("reload: generation %d of the workers", self.generation)
        gc.freeze()

    def _change_number(self, by: int) -> None:
        bounds = self.settings.bounds
        try:
            self.scale(max(1, bounds.minimum + by), max(1, bounds.maximum + by))
        except UsageError as error:
            messages.warning("%s", error)

    # A new version of the program.

    def upgrade(self) -> None:
        """Replace this process by the program as it is now on disk, if that comes up; no connection is lost."""
        if self._stopping or self._trial is not None:
            return
        try:
            self._trial = Trial(self._directory, self._now + self.settings.upgrade_timeout)
        except OSError as error:
            messages.error("can't try the new version: %s", error)
            return
        self._poll.register(self._trial.descriptor, select.POLLIN)

    def _trial_ended(self) -> None:
        trial, self._trial = self._trial, None
        assert trial is not None
        self._poll.unregister(trial.descriptor)
        status = trial.end()
        if status == 0 and not self._stopping:
            _signal.pthread_sigmask(_signal.SIG_BLOCK, self._crew.blocked)
            workers = [
                (child.pid, child.place) for child in self._crew.children.values() if child.pid and child.place >= 0
            ]
            try:
                replace_process(self.listeners, self._board, workers, self._pid_file, self._directory)
            except OSError as error:
                messages.error("can't execute the new version: %s", error)
            _signal.pthread_sigmask(_signal.SIG_UNBLOCK, self._crew.blocked)
        elif not self._stopping:
            messages.error("the new version does not come up (exit status %s); the old one goes on", status)

    def _adopt(self, handover: Handover) -> None:
        """Take over the workers of the manager that was this process before."""
        for pid, place in handover.workers:
            self._crew.adopt(pid, place, self._now)
        self._target = len(self._crew.children)
