"""Keep the number of processes of programs between their bounds: carries out what ``scaling`` decides.

A process that is let go is not wanted any more and gets its stop signal; it finishes what it does, however long that
takes. Only one that neither works nor ends is stopped by force. Nothing here wakes up unless a process says something,
a deadline of the plan has come, or (where a program follows its queue or the processor) all its processes are busy.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from genii.errors import NotAllowed
from genii.supervise.demand import Demand
from genii.supervise.machine import StopWanted, Unwanted
from genii.supervise.model import State
from genii.supervise.process import Told
from genii.supervise.report import PoolStatus
from genii.supervise.scaling import Bounds, Member, Pace, scale
from genii.system.worksheet import read_worksheet

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Collection, Iterable, Sequence

    from genii.supervise.machine import Life
    from genii.supervise.model import Program
    from genii.supervise.process import Process
    from genii.supervise.scaling import Step
    from genii.supervise.supervisor import Supervisor

__all__ = ["Elastic", "Pool"]

_log = logging.getLogger(__name__)
_AT_REST = (State.STOPPED, State.EXITED, State.FATAL, State.UNKNOWN)
_MOST = 10_000
_ASK_AGAIN = 0.2
"""Seconds between two looks at a worker that was taken over while it started."""


class Pool:
    """What is remembered of one program from one decision to the next."""

    __slots__ = ("idle", "pace", "planned", "spare", "total_is_least", "waiting")

    def __init__(self) -> None:
        self.pace = Pace()
        self.waiting = 0
        """Pieces of work that nobody has taken, as far as is known."""
        self.planned: asyncio.Handle | None = None
        # What the last decision found, so that most messages need none:
        self.idle = 0
        """Members that could take work, brought up to date with each message."""
        self.spare = 1
        self.total_is_least = False
        """Whether nobody can be let go."""


class Elastic:
    """The programs of a supervisor whose number of processes follows their load."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._pools: dict[str, Pool] = {}
        self._leaving: set[Process] = set()
        """Those that are to end and whose slot goes with them."""
        self._started_paused: set[Process] = set()
        self.paused: set[str] = set()
        """The programs that take no work for now."""
        self.demand = Demand(supervisor, self.decide_soon)

    def manages(self, name: str) -> bool:
        """Say whether the number of a program's processes is decided here."""
        program = self._supervisor.slots.programs.get(name)
        if program is None or program.schedule is not None:
            return False
        minimum, maximum = self.bounds(program)
        return maximum > 0 and (maximum > minimum or bool(program.worker))

    def bounds(self, program: Program) -> tuple[int, int]:
        """Return the least and the greatest number of processes, as declared or as scaled by hand."""
        scaled = self._supervisor.scales.get(program.name)
        return scaled if scaled is not None else (program.processes, max(program.processes, program.processes_max))

    def pool(self, name: str) -> Pool:
        """Return what is remembered of a program."""
        found = self._pools.get(name)
        if found is None:
            found = self._pools[name] = Pool()
        return found

    def leaving(self, process: Process) -> bool:
        """Say whether a process is on its way out."""
        return process in self._leaving

    # What an earlier supervisor left.

    def define(self, living: Collection[str]) -> None:
        """Make the slots of all programs: as many as each is to have, and those of ``living`` processes beyond."""
        supervisor, slots = self._supervisor, self._supervisor.slots
        programs = supervisor.settings.programs.values()
        beyond = set(living)
        for program in programs:
            beyond.difference_update(program.process_names(supervisor.count(program.name)))
        for program in programs:
            slots.define(program, 0)
            if beyond and self.manages(program.name):
                self._define_living(program, living)
            slots.define(program, max(supervisor.count(program.name), len(slots.of(program.name))))

    def _define_living(self, program: Program, living: Collection[str]) -> None:
        """Make the slots of a program's processes whose numbers are those of ``living``."""
        for number, name in enumerate(program.process_names(_MOST)):
            if name in living:
                self._supervisor.slots.add(program, number)

    def begin(self) -> None:
        """Ask those that were taken over what they are doing, and decide for the first time."""
        for process in self._supervisor.slots:
            if process.work.busy is None and process.life.adopted and self.manages(process.template.name):
                self._ask(process)
        for name in list(self._supervisor.slots.programs):
            self.decide_soon(name)

    def _ask(self, process: Process) -> None:
        """Take in what a process's worksheet says; who has one is ready, whether anybody heard it say so or not."""
        if process.work.busy is not None or not process.life.pid:
            return
        now, services = self._supervisor.loop.time(), self._supervisor.services
        work = read_worksheet(process.life.pid)
        if work is not None:
            paused = process.template.name in self.paused
            process.work = Told(work.busy, now, work.job, work.left, paused=paused)
            process.ready()
            self.decide_soon(process.template.name)
        elif process.state is State.STARTING and process.template.worker:
            services.deadlines.set(("adopted", process.name), now + _ASK_AGAIN, lambda: self._ask(process))

    def restore(self, paused: Iterable[str], leaving: Iterable[str]) -> None:
        """Go on from what another version knew; ``begin`` comes after it."""
        slots = self._supervisor.slots
        self.paused = {name for name in paused if self.manages(name)}
        self._leaving = {slot for name in leaving if (slot := slots.get(name)) is not None}
        for process in slots:
            if process.state is State.RUNNING and not process.life.wanted:
                self._be_patient(process)
            elif process in self._leaving and process.state in _AT_REST:
                self._supervisor.loop.call_soon(self._gone, process)

    # What happens.

    def heard(self, process: Process, fields: dict[str, str]) -> None:
        """Take in what a process says of its work."""
        told, now = process.work, self._supervisor.loop.time()
        if "PAUSED" in fields:
            told = told._replace(paused=fields["PAUSED"] == "1")
        if "BUSY" in fields:
            busy = fields["BUSY"] == "1"
            left = fields.get("JOBS_LEFT", "")
            told = Told(
                busy,
                told.since if told.busy is busy else now,
                fields.get("JOB", "")[:200],
                int(left) if left.isascii() and left.isdigit() and len(left) < 16 else None,
                told.paused,
            )
        matters = self._matters(process, told)
        process.work = told
        if matters:
            self.decide_soon(process.template.name)

    def _matters(self, process: Process, told: Told) -> bool:
        """Say whether what a process says may change the number of processes; with many of them it seldom does."""
        pool, name = self.pool(process.template.name), process.template.name
        if told.left == 0 or told.busy is None or process in self._leaving or process.state is not State.RUNNING:
            return True
        before = pool.idle
        if bool(told.busy) == bool(process.work.busy):
            return False
        pool.idle += -1 if told.busy else 1
        if told.busy:
            return pool.idle < pool.spare
        return before < 1 or not (pool.total_is_least or self._supervisor.services.deadlines.pending(("scale", name)))

    def changed(self, process: Process, before: Life) -> None:
        """Take note of a change of a process's state."""
        name = process.template.name
        if process.state is State.RUNNING and before.state is not State.RUNNING:
            self._apply_pause(process)
        if process in self._leaving:
            if process.state in _AT_REST:
                self._supervisor.loop.call_soon(self._gone, process)
            elif process.life.wanted and process.state is not State.RUNNING:
                self._leaving.discard(process)  # somebody wants it after all
        self.decide_soon(name)

    def starts_paused(self, process: Process) -> bool:
        """Say whether a process that is being started is to take no work."""
        paused = process.template.name in self.paused
        if paused:
            self._started_paused.add(process)
        return paused

    def _apply_pause(self, process: Process) -> None:
        """Tell a process that has become ready what it may have missed while it was not."""
        if process.template.name in self.paused:
            process.pause()
        elif process in self._started_paused:
            process.pause(pause=False)
        self._started_paused.discard(process)

    def decide_soon(self, name: str) -> None:
        """Decide once for all that happens together."""
        if not self.manages(name) or self._supervisor.stopping:
            return
        pool = self.pool(name)
        if pool.planned is None:
            pool.planned = self._supervisor.loop.call_soon(self._decide, name)

    # What ought to be.

    def _decide(self, name: str) -> None:
        pool = self.pool(name)
        pool.planned = None
        supervisor = self._supervisor
        if supervisor.stopping or not self.manages(name):
            return
        program = supervisor.slots.programs[name]
        slots = supervisor.slots.of(name)
        resting = [process for process in slots if self._rests(process)]
        minimum, maximum = self.bounds(program)
        maximum -= len(resting)
        members = [self._member(process) for process in slots if process not in resting]
        if maximum < 1 or name in self.paused or (resting and len(members) == 0):
            self._rest(name)
            return
        bounds = _bounds(program, max(0, minimum - len(resting)), maximum)
        step = scale(bounds, members, pool.waiting, supervisor.loop.time(), pool.pace)
        if len(members) >= bounds.minimum and any(process.state is State.FATAL for process in resting):
            step = step._replace(start=0)  # what fails is not tried more often because there is much to do
        pool.pace = step.pace
        pool.idle = sum(not member.busy for member in members) - len(step.retire)
        pool.spare, pool.total_is_least = bounds.spare, len(members) <= bounds.minimum
        self._carry_out(name, step)
        saturated = all(member.busy for member in members)
        self.demand.watch(program, saturated=saturated, room=len(members) < bounds.maximum)

    def _rest(self, name: str) -> None:
        self._supervisor.services.deadlines.cancel(("scale", name))
        self.demand.forget(name)

    def _rests(self, process: Process) -> bool:
        """Say whether a slot has nothing in it and is to stay so."""
        if process in self._leaving:
            return False
        if process.state is State.STOPPING:
            return not process.life.again
        if process.state is State.RUNNING:
            return not process.life.wanted  # it is being drained
        return process.state in _AT_REST and not self._supervisor.ordering.waiting(process)

    def _member(self, process: Process) -> Member:
        told = process.work
        if process in self._leaving:
            return Member(process.number, leaving=True)
        if process.state is not State.RUNNING:
            return Member(process.number, starting=True)
        if told.busy:
            return Member(process.number, busy=True, since=told.since, leaving=told.left == 0)
        since = told.since if told.busy is not None else process.life.since
        return Member(process.number, since=since)

    def _carry_out(self, name: str, step: Step) -> None:
        supervisor = self._supervisor
        deadlines, key = supervisor.services.deadlines, ("scale", name)
        if step.deadline is None:
            deadlines.cancel(key)
        else:
            deadlines.set(key, step.deadline, lambda: self.decide_soon(name))
        by_number = {process.number: process for process in supervisor.slots.of(name)}
        before = len(by_number)
        for number in step.release:
            self._release(by_number[number])
        for number in step.retire:
            self._retire(by_number[number])
        if step.start:
            program = supervisor.slots.programs[name]
            fresh = [supervisor.slots.add(program) for _ in range(step.start)]
            for process in fresh:
                supervisor.wishes.pop(process.name, None)
            supervisor.launch(fresh)
        if step.start or step.retire:
            after = before + step.start - len(step.retire)
            _log.info("%s: now %d processes, before %d", name, after, before)
            supervisor.emit("program.scaled", name, processes=after, before=before, waiting=self.pool(name).waiting)

    def _release(self, process: Process) -> None:
        """Let a process that ends by itself do so for good."""
        if process not in self._leaving:
            self._leaving.add(process)
            process.handle(Unwanted())

    def _retire(self, process: Process) -> None:
        """Ask a process to end when it has done what it does."""
        self._leaving.add(process)
        self.drain(process)

    def _be_patient(self, process: Process) -> None:
        services = self._supervisor.services
        due = self._supervisor.loop.time() + process.program.stop.timeout
        services.deadlines.set(("leaving", process.name), due, lambda: self._out_of_patience(process))

    def drain(self, process: Process) -> None:
        """Have a process end when it has done what it does; its slot stays."""
        if process.state is State.RUNNING:
            process.handle(Unwanted())
            process.signal(process.program.stop.signal)
            self._be_patient(process)
        else:
            process.handle(StopWanted())

    def _out_of_patience(self, process: Process) -> None:
        if process.life.wanted or process.state is not State.RUNNING:
            return
        if process.work.busy:
            self._be_patient(process)
        else:
            process.handle(StopWanted(reason="did not end by itself"))

    def _gone(self, process: Process) -> None:
        """Forget the slot of a process that has left."""
        supervisor = self._supervisor
        if process not in self._leaving or process.state not in _AT_REST:
            return
        self._leaving.discard(process)
        if supervisor.slots.get(process.name) is not process:
            return  # it was removed meanwhile
        supervisor.services.deadlines.cancel(("leaving", process.name))
        supervisor.slots.remove(process)
        supervisor.ordering.forget(process)
        process.forget_streams()
        supervisor.emit("process.removed", process.name, program=process.template.name)
        self.decide_soon(process.template.name)

    def reports(self) -> list[PoolStatus]:
        """Tell the figures of all programs whose number of processes is decided here."""
        return [self._report(name) for name in self._supervisor.slots.programs if self.manages(name)]

    def _report(self, name: str) -> PoolStatus:
        slots = self._supervisor.slots.of(name)
        minimum, maximum = self.bounds(self._supervisor.slots.programs[name])
        running = [process for process in slots if process.state is State.RUNNING]
        return PoolStatus(
            program=name,
            minimum=minimum,
            maximum=maximum,
            slots=len(running),
            busy=sum(bool(process.work.busy) for process in running),
            starting=sum(process.state in (State.STARTING, State.BACKOFF) for process in slots),
            leaving=sum(process in self._leaving for process in slots),
            waiting=self.pool(name).waiting,
            paused=name in self.paused,
        )

    # What somebody wants.

    def resize(self, name: str) -> list[Process]:
        """Start what a program lacks at the least, now that its bounds have changed; return what was started."""
        supervisor = self._supervisor
        program = supervisor.slots.programs[name]
        before = set(supervisor.slots.of(name))
        minimum, maximum = self.bounds(program)
        supervisor.slots.define(program, max(minimum, len(before)))
        added = [process for process in supervisor.slots.of(name) if process not in before]
        staying = [process for process in before if process not in self._leaving and not self._rests(process)]
        for process in sorted(before, key=lambda each: -each.number):
            if len(before) + len(added) > maximum and self._rests(process):
                self._leaving.add(process)
                before.discard(process)
                self._supervisor.loop.call_soon(self._gone, process)
        self.pool(name).pace = Pace()
        self.decide_soon(name)
        return added if staying or not before else []

    def pause(self, names: Sequence[str], *, pause: bool) -> None:
        """Have the workers of programs take no more work, or take it again.

        Raises:
            NotAllowed: a program is no worker, and none of its processes ever said that it was busy.
        """
        slots = self._supervisor.slots
        for name in names:
            if not slots.programs[name].worker and all(process.work.busy is None for process in slots.of(name)):
                raise NotAllowed(f"{name} can't be paused: it is no worker, and never said whether it is busy")
        for name in names:
            if pause:
                self.paused.add(name)
            else:
                self.paused.discard(name)
            self._supervisor.services.recorder.write("paused", name, pause)
            for process in slots.of(name):
                process.pause(pause=pause)
            self.decide_soon(name)

    def forget(self, name: str) -> None:
        """Drop what is remembered of a program that is gone."""
        self._rest(name)
        self._pools.pop(name, None)
        self.paused.discard(name)


def _bounds(program: Program, minimum: int, maximum: int) -> Bounds:
    rules = program.scaling
    return Bounds(
        minimum=min(minimum, maximum),
        maximum=maximum,
        spare=rules.spare,
        burst=rules.burst,
        interval=rules.interval,
        grace=rules.grace,
        cooldown=rules.cooldown,
    )
