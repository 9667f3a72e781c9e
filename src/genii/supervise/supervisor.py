"""The supervisor: all programs of one configuration, kept as they are declared.

It owns the slots and the services they share, passes on what happens, and answers requests. What happens when is
decided elsewhere: the life of a process in ``machine``, order in ``plan``.
"""

from __future__ import annotations

import _random  # the module random would cost the daemon half a MiB
import asyncio
import contextlib
import logging
import os
import time
from typing import TYPE_CHECKING

from genii.errors import NotAllowed
from genii.supervise import adoption, describe
from genii.supervise.actions import Actions
from genii.supervise.deadlines import Deadlines
from genii.supervise.elastic import Elastic
from genii.supervise.environment import inherited
from genii.supervise.health import Health
from genii.supervise.model import ProbeKind, Settings, State
from genii.supervise.nurseries import Nurseries
from genii.supervise.ordering import Ordering
from genii.supervise.output import Output
from genii.supervise.plan import start_order, with_dependencies
from genii.supervise.process import Process, Services
from genii.supervise.recorder import Recorder
from genii.supervise.report import Event, SupervisorStatus
from genii.supervise.slots import Slots
from genii.supervise.sockets import Sockets
from genii.supervise.triggers import Triggers
from genii.system.listen import listen_unix
from genii.system.notify import NotifySocket
from genii.system.poller import Poller
from genii.system.process import boot_id
from genii.system.spawn import Spawner
from genii.version import __version__

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Sequence

    from genii.supervise.machine import Life
    from genii.supervise.origin import Origin
    from genii.supervise.record import Memory
    from genii.supervise.report import ActionResult, Difference, PoolStatus, ProcessDetails, ProcessStatus

__all__ = ["Supervisor"]

_log = logging.getLogger(__name__)
_MOST_SENDERS = 4096


