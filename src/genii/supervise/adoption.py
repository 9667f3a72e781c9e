"""Take over what an earlier supervisor left running."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from typing import TYPE_CHECKING

from genii.supervise.environment import MARK, OWNER
from genii.supervise.model import State, Stop
from genii.supervise.output import take_over as take_over_streams
from genii.supervise.record import Found, Memory
from genii.system.process import group_exists, group_members, open_living, send_group_signal
from genii.system.procfs import command_line, environment, start_time

if TYPE_CHECKING:
    from collections.abc import Iterator

    from genii.supervise.process import Process
    from genii.supervise.supervisor import Supervisor

__all__ = ["remember", "take_over"]

_log = logging.getLogger(__name__)


def remember(supervisor: Supervisor) -> Memory:
    """Return all that a later supervisor must know."""
    memory = Memory(
        wanted=dict(supervisor.wishes),
        scales=dict(supervisor.scales),
        paused=dict.fromkeys(supervisor.elastic.paused, True),
        runs=supervisor.triggers.runs(),
        due=supervisor.triggers.due(),
    )
    for process in supervisor.slots:
        pid = process.life.pid
        if pid:
            memory.processes[process.name] = Found(
                pid,
                process.birth,
                process.digest,
                process.started_at,
                process.life.restarts,
                running=process.running,
            )
        elif process.state is State.STOPPING:
            memory.processes[process.name] = Found(group=process.group)
    return memory


def take_over(supervisor: Supervisor, memory: Memory) -> None:
    """Adopt the living processes of a record and their streams; end those that are not declared any more."""
    output = supervisor.services.output
    count = take_over_streams(os.path.join(supervisor.settings.state_dir, "keeper.sock"), output.adopt)
    _look_for_lost(supervisor, memory)
    adopted = sum(_take(supervisor, name, found) for name, found in memory.processes.items())
    for key in output.open_keys():
        if supervisor.slots.get(key.rpartition("/")[0]) is None:
            output.drop(key)
    if adopted or count:
        _log.warning("took over %d running processes and %d output streams", adopted, count)


def _look_for_lost(supervisor: Supervisor, memory: Memory) -> None:
    """Find processes that the record does not tell of, though it may have to."""
    lost = [name for name, found in memory.processes.items() if found.intended and not found.pid]
    for name in lost:
        _count_as_begun(supervisor, memory, name)
    if memory.damaged:
        _log.warning("the record is damaged or another version's: searching processes by their environment")
    if memory.damaged or memory.absent:
        lost += [slot.name for slot in supervisor.slots if not _lives(memory.processes.get(slot.name))]
    if lost:
        _search(supervisor, memory, lost)


def _take(supervisor: Supervisor, name: str, found: Found) -> bool:
    """Do what is right with one recorded process; say whether it was adopted."""
    process = supervisor.slots.get(name)
    if process is None:
        if found.pid:
            _end_stranger(supervisor, name, found)
        return False
    if process.template.orphans == "ignore":
        if found.pid:
            _log.warning("%s: left alone with pid %d, as declared (orphans)", name, found.pid)
        return False
    if found.pid and process.adopt(found):
        _settle(supervisor, process)
        return True
    _clean_up(process, found.pid or found.group)
    return False


def _clean_up(process: Process, group: int) -> None:
    """End the rest of a group whose main process has ended; the group is known by the mark of its members."""
    if not process.program.stop.group or not group_exists(group):
        return
    mark = f"{MARK}={process.name}".encode()
    if any(mark in environment(pid) for pid in group_members(group)):
        _log.warning("%s: ended while nobody watched; the rest of its group is being stopped", process.name)
        process.clean_up(group)


def _lives(found: Found | None) -> bool:
    """Say whether a recorded process is still there."""
    if found is None or not found.pid:
        return False
    try:
        os.close(open_living(found.pid, found.start_time))
    except OSError:
        return False
    return True


def _count_as_begun(supervisor: Supervisor, memory: Memory, name: str) -> None:
    """Not run a schedule again for a start that was announced: the process may have lived and ended since."""
    process = supervisor.slots.get(name)
    due = memory.due.pop(process.template.name, None) if process else None
    if process and due is not None:
        memory.runs[process.template.name] = due


def _settle(supervisor: Supervisor, process: Process) -> None:
    """Bring an adopted process to what is declared now: maybe it is to stop, or to run something else."""
    process.reopen_streams()
    process.relog()
    if process.template.orphans == "stop":
        supervisor.loop.call_soon(process.fail, "its supervisor died (orphans = stop)")
    elif not process.current:
        supervisor.loop.call_soon(process.fail, "its declaration has changed")
    elif not supervisor.wishes.get(process.name, True) and not supervisor.triggers.starts(process.template):
        supervisor.loop.call_soon(supervisor.ordering.stop, [process])


def _end_stranger(supervisor: Supervisor, name: str, found: Found) -> None:
    """End a process that nothing declares any more; how long it may take to end is not known any more either."""
    try:
        process = open_living(found.pid, found.start_time)
    except OSError:
        return
    _log.warning("%s is not declared any more: stopping its process %d", name, found.pid)
    send_group_signal(found.pid, signal.SIGTERM)
    services, key = supervisor.services, ("stranger", found.pid)

    def ended() -> None:
        services.deadlines.cancel(key)
        services.poller.remove(process)
        os.close(process)

    def kill() -> None:
        _log.warning("%s: did not end within %g s, killing it", name, Stop().timeout)
        send_group_signal(found.pid, signal.SIGKILL)

    services.poller.add(process, ended)
    services.deadlines.set(key, supervisor.loop.time() + Stop().timeout, kill)


def _search(supervisor: Supervisor, memory: Memory, names: list[str]) -> None:
    """Find processes whose start was announced but not recorded, by the mark in their environment.

    The supervisor died between spawn and record: microseconds, but a second copy must never be started.
    """
    owner = f"{OWNER}={supervisor.settings.state_dir}".encode()
    marks = {f"{MARK}={name}".encode(): name for name in names}
    found: dict[str, list[tuple[bool, int, int]]] = {}
    for pid in _session_leaders():  # as each main process is; what it started seldom is
        variables = environment(pid)
        for mark in marks.keys() & variables if owner in variables else ():
            process = supervisor.slots.get(marks[mark])
            if process is None or not _is_user(process, pid):  # others may use our marks, but not our users
                continue
            with contextlib.suppress(ProcessLookupError):
                another = command_line(pid) != list(process.program.command)
                found.setdefault(process.name, []).append((another, start_time(pid), pid))
    for name, candidates in found.items():
        _, started, pid = min(candidates)  # what runs the very command, else the first that was there
        memory.processes[name] = Found(pid, started, time=_wall_time(started))
        _log.warning("%s: found process %d by its mark", name, pid)


def _session_leaders() -> Iterator[int]:
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(ProcessLookupError):
                if os.getsid(int(entry)) == int(entry):
                    yield int(entry)


def _is_user(process: Process, pid: int) -> bool:
    """Say whether a process belongs to the user that its program is declared to run as."""
    declared = process.helper_command().uid
    try:
        return os.stat(f"/proc/{pid}").st_uid == (declared if declared >= 0 else os.geteuid())
    except OSError:
        return False


def _wall_time(started: int) -> float:
    """Return the time of day of a start time in ticks since boot."""
    import time

    boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return boot + started / os.sysconf("SC_CLK_TCK")
