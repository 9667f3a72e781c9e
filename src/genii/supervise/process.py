"""One process slot: carries out what the machine decides, and tells it what happened."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import stat
import time
from binascii import crc32
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from genii.errors import GeniiError, NotAllowed
from genii.supervise import environment as environments
from genii.supervise.launches import Launches
from genii.supervise.machine import (
    Adopted,
    BecameReady,
    Due,
    Effect,
    Emptied,
    Exited,
    Failed,
    Life,
    Spawned,
    SpawnFailed,
    rules_for,
    step,
)
from genii.supervise.model import ProbeKind, State
from genii.supervise.plan import essence
from genii.supervise.template import for_process, logs_for
from genii.system import privileges
from genii.system.process import (
    group_exists,
    group_members,
    open_living,
    open_process,
    reap,
    send_group_signal,
    send_signal,
)
from genii.system.procfs import start_time
from genii.system.spawn import Command, SpawnError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from genii.supervise.deadlines import Deadlines
    from genii.supervise.handover import Slot
    from genii.supervise.machine import Event, Rules
    from genii.supervise.model import Logs, Program
    from genii.supervise.nurseries import Nurseries
    from genii.supervise.output import Output
    from genii.supervise.record import Found
    from genii.supervise.recorder import Recorder
    from genii.system.poller import Poller
    from genii.system.spawn import Spawner

__all__ = ["Process", "Services", "Told", "digest"]

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Services:
    """What all processes of a supervisor share."""

    loop: asyncio.AbstractEventLoop
    poller: Poller
    deadlines: Deadlines
    spawner: Spawner
    output: Output
    recorder: Recorder
    environment: dict[str, str]
    state_dir: str
    notify_address: str
    null: int
    """A descriptor of /dev/null."""
    chance: Callable[[], float]
    changed: Callable[[Process, Life], None]
    """Is told of each change of state, with the life before it."""
    overdue: Callable[[Process], None]
    """Is told of a process that does not end in time, before it is killed."""
    sockets: Callable[[Program], tuple[tuple[str, int], ...]]
    """Returns the listening sockets of a program by name."""
    adopt_sockets: Callable[[Program, int], None]
    """Takes the sockets of a program back from one of its processes, given by its pidfd."""
    listen: Callable[[], None]
    """Takes in what processes have said up to now."""
    nurseries: Nurseries
    paused: Callable[[Process], bool]
    """Says whether a process that is being started is to take no work."""
    rules: dict[Rules, Rules] = field(default_factory=dict)
    """Those in use: most programs have equal ones, which are kept once."""
    launches: Launches = field(default_factory=Launches)
    newborns: list[tuple[Process, int]] = field(default_factory=list)
    """What was just started, with its pid, and is to be watched."""
    spawns: int = 0
    exits: int = 0


class Told(NamedTuple):
    """What a process said last of its work (``BUSY=`` and so on, see docs/workers.md)."""

    busy: bool | None = None
    """None: it never said."""
    since: float = 0.0
    """When it became so, in monotonic seconds."""
    job: str = ""
    left: int | None = None
    """How many more jobs it takes after this one; None: any number."""
    paused: bool = False


def _attend_newborns(services: Services) -> None:
    newborns, services.newborns = services.newborns, []
    for process, pid in newborns:
        try:
            process.attend(pid)
        except Exception:
            _log.exception("attending to %s", process.name)


def digest(program: Program) -> int:
    """Return a number that tells whether a running process still is what is declared, or has to be replaced."""
    return crc32(msgspec.json.encode(essence(program)))


_NOTHING_TOLD = Told()


class Process:
    """One process slot of a program."""

    __slots__ = (
        "_birth", "_members", "_pidfd", "_rules", "changed_at", "group", "healthy", "life", "name", "note",
        "number", "program", "services", "started_as", "started_at", "template", "work",
    )  # fmt: skip

    def __init__(self, services: Services, program: Program, number: int, name: str) -> None:
        self.services = services
        self.number = number
        self.name = name
        self.life = Life(since=services.loop.time())
        self.group = 0
        """Process group of its last process."""
        self._birth = 0
        self.changed_at = time.time()
        self.started_at = 0.0
        self.started_as: Program | int = 0
        """What its last process was started with: the declaration, or its digest, which is all a record tells."""
        self.healthy: bool | None = None
        self.work = _NOTHING_TOLD
        self.note = ""
        self._pidfd = -1
        self._members: dict[int, int] | None = None
        """Left members of its group while it stops: pidfd -> pid."""
        self.redefine(program)

    def redefine(self, program: Program) -> None:
        """Take on a changed declaration; what a running process was started with stays until its next start."""
        self.template = program
        self.program = for_process(program, self.number, self.name)
        rules = rules_for(self.program)
        self._rules: Rules = self.services.rules.setdefault(rules, rules)

    @property
    def state(self) -> State:
        """The state it is in."""
        return self.life.state

    @property
    def running(self) -> bool:
        """Say whether others may rely on it."""
        return self.life.state is State.RUNNING

    @property
    def logs(self) -> Logs:
        """Where its output goes."""
        return logs_for(self.template, self.number, self.name)

    def handle(self, event: Event) -> None:
        """Give an event to the machine and carry out what it decides."""
        services = self.services
        before = self.life
        life, effects = step(before, event, services.loop.time(), self._rules, services.chance())
        self.life = life
        if life.deadline != before.deadline:
            if life.deadline is None:
                services.deadlines.cancel(self)
            else:
                services.deadlines.set(self, life.deadline, self._due)
        if life.state is not before.state:
            self.changed_at = time.time()
            if life.state is State.RUNNING and not isinstance(event, Adopted):
                services.recorder.write("running", self.name)
            services.changed(self, before)
        for effect in effects:
            self._carry_out(effect)

    def _due(self) -> None:
        self.handle(Due())

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Effect.SPAWN:
                self._spawn()
            case Effect.SEND_STOP:
                self._send_stop()
            case Effect.KILL_GROUP:
                self.services.overdue(self)
                self.kill()

    def _spawn(self) -> None:
        services = self.services
        services.recorder.write("intent", self.name)
        try:
            services.spawner.require_room(services.launches.waiting + len(services.newborns))
            command = self._command()
        except (OSError, SpawnError, GeniiError) as error:
            self.launched(error)
        else:
            services.launches.add(self, command)

    def launch(self, command: Command) -> int | Exception:
        """Make the process; return its pid, or why there is none."""
        try:
            return self._spawn_warm(command) or self.services.spawner.spawn(command)
        except Exception as error:
            return error
        finally:
            if self.program.stdin == "pipe":
                os.close(command.stdin)  # the process keeps it open itself, see _stdin

    def launched(self, result: int | Exception) -> None:
        """Take note of what came of a start: the pid, or why there is no process."""
        services = self.services
        if isinstance(result, Exception):
            services.recorder.write("gone", self.name, None)
            expected = isinstance(result, SpawnError | OSError | GeniiError)
            fatal = isinstance(result, GeniiError) or (isinstance(result, SpawnError) and result.fatal)
            _log.warning("%s: %s", self.name, result, exc_info=None if expected else result)
            self.handle(SpawnFailed(str(result), fatal=fatal))
            return
        services.spawns += 1
        self._birth = 0
        self.started_as = self.template
        self.started_at = time.time()
        self.healthy = None
        self.work = _NOTHING_TOLD
        self.note = ""
        self.group = result
        if not services.newborns:
            services.loop.call_soon(_attend_newborns, services)
        services.newborns.append((self, result))
        self.handle(Spawned(result))

    def _spawn_warm(self, command: Command) -> int:
        """Start it from the program's nursery, where there is one; else return 0."""
        if not self.program.warm or command.sockets:
            return 0
        return self.services.nurseries.spawn(self.program, digest(self.template), command)

    def attend(self, pid: int) -> None:
        """Watch a new process and write it down, after all starts of this moment, which come first.

        Each of them would have to copy the descriptor, and to close it again; and the intent is enough to find the
        process again should we die before the rest is written.
        """
        if self._watched():
            self._record(pid)

    def _record(self, pid: int) -> None:
        """Write down what a later supervisor needs to know this process by."""
        if pid == self.life.pid and self.birth:
            self.services.recorder.write(
                "process", self.name, pid, self.birth, self.digest, self.started_at, self.life.restarts
            )
            if self.running:
                self.services.recorder.write("running", self.name)
        self.services.nurseries.begin(pid)

    @property
    def birth(self) -> int:
        """The start time of its process in clock ticks since boot: with the pid, its identity; 0: it is gone."""
        if not self._birth and self.life.pid:
            with contextlib.suppress(ProcessLookupError):
                self._birth = start_time(self.life.pid)
        return self._birth

    @property
    def digest(self) -> int:
        """The digest of what its last process was started with; 0: it is not known."""
        return self.started_as if isinstance(self.started_as, int) else digest(self.started_as)

    @property
    def current(self) -> bool:
        """Say whether its process runs what is declared now, as far as that is known."""
        return self.started_as is self.template or self.digest in (0, digest(self.template))

    def _watched(self) -> bool:
        """Say whether the main process can be signalled, and its end be noticed; see to it where it was just started.

        Until then it can't be another's: its pid is given back only when we have asked how it ended.
        """
        pid = self.life.pid
        if self._pidfd >= 0 or not pid:
            return self._pidfd >= 0
        try:
            self._pidfd = os.pidfd_open(pid)
        except OSError as error:  # no descriptors left: what can't be watched must not run
            _log.warning("%s: killed, because it can't be watched: %s", self.name, error.strerror)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            self.services.recorder.write("gone", self.name, None)
            self.handle(Exited(-signal.SIGKILL))
            return False
        self.services.poller.add(self._pidfd, self._ended)
        return True

    def _command(self) -> Command:
        """Say what the new process is made from."""
        program = self.program
        command = self.helper_command()
        if self.services.paused(self):
            command.environment[environments.PAUSED] = "1"
        owner = (command.uid, command.gid) if command.uid >= 0 else None
        stdout, stderr = self._streams(owner)
        sockets = self.services.sockets(program)
        listening = program.stdin == "socket"
        return command._replace(
            argv=program.command,
            stdin=sockets[0][1] if listening else self._stdin(owner),
            stdout=stdout,
            stderr=stderr,
            limits=program.limits,
            nice=program.nice,
            oom_score=program.oom_score,
            sockets=() if listening else sockets,
        )

    def _stdin(self, owner: tuple[int, int] | None) -> int:
        """Return what the process is to read: /dev/null, or a pipe, which is the caller's to close.

        The process gets the pipe open for writing too, so that it never sees its end, whatever becomes of us; whoever
        has something to say opens it as ``/proc/PID/fd/0``.
        """
        if self.program.stdin == "null":
            return self.services.null
        reading, writing = os.pipe2(os.O_CLOEXEC)
        os.close(writing)
        try:
            if owner is not None:
                os.fchown(reading, *owner)
            return os.open(f"/proc/self/fd/{reading}", os.O_RDWR | os.O_CLOEXEC)
        finally:
            os.close(reading)

    def helper_command(self) -> Command:
        """Return what a probe or check runs with: user, directory and environment of the program, no output."""
        services, program = self.services, self.program
        account: dict[str, str] = {}
        uid = gid = -1
        groups: tuple[int, ...] | None = None
        if program.user or program.group or program.groups is not None:
            identity = privileges.resolve(program.user, program.group, program.groups)
            account = identity.environment() if program.user else {}
            if (identity.uid, identity.gid) != (os.geteuid(), os.getegid()) or program.groups is not None:
                if os.geteuid() != 0:
                    wanted = f"user {program.user!r}" if program.user else f"group {program.group or program.groups!r}"
                    raise NotAllowed(f"only root can run it as {wanted}; the supervisor's user id is {os.geteuid()}")
                uid, gid, groups = identity.uid, identity.gid, identity.groups
        variables = environments.for_process(
            services.environment,
            program,
            self.name,
            self.number,
            state_dir=services.state_dir,
            notify=services.notify_address,
            account=account,
        )
        return Command(
            argv=(),
            environment=variables,
            stdin=services.null,
            stdout=services.null,
            stderr=services.null,
            directory=program.directory,
            umask=program.umask,
            uid=uid,
            gid=gid,
            groups=groups,
        )

    def _streams(self, owner: tuple[int, int] | None) -> tuple[int, int]:
        """Return the descriptors for stdout and stderr: pipes to the keeper, or /dev/null."""
        logs, output = self.logs, self.services.output
        needed = self.program.ready is not None and self.program.ready.probe.kind is ProbeKind.LINE
        wanted = bool(logs.stdout.path) or needed or output.shown or output.expects(self.name + "/stdout")
        stdout = output.open(self.name + "/stdout", self.name, logs.stdout, owner) if wanted else self.services.null
        if logs.stderr is None:
            return stdout, stdout
        if not (logs.stderr.path or needed or output.shown or output.expects(self.name + "/stderr")):
            return stdout, self.services.null
        return stdout, output.open(self.name + "/stderr", self.name, logs.stderr, owner)

    def relog(self) -> None:
        """Apply changed log settings to the streams that are open."""
        logs = self.logs
        for key, log in (("/stdout", logs.stdout), ("/stderr", logs.stderr)):
            if log is not None and self.services.output.has(self.name + key):
                self.services.output.open(self.name + key, self.name, log)

    def reopen_streams(self) -> None:
        """Find the pipes of an adopted process whose keeper died too, by its own descriptors (proc(5))."""
        output, logs = self.services.output, self.logs
        for number, key, log in ((1, "/stdout", logs.stdout), (2, "/stderr", logs.stderr)):
            if log is None or output.has(self.name + key):
                continue
            try:
                reading = os.open(f"/proc/{self.life.pid}/fd/{number}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError as error:
                _log.warning("%s: its %s can't be found again: %s", self.name, key[1:], error.strerror)
                continue
            if stat.S_ISFIFO(os.fstat(reading).st_mode):
                output.adopt(self.name + key, self.name, log, reading)
            else:
                os.close(reading)

    def forget_streams(self) -> None:
        """Write what is in the pipes and close them; for a slot that is no longer wanted."""
        for key in ("/stdout", "/stderr"):
            self.services.output.drop(self.name + key)

    def _ended(self) -> None:
        """The main process ended: find out how, and whether others of its group are left."""
        ended, status = reap(self._pidfd)
        if not ended:
            return
        self.services.listen()  # what it said last came before its end
        self.services.exits += 1
        self._unwatch()
        left = self.program.stop.group and group_exists(self.group) and self._watch_group()
        if left:
            self.services.recorder.write("left", self.name, self.group)
        else:
            self.services.recorder.write("gone", self.name, status)
        self.handle(Exited(status, group_left=left))

    def _unwatch(self) -> None:
        self.services.poller.remove(self._pidfd)
        os.close(self._pidfd)
        self._pidfd = -1

    def _watch_group(self) -> bool:
        """Watch what is left of the group; say whether anything is."""
        self._members = members = {}
        for pid in group_members(self.group):
            try:
                descriptor = open_process(pid)
            except ProcessLookupError:
                continue
            members[descriptor] = pid
            self.services.poller.add(descriptor, lambda descriptor=descriptor: self._member_ended(descriptor))  # type: ignore[misc]
        return bool(members)

    def _member_ended(self, descriptor: int) -> None:
        self.services.poller.remove(descriptor)
        os.close(descriptor)
        assert self._members is not None
        del self._members[descriptor]
        if not self._members and not self._watch_group():
            self._emptied()

    def _emptied(self) -> None:
        self.services.recorder.write("gone", self.name, None)
        self.handle(Emptied())

    def _send_stop(self) -> None:
        stop = self.program.stop
        number = stop.signal
        if stop.group:
            send_group_signal(self.group, number)
            # A stopped process can't handle its signal; continuing one that runs changes nothing.
            if number not in (signal.SIGKILL, signal.SIGCONT):
                send_group_signal(self.group, signal.SIGCONT)
        elif self._watched():
            send_signal(self._pidfd, number)
            send_signal(self._pidfd, signal.SIGCONT)

    def kill(self) -> None:
        """Send KILL to all that is left of it."""
        if self.program.stop.group or self.program.stop.kill_group:
            send_group_signal(self.group, signal.SIGKILL)
        if self._watched():
            send_signal(self._pidfd, signal.SIGKILL)

    def signal(self, number: int) -> bool:
        """Send a signal to the main process; say whether there was one."""
        return self._watched() and send_signal(self._pidfd, number)

    def pause(self, *, pause: bool = True) -> None:
        """Ask the main process to take no more work, or to take it again (TSTP and CONT, as in job control)."""
        self.signal(signal.SIGTSTP if pause else signal.SIGCONT)

    def ready(self) -> None:
        """Take note that it is ready."""
        if self.life.state is State.STARTING:
            self.handle(BecameReady())

    def fail(self, reason: str) -> None:
        """Replace it: it is not well, or has done its share."""
        _log.warning("%s: %s; it is being replaced", self.name, reason)
        self.handle(Failed(reason))

    def adopt(self, found: Found) -> bool:
        """Take over a living process of an earlier supervisor; say whether it is still there."""
        try:
            self._pidfd = open_living(found.pid, found.start_time)
        except (ProcessLookupError, OSError):
            return False
        self.group, self._birth = found.pid, found.start_time
        self.started_at = found.time
        self.started_as = self.template if found.digest == digest(self.template) else found.digest
        self.services.poller.add(self._pidfd, self._ended)
        self.services.adopt_sockets(self.program, self._pidfd)
        age = max(0.0, time.time() - found.time)
        started = self.services.loop.time() - age
        self.life = self.life._replace(restarts=found.restarts)
        self.handle(Adopted(found.pid, started, running=found.running))
        return True

    def clean_up(self, group: int) -> None:
        """End what is left of the group of a process that ended while nobody watched, before anything is started."""
        self.group = group
        now, stop = self.services.loop.time(), self.program.stop
        reason = "the rest of its group is being stopped"
        self.life = self.life._replace(
            state=State.STOPPING, by_itself=True, since=now, deadline=now + stop.timeout, reason=reason
        )
        self._send_stop()
        self.resume()

    def restore(self, slot: Slot, life: Life) -> None:
        """Become what the slot was in the version before this one; ``resume`` goes on with it.

        Raises:
            ProcessLookupError: its process is not there any more, which can't be while it is our child.
        """
        if life.pid:  # what is our child keeps its pid until we reap it; else it may be another's by now
            self._pidfd = open_process(life.pid, slot.start_time if life.adopted else 0)
        self.life, self.group, self._birth = life, slot.group, slot.start_time
        self.started_as = self.template if slot.current else slot.digest
        self.started_at, self.changed_at = slot.started_at, slot.changed_at
        self.healthy, self.note = slot.healthy, slot.note
        self.work = Told(slot.busy, slot.busy_since, slot.job, slot.jobs_left, slot.paused)

    def resume(self) -> None:
        """Watch what was restored: its process, what is left of its group, its deadline."""
        services = self.services
        if self._pidfd >= 0:
            services.poller.add(self._pidfd, self._ended)
        elif self.life.state is State.STOPPING and not self._watch_group():
            services.loop.call_soon(self._emptied)
        if self.life.deadline is not None:
            services.deadlines.set(self, self.life.deadline, self._due)