class Supervisor:
    """Keep what runs equal to what is declared; see ``genii.control.target.Target`` for what it can be asked."""

    def __init__(
        self,
        settings: Settings,
        load: Callable[[], Awaitable[Settings]],
        keeper: tuple[socket.socket, int],
        loop: asyncio.AbstractEventLoop,
        *,
        notify: int = -1,
    ) -> None:
        """Prepare everything and start nothing.

        ``load`` reads the configuration anew, ``keeper`` is the link to the keeper and its pid, ``notify`` the socket
        for sd_notify if there is one already.
        """
        self.settings = settings
        self.first_settings = settings
        """With which it was started."""
        self.load = load
        self.loop = loop
        self.started_at = time.time()
        self.ended: asyncio.Future[None] = loop.create_future()
        """Done when all programs have ended after ``shutdown``."""
        self.stopping = False
        self._hurried = False
        self.first: list[Process] = []
        """What was started at the beginning."""
        self.serial = 0
        """Of the last event."""
        self.upgrades = 0
        """How often this process was replaced by another version of itself."""
        self.upgrade_failure = ""
        self.upgrader: Callable[[Origin | None], Awaitable[str]] = _not_here
        """Prepares an upgrade; set by whoever runs this process."""
        self._by_pid: dict[int, Process] = {}
        """Who spoke before; it may have ended meanwhile."""
        self._receivers: list[Callable[[Event], None]] = []
        self._state_dir = settings.state_dir
        poller = Poller(loop)
        spawner = Spawner(poller)
        self.notify = NotifySocket(os.path.join(settings.state_dir, "notify.sock"), descriptor=notify)
        poller.add(self.notify.fileno(), self._read_notifications)
        self.sockets = Sockets()
        self.services = Services(
            loop=loop,
            poller=poller,
            deadlines=Deadlines(loop),
            spawner=spawner,
            output=Output(poller, *keeper),
            recorder=Recorder(os.path.join(settings.state_dir, "record"), boot_id(), __version__),
            environment=inherited(os.environ),
            state_dir=settings.state_dir,
            notify_address=self.notify.address,
            null=os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC),
            chance=_random.Random().random,
            changed=self._changed,
            overdue=self._overdue,
            sockets=self.sockets.of,
            adopt_sockets=self.sockets.adopt,
            listen=self._read_notifications,
            nurseries=Nurseries(spawner, poller, loop.time),
            paused=self._starts_paused,
        )
        self.slots = Slots(self.services)
        self.ordering = Ordering(self.slots, loop, self.services.launches)
        self.health = Health(self.services)
        self.triggers = Triggers(self)
        self.actions = Actions(self)
        self.elastic = Elastic(self)
        self.scales: dict[str, tuple[int, int]] = {}
        """Numbers of processes that were changed by hand: program -> minimum, maximum."""
        self.wishes: dict[str, bool] = {}
        """What somebody wanted of a process by hand, last: to run or not."""

    def run(self, names: Sequence[str] = ()) -> None:
        """Adopt what an earlier supervisor left, then start what is to run from the start, or only ``names``.

        Raises:
            OSError: the state directory can't be used.
        """
        self._open_notify()
        memory = self.services.recorder.load()
        self.scales = {name: bounds for name, bounds in memory.scales.items() if name in self.settings.programs}
        self.wishes = dict(memory.wanted)
        self.elastic.define({name for name, found in memory.processes.items() if found.pid or found.intended})
        self.elastic.paused = {name for name, paused in memory.paused.items() if paused and self.elastic.manages(name)}
        self.first = self._first(names)
        adoption.take_over(self, memory)
        # The streams of a dead supervisor are taken over, now its place is.
        path = os.path.join(self._state_dir, "keeper.sock")
        self.services.output.listen(path, listen_unix(path))
        self.triggers.recall(memory.runs, memory.due)
        self.services.recorder.begin(self.memory)
        self.launch(self.first)
        self.triggers.arm(memory.runs, memory.due)
        self.elastic.begin()

    def _first(self, names: Sequence[str]) -> list[Process]:
        """Return what is to run from the start: what is declared so and was not stopped by hand, or what is named."""
        if names:
            needed = with_dependencies(
                self.slots.programs, {process.template.name for process in self.slots.resolve(names)}
            )
            return [process for name in needed for process in self.slots.of(name)]
        return [
            process
            for process in self.slots
            if process.template.autostart
            and not self.triggers.starts(process.template)
            and self.wishes.get(process.name, True)
        ]

    def _open_notify(self) -> None:
        """Let programs of other users reach the notification socket; each message is checked by its sender's pid."""
        if os.geteuid() == 0 and any(program.user for program in self.settings.programs.values()):
            os.chmod(self.notify.address, 0o666)  # noqa: S103 -- as said above

    def count(self, program: str) -> int:
        """Return how many processes a program is to have now."""
        return self.scales.get(program, (self.settings.programs[program].processes, 0))[0]

    def launch(self, processes: list[Process]) -> None:
        """Start processes in the order of their dependencies."""
        order = {name: number for number, name in enumerate(self.start_order(processes))}
        self.ordering.start(sorted(processes, key=lambda process: order[process.template.name]))

    def start_order(self, processes: list[Process]) -> list[str]:
        """Return the programs of processes in start order."""
        return start_order(self.slots.programs, dict.fromkeys(process.template.name for process in processes))

    def memory(self) -> Memory:
        """Return all that a later supervisor must know."""
        return adoption.remember(self)

    # What happens.

    def _changed(self, process: Process, before: Life) -> None:
        """Pass on a change of a process's state."""
        life = process.life
        if _log.isEnabledFor(logging.INFO):
            _log.info("%s: %s -> %s%s", process.name, before.state.name, life.state.name, describe.why(life))
        if process.program.ready or process.program.health or process.program.recycle:
            self.health.changed(process)
        self._remember_end(process)
        self.ordering.changed(process)
        self.actions.changed(process)
        self.triggers.changed(process)
        self.elastic.changed(process, before)
        if self._receivers:
            self.emit(
                "process.state",
                process.name,
                program=process.template.name,
                state=life.state.name,
                before=before.state.name,
                pid=life.pid or before.pid,
                exit_status=life.status,
                reason=life.reason,
            )
        if self._hurried and life.state is State.STOPPING:
            self.loop.call_soon(process.kill)
        if self.stopping and not life.state.alive:
            self.loop.call_soon(self._end_if_done)

    def _overdue(self, process: Process) -> None:
        """Tell that a process is killed because it did not end in time."""
        level = logging.INFO if self.settings.supervisord else logging.WARNING  # there it has words of its own
        _log.log(level, "%s: did not end within %g s, killing it", process.name, process.program.stop.timeout)
        self.emit("process.overdue", process.name, program=process.template.name, pid=process.life.pid)

    def _remember_end(self, process: Process) -> None:
        """Have a later supervisor not start again what ended for good, nor hold against it what runs again."""
        if self.elastic.leaving(process):
            return
        ended = process.state in (State.EXITED, State.FATAL) and not process.life.pauses
        if ended and self.wishes.get(process.name, True) and not self.triggers.starts(process.template):
            self.actions.want(process, wanted=False)
        elif process.state is State.STARTING and not self.wishes.get(process.name, True):
            self.actions.want(process, wanted=True)

    def emit(self, kind: str, name: str = "", **data: str | float | bool | None) -> None:
        """Tell all who subscribed that something happened."""
        self.serial += 1
        event = Event(serial=self.serial, time=time.time(), kind=kind, name=name, data=data)
        for receiver in list(self._receivers):
            try:
                receiver(event)
            except Exception:
                _log.exception("a receiver of events")

    def _read_notifications(self) -> None:
        for pid, fields in self.notify.messages():
            process = self._sender(pid)
            if process is not None:
                self._notified(process, fields)

    def _sender(self, pid: int) -> Process | None:
        """Return the slot whose process (or one of its group) has this pid."""
        known = self._by_pid.get(pid)
        if known is not None and known.life.pid == pid:
            return known
        for process in self.slots:
            if process.life.pid == pid:
                if len(self._by_pid) > _MOST_SENDERS:
                    self._by_pid.clear()  # most of them are gone
                self._by_pid[pid] = process
                return process
        try:
            group = os.getpgid(pid)
        except ProcessLookupError:
            return None
        return next((process for process in self.slots if process.life.pid and process.group == group), None)

    def _notified(self, process: Process, fields: dict[str, str]) -> None:
        """Take in what a process says of itself, see sd_notify(3)."""
        ready = process.program.ready
        if fields.get("READY") == "1" and ready is not None and ready.probe.kind is ProbeKind.NOTIFY:
            process.ready()
        if "STATUS" in fields:
            process.note = fields["STATUS"][:200]
        if "BUSY" in fields or "PAUSED" in fields:
            self.elastic.heard(process, fields)

    def _starts_paused(self, process: Process) -> bool:
        return self.elastic.starts_paused(process)

    # What it can be asked: see ``genii.control.target.Target``.

    def status(self) -> SupervisorStatus:
        """Tell about the supervisor itself."""
        return SupervisorStatus(
            pid=os.getpid(),
            version=__version__,
            started=self.started_at,
            config=self.settings.path,
            state="stopping" if self.stopping else "running",
            keeper_pid=self.services.output.pid,
            programs=len(self.settings.programs),
            processes=len(self.slots),
            upgrades=self.upgrades,
            upgrade_failure=self.upgrade_failure,
        )

    def statuses(self, names: Sequence[str] = ()) -> list[ProcessStatus]:
        """Tell the state of the processes named (none: all)."""
        return [describe.status(self, process) for process in self.slots.resolve(names)]

    def pools(self) -> list[PoolStatus]:
        """Tell the figures of the programs whose number of processes follows their load."""
        return self.elastic.reports()

    def details(self, name: str) -> list[ProcessDetails]:
        """Tell all about each process of a program, or about one process."""
        return [describe.details(self, process) for process in self.slots.resolve([name])]

    def log_path(self, name: str, stream: str) -> str:
        """Return the log file of a process; empty: its output is not kept in a file."""
        return describe.log_path(self.slots.resolve([name])[0].logs, stream)

    async def start(self, names: Sequence[str], *, wait: bool = True) -> list[ActionResult]:
        """Start processes and what they depend on."""
        return await self.actions.start(self.slots.resolve(names), wait=wait)

    async def stop(self, names: Sequence[str], *, wait: bool = True) -> list[ActionResult]:
        """Stop processes."""
        return await self.actions.stop(self.slots.resolve(names), wait=wait)

    async def restart(self, names: Sequence[str], *, rolling: bool = False, wait: bool = True) -> list[ActionResult]:
        """Restart processes whose checks pass; of ``all`` not those that nobody wants to run now."""
        found = self.slots.resolve(names)
        if not names or "all" in names:
            found = [process for process in found if not self._sleeps(process)]
        return await self.actions.restart(found, rolling=rolling, wait=wait)

    def _sleeps(self, process: Process) -> bool:
        """Say whether a process is at rest because only a request or a trigger starts it."""
        rests = process.state in (State.STOPPED, State.EXITED)
        return rests and (not process.template.autostart or self.triggers.starts(process.template))

    async def reload(self, names: Sequence[str]) -> list[ActionResult]:
        """Send the reload signal to processes whose checks pass."""
        return await self.actions.reload(self._living(names))

    async def send_signal(self, names: Sequence[str], number: int) -> list[ActionResult]:
        """Send a signal to the main process of each."""
        return self.actions.send_signal(self._living(names), number)

    def _living(self, names: Sequence[str]) -> list[Process]:
        """Return the slots named; of ``all`` only those with a process."""
        found = self.slots.resolve(names)
        return [process for process in found if process.life.pid] if not names or "all" in names else found

    async def scale(self, name: str, minimum: int, maximum: int) -> list[ActionResult]:
        """Change how many processes a program has."""
        return await self.actions.scale(name, minimum, maximum)

    async def update(self, *, dry_run: bool = False) -> Difference:
        """Read the configuration again and apply what changed."""
        from genii.supervise.update import Update  # rarely needed, and memory counts

        return await Update(self).run(dry_run=dry_run)

    async def upgrade(self, origin: Origin | None) -> str:
        """Prepare the replacement of this process by another version of genii; return that version."""
        return await self.upgrader(origin)

    def subscribe(self, receiver: Callable[[Event], None]) -> Callable[[], None]:
        """Call ``receiver`` with each event from now on; returns the function that ends it."""
        self._receivers.append(receiver)
        return lambda: self._receivers.remove(receiver)

    def statistics(self) -> dict[str, float]:
        """Return the supervisor's own counters by their Prometheus name."""
        return {
            "genii_spawns_total": self.services.spawns,
            "genii_exits_total": self.services.exits,
            "genii_events_total": self.serial,
            "genii_output_lost_bytes_total": sum(self.services.output.lost.values()),
            "genii_started_time_seconds": self.started_at,
        }

    async def pause(self, names: Sequence[str], *, pause: bool = True) -> list[ActionResult]:
        """Have workers take no more jobs after their current one, or take them again."""
        return self.actions.pause(self.slots.resolve(names), pause=pause)

    async def drain(self, names: Sequence[str], *, wait: bool = True) -> list[ActionResult]:
        """Stop workers when each has done its current job, however long that takes."""
        return await self.actions.drain(self.slots.resolve(names), wait=wait)

    # The end.

    async def shutdown(self) -> None:
        """Stop everything; returns when all programs have ended."""
        if not self.stopping:
            self.stopping = True
            _log.info("stopping all programs")
            self.emit("supervisor.stopping")
            self.triggers.close()
            self.ordering.stop(list(self.slots))
            self._end_if_done()
        await asyncio.shield(self.ended)

    def kill_everything(self) -> None:
        """End a shutdown at once: KILL to whatever still runs, and to what is only told to stop from now on."""
        self._hurried = True
        for process in self.slots:
            if process.state is State.STOPPING:
                process.kill()

    def reap_orphans(self) -> None:
        """Reap what is not ours but was left to us: as PID 1 we inherit every orphan (see wait(2))."""
        ours = {process.life.pid for process in self.slots} | self.services.spawner.own_children()
        ours.add(self.services.output.pid)
        with contextlib.suppress(ChildProcessError):
            while (found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
                if found.si_pid in ours:
                    # Its pidfd tells as well; look again when it was handled.
                    self.loop.call_soon(self.reap_orphans)
                    return
                os.waitpid(found.si_pid, 0)

    def _end_if_done(self) -> None:
        if not self.stopping or self.ended.done() or self.ordering.stopping():
            return
        if not any(process.state.alive for process in self.slots):
            self.ended.set_result(None)

    def close(self) -> None:
        """Write what is left of the output and let go of everything; to be called at the very end."""
        self.health.close()
        self.elastic.demand.close()
        self.services.output.close()
        self.services.recorder.close(remove=not any(process.state.alive for process in self.slots))
        self.services.poller.remove(self.notify.fileno())
        self.notify.close()
        self.services.deadlines.close()
        self.services.nurseries.close()
        self.services.spawner.close()
        self.sockets.close()
        self.services.poller.close()
        os.close(self.services.null)


async def _not_here(_origin: Origin | None) -> str:
    raise NotAllowed("this supervisor is part of another program; it can't replace itself")
