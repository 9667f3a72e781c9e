"""Hand a running supervisor over to the version that is executed in its place, and take it over there.

Unlike adoption nothing is searched for: the same process goes on, so programs stay its children, descriptors stay open,
and what is known of each process, also of those that are just being started or stopped, is passed on as it is.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from genii.supervise.handover import Handover, Listener, Slot, Stream
from genii.supervise.machine import Life
from genii.supervise.state import State
from genii.system.process import reap
from genii.system.procfs import own_children

if TYPE_CHECKING:
    from genii.supervise.process import Process
    from genii.supervise.supervisor import Supervisor

__all__ = ["begin", "collect", "restore"]

_SETTLED = 1.0
"""Seconds after which what nobody has to wait for is done."""
_LIFE = Life._fields[1:]
"""All but the state, which goes by its name."""


def collect(supervisor: Supervisor, handover: Handover) -> None:
    """Fill in what a supervisor and its programs are at this moment."""
    services = supervisor.services
    output = services.output
    handover.settings = supervisor.settings
    handover.keeper, handover.keeper_listener = output.link, output.listener
    handover.keeper_pid = output.pid
    handover.notify = supervisor.notify.fileno()
    handover.streams = [
        Stream(key=key, name=name, descriptor=descriptor, log=None if log is None else list(log))
        for key, descriptor, name, log in output.streams()
    ]
    handover.lost = dict(output.lost)
    handover.sockets = [Listener(url=url, descriptor=number) for url, number in supervisor.sockets.bound()]
    handover.files = services.spawner.file_limit
    handover.slots = [_slot(process) for process in supervisor.slots]
    handover.starts, handover.stops = supervisor.ordering.wishes()
    handover.wishes = dict(supervisor.wishes)
    handover.scales = dict(supervisor.scales)
    handover.paused = sorted(supervisor.elastic.paused)
    handover.leaving = [process.name for process in supervisor.slots if supervisor.elastic.leaving(process)]
    handover.runs, handover.due = supervisor.triggers.runs(), supervisor.triggers.due()
    handover.repeats = supervisor.triggers.repeats()
    handover.helpers = sorted(services.spawner.helpers)
    handover.started_at = supervisor.started_at
    handover.serial = supervisor.serial
    handover.spawns, handover.exits = services.spawns, services.exits


def _slot(process: Process) -> Slot:
    current = process.current
    slot = Slot(
        name=process.name,
        program=process.template.name,
        number=process.number,
        state=process.state.name,
        group=process.group,
        digest=0 if current else process.digest,
        current=current,
        changed_at=process.changed_at,
        started_at=process.started_at,
        healthy=process.healthy,
        busy=process.work.busy,
        busy_since=process.work.since,
        job=process.work.job,
        jobs_left=process.work.left,
        paused=process.work.paused,
        note=process.note,
        start_time=process.birth,
    )
    for name, value in zip(_LIFE, process.life[1:], strict=True):
        setattr(slot, name, value)
    return slot


def restore(supervisor: Supervisor, handover: Handover) -> None:
    """Become the supervisor that a state describes; nothing is started, signalled or written yet."""
    services = supervisor.services
    services.spawner.pass_on(handover.files)
    for stream in handover.streams:
        log = None if stream.log is None else tuple(stream.log)
        services.output.restore(stream.key, stream.name, log, stream.descriptor)
    services.output.lost.update(handover.lost)
    for listener in handover.sockets:
        supervisor.sockets.restore(listener.url, listener.descriptor, supervisor.settings.programs.values())
    supervisor.scales = dict(handover.scales)
    supervisor.wishes = dict(handover.wishes)
    for program in supervisor.settings.programs.values():
        supervisor.slots.define(program, 0)
    supervisor.started_at = handover.started_at
    supervisor.serial = handover.serial
    supervisor.upgrades = handover.upgrades
    services.spawns, services.exits = handover.spawns, handover.exits
    for slot in handover.slots:
        life = Life(state=State[slot.state], **{name: getattr(slot, name) for name in _LIFE})
        supervisor.slots.add(supervisor.slots.programs[slot.program], slot.number).restore(slot, life)


def begin(supervisor: Supervisor, handover: Handover) -> None:
    """Go on from where the other version stopped."""
    for pid in _leftovers(supervisor, handover):
        _reap_helper(supervisor, pid)
    supervisor.triggers.recall(handover.runs, handover.due)
    recorder = supervisor.services.recorder
    recorder.resume(supervisor.memory)
    supervisor.loop.call_later(_SETTLED, recorder.renew)
    for process in supervisor.slots:
        process.resume()
        if process.state.alive and _is_watched(process):
            supervisor.health.changed(process)
    supervisor.elastic.restore(handover.paused, handover.leaving)
    slots = supervisor.slots
    supervisor.ordering.start(slot for name in handover.starts if (slot := slots.get(name)))
    supervisor.ordering.stop(slot for name in handover.stops if (slot := slots.get(name)))
    supervisor.triggers.arm(handover.runs, handover.due, handover.repeats)
    supervisor.elastic.begin()


def _leftovers(supervisor: Supervisor, handover: Handover) -> set[int]:
    """Return the children that nobody waits for any more: helpers, and what threads of the other version had begun."""
    known = {process.life.pid for process in supervisor.slots} | {supervisor.services.output.pid}
    return set(handover.helpers).union(own_children()) - known


def _is_watched(process: Process) -> bool:
    program = process.program
    return bool(program.ready or program.health or program.recycle)


def _reap_helper(supervisor: Supervisor, pid: int) -> None:
    """Reap a probe, check or deployment that was begun before when it ends: its answer is not awaited any more."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return
    services = supervisor.services
    services.spawner.helpers.add(pid)

    def ended() -> None:
        if reap(descriptor)[0]:
            services.poller.remove(descriptor)
            os.close(descriptor)
            services.spawner.helpers.discard(pid)

    services.poller.add(descriptor, ended)
