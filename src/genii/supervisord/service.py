"""supervisord's view of a running supervisor: groups, moods, what is logged and told to listeners, begin and end."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from contextlib import suppress
from enum import Enum
from typing import TYPE_CHECKING, Any

import msgspec

from genii.config.ini.declaration import decode
from genii.supervise.model import State
from genii.supervisord.listeners import Listeners
from genii.supervisord.past import Past
from genii.supervisord.streams import OutputStream, Syslog, needs_data
from genii.supervisord.transitions import TOO_QUICK, Ending, ended_line, passed, spawn_error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from genii.config.ini.declaration import Declaration, Group, Member
    from genii.supervise.model import Settings
    from genii.supervise.process import Process
    from genii.supervise.report import Event
    from genii.supervise.supervisor import Supervisor

__all__ = ["Mood", "Service"]

_log = logging.getLogger("genii.supervisord")
STARTED = (State.STARTING, State.RUNNING, State.BACKOFF)
"""States in which a process counts as started."""
AT_REST = (State.STOPPED, State.EXITED, State.FATAL, State.UNKNOWN)


class Mood(Enum):
    """The states of supervisord itself, with their numbers."""

    FATAL = 2
    RUNNING = 1
    RESTARTING = 0
    SHUTDOWN = -1


class Service:
    """The groups of one supervisor, and all that supervisord does with them."""

    def __init__(self, supervisor: Supervisor, load: Callable[[], Awaitable[Settings]]) -> None:
        """Take the groups in, before the supervisor runs; ``load`` reads the configuration anew."""
        self.supervisor = supervisor
        self.loop = supervisor.loop
        self.load = load
        self.declaration: Declaration = decode(supervisor.settings.supervisord)
        self.wanted: Settings = supervisor.settings
        """The configuration as it was read last; what runs is changed group by group."""
        self.wanted_declaration = self.declaration
        self.mood = Mood.RUNNING
        self.groups: dict[str, Group] = {}
        self.members: dict[str, Member] = {}
        self.syslog = Syslog()
        self.listeners = Listeners(self.loop, self.declaration.daemon.identifier, supervisor.slots.get)
        self._pasts: dict[str, Past] = {}
        self._streams: dict[str, list[OutputStream]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        supervisor.subscribe(self._receive)
        for group in self.declaration.groups.values():
            self._take_in(group, self.declaration)
        self.notify("SUPERVISOR_STATE_CHANGE_RUNNING", "")

    # ------------------------------------------------------------------ groups

    def _take_in(self, group: Group, declaration: Declaration) -> None:
        self.groups[group.name] = group
        for name in group.members:
            self.members[name] = declaration.members[name]
        if group.kind == "eventlistener":
            self.listeners.add(group)
        for name in group.members:
            self._expect(name, self.members[name])
        self.notify("PROCESS_GROUP_ADDED", f"groupname:{group.name}\n")

    def _let_go(self, group: Group) -> None:
        del self.groups[group.name]
        output = self.supervisor.services.output
        for name in group.members:
            for channel in ("stdout", "stderr"):
                output.expect(f"{name}/{channel}", None)
            self.members.pop(name, None)
            self._pasts.pop(name, None)
            self._streams.pop(name, None)
        self.listeners.remove(group.name)
        self.notify("PROCESS_GROUP_REMOVED", f"groupname:{group.name}\n")

    def _expect(self, name: str, member: Member) -> None:
        """Ask the keeper for the output that is needed here."""
        output = self.supervisor.services.output
        listens = self.listeners.is_listener(name)
        for channel in ("stdout", "stderr"):
            answers = listens and channel == "stdout"
            if not answers and not needs_data(getattr(member, channel)):
                continue
            stream = OutputStream(self, name, member, channel)
            self._streams.setdefault(name, []).append(stream)
            receive = self._answers(name, stream) if answers else stream.received
            output.expect(f"{name}/{channel}", receive)

    def _answers(self, name: str, stream: OutputStream) -> Callable[[bytes], None]:
        """Return what takes in the output of a listener: the protocol, and whatever else is wanted of it."""

        def received(data: bytes) -> None:
            self.listeners.received(name, data)
            stream.received(data)

        return received

    def add_group(self, name: str) -> bool:
        """Add a group as it was read last and start what starts by itself; say whether it was not there yet."""
        if name in self.groups:
            return False
        group = self.wanted_declaration.groups[name]
        supervisor = self.supervisor
        fresh = {member: self.wanted.programs[member] for member in group.members}
        programs = {**supervisor.settings.programs, **fresh}
        supervisor.settings = msgspec.structs.replace(supervisor.settings, programs=programs)
        self._take_in(group, self.wanted_declaration)
        for program in fresh.values():
            supervisor.slots.define(program)
        supervisor.services.recorder.begin(supervisor.memory)
        supervisor.launch(
            [slot for program in fresh.values() if program.autostart for slot in self.slots(program.name)]
        )
        return True

    def slots(self, program: str) -> list[Process]:
        """Return the slots of a program."""
        return self.supervisor.slots.of(program)

    async def remove_group(self, name: str) -> bool:
        """Remove a group; say whether all of it had ended."""
        group = self.groups[name]
        supervisor = self.supervisor
        processes = [slot for member in group.members for slot in self.slots(member)]
        if any(process.state not in AT_REST for process in processes):
            return False
        await supervisor.actions.remove(processes)
        for member in group.members:
            supervisor.slots.remove_program(member)
        programs = {key: value for key, value in supervisor.settings.programs.items() if key not in group.members}
        supervisor.settings = msgspec.structs.replace(supervisor.settings, programs=programs)
        supervisor.sockets.keep_only({spec.url for program in programs.values() for spec in program.sockets})
        supervisor.services.recorder.begin(supervisor.memory)
        self._let_go(group)
        return True

    async def reread(self) -> tuple[list[str], list[str], list[str]]:
        """Read the configuration anew; return the names of groups that are new, changed and gone.

        Raises:
            GeniiError: it is broken; nothing was changed.
        """
        self.wanted = await self.load()
        self.wanted_declaration = declaration = decode(self.wanted.supervisord)
        added = [name for name in declaration.groups if name not in self.groups]
        removed = [name for name in self.groups if name not in declaration.groups]
        changed = [name for name in declaration.groups if name in self.groups and self._differs(name)]
        return added, changed, removed

    def _differs(self, name: str) -> bool:
        """Say whether a group is declared otherwise than it runs."""
        wanted, group = self.wanted_declaration.groups[name], self.groups[name]
        if wanted != group:
            return True
        return any(
            self.wanted.programs[member] != self.supervisor.settings.programs.get(member)
            or self.wanted_declaration.members[member] != self.members.get(member)
            for member in group.members
        )

    def _updated(self) -> None:
        """Follow an update that somebody made by genii's own means."""
        declaration = decode(self.supervisor.settings.supervisord)
        for group in list(self.groups.values()):
            if declaration.groups.get(group.name) != group:
                self._let_go(group)
        self.declaration = self.wanted_declaration = declaration
        self.wanted = self.supervisor.settings
        for group in declaration.groups.values():
            if group.name not in self.groups:
                self._take_in(group, declaration)

    # ------------------------------------------------------------------ another version of this

    def effective(self) -> str:
        """Return the declaration of what runs, as it is in ``Settings.supervisord``."""
        declaration = msgspec.structs.replace(self.declaration, groups=self.groups, members=self.members)
        return msgspec.json.encode(declaration).decode()

    def memory(self) -> dict[str, Any]:
        """Return what another version of this has to know besides the state of the supervisor."""
        pasts = {
            name: [past.stopped, past.spawn_error, past.exit_status, past.tries, past.announced]
            for name, past in self._pasts.items()
        }
        streams = {name: [stream.unfinished() for stream in streams] for name, streams in self._streams.items()}
        return {"pasts": pasts, "streams": streams, "listeners": self.listeners.memory()}

    def restore(self, memory: dict[str, Any]) -> None:
        """Go on with what another version knew."""
        self._pasts = {name: Past(*known) for name, known in memory["pasts"].items()}
        for name, known in memory["streams"].items():
            for stream, unfinished in zip(self._streams.get(name, ()), known, strict=False):
                stream.restore(unfinished)
        self.listeners.restore(memory["listeners"])

    # ------------------------------------------------------------------ what happens

    def past(self, name: str) -> Past:
        """Return what is known of a process's past."""
        found = self._pasts.get(name)
        if found is None:
            found = self._pasts[name] = Past()
        return found

    async def change(self, name: str) -> None:
        """Wait until the state of a process changes."""
        future = self.loop.create_future()
        self.past(name).waiting.append(future)
        await future

    def notify(self, event: str, payload: str) -> None:
        """Tell the listeners that something happened."""
        self.listeners.notify(event, payload)

    def _receive(self, event: Event) -> None:
        if event.kind == "supervisor.updated":
            self._updated()
        if event.name not in self.members:
            return
        if event.kind == "process.overdue":
            _log.warning("killing '%s' (%s) with SIGKILL", self.members[event.name].name, event.data["pid"])
        if event.kind != "process.state":
            return
        process = self.supervisor.slots.get(event.name)
        if process is None:
            return
        before, after = State[str(event.data["before"])], State[str(event.data["state"])]
        for state in passed(before, after):
            self._enter(process, before, state)
            before = state
        self.past(event.name).wake()

    def _enter(self, process: Process, before: State, state: State) -> None:
        """Do what supervisord does when a process enters a state."""
        name, past, member = process.name, self.past(process.name), self.members[process.name]
        extra = ""
        match state:
            case State.STARTING:
                past.spawn_error, past.exit_status = "", 0
                extra = f" tries:{past.tries}"
                if self.listeners.is_listener(name):
                    self.listeners.started(name)
                self.loop.call_soon(self._spawned, process)
            case State.RUNNING:
                self._ran(process, past, member)
            case State.BACKOFF:
                self._failed(process, past, member)
                extra = f" tries:{past.tries}"
            case State.STOPPING:
                _log.info("waiting for %s to stop", member.name)
            case State.EXITED | State.STOPPED:
                if before is not State.BACKOFF:
                    expected = self._ended(process, past, before, state)
                    extra = f" expected:{int(expected)}" if state is State.EXITED else ""
            case State.FATAL:
                past.tries = 0
                _log.info("gave up: %s entered FATAL state, too many start retries too quickly", member.name)
            case _:
                pass
        if state in (State.RUNNING, State.STOPPING, State.STOPPED, State.EXITED):
            extra += f" pid:{past.announced}"
        if self.listeners.wanted(f"PROCESS_STATE_{state.name}"):
            origin = State.RUNNING if state is State.EXITED else before
            payload = f"processname:{member.name} groupname:{member.group} from_state:{origin.name}{extra}"
            self.notify(f"PROCESS_STATE_{state.name}", payload)

    def _spawned(self, process: Process) -> None:
        """Log a start, once the pid is known."""
        past, pid = self.past(process.name), process.life.pid
        if pid and pid != past.announced:
            past.announced = pid
            word = "adopted" if process.life.adopted else "spawned"
            _log.info("%s: '%s' with pid %d", word, self.members[process.name].name, pid)

    def _ran(self, process: Process, past: Past, member: Member) -> None:
        self._spawned(process)
        past.tries = 0
        seconds = int(process.program.startsecs)
        _log.info(
            "success: %s entered RUNNING state, process has stayed up for > than %d seconds (startsecs)",
            member.name,
            seconds,
        )
        if self.listeners.is_listener(process.name):
            self.listeners.running(process.name)

    def _failed(self, process: Process, past: Past, member: Member) -> None:
        """Take note of a start that failed."""
        life = process.life
        past.tries += 1
        reason = life.reason.rpartition("failed starts: ")[2]
        if reason.endswith("before it was running"):
            past.spawn_error = TOO_QUICK
            _log.warning("%s", ended_line(member.name, State.STARTING, Ending(life.status, expected=False)))
            self._gone(process, past)
        else:
            past.spawn_error = spawn_error(reason)
            _log.info("spawnerr: %s", past.spawn_error)

    def _ended(self, process: Process, past: Past, before: State, state: State) -> bool:
        """Take note of the end of a process; say whether it was expected."""
        life = process.life
        ending = Ending(life.status, expected=life.status in process.template.exit_codes)
        past.exit_status = ending.exit_status
        if state is State.EXITED and not ending.expected:
            past.spawn_error = f"Bad exit code {ending.exit_status}"
        level = logging.INFO if ending.expected else logging.WARNING
        origin = State.STOPPING if state is State.STOPPED else before
        _log.log(level, "%s", ended_line(self.members[process.name].name, origin, ending))
        self._gone(process, past)
        return ending.expected

    def _gone(self, process: Process, past: Past) -> None:
        past.stopped = time.time()
        # What it wrote last may still be in its pipe.
        for stream in self._streams.get(process.name, ()):
            self.supervisor.services.output.when_written(stream.ended)
        if self.listeners.is_listener(process.name):
            self.listeners.ended(process.name)

    # ------------------------------------------------------------------ logs

    def log_file(self, name: str, channel: str) -> str:
        """Return the path of a process's log; empty: there is none."""
        stream = getattr(self.members[name], channel)
        if stream.log is not None:
            return str(stream.log.path)
        logs = self.supervisor.settings.programs[name].logs
        log = logs.stdout if channel == "stdout" else logs.stderr
        return log.path if log is not None else ""

    def clear_logs(self, name: str) -> None:
        """Throw the logs of a process away; only files, never a device such as /dev/stdout."""
        output = self.supervisor.services.output
        for stream in self._streams.get(name, ()):
            stream.clear()
        for channel in ("stdout", "stderr"):
            path, key = self.log_file(name, channel), f"{name}/{channel}"
            if not path or not os.path.isfile(path):
                continue
            if output.has(key):
                output.clear(key)
            else:
                with suppress(FileNotFoundError):
                    os.truncate(path, 0)

    def make_logs(self) -> None:
        """Make the logs that are not there yet: clients want to read them before anything is written."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        for name, member in self.members.items():
            for channel in ("stdout", "stderr"):
                path = self.log_file(name, channel)
                if path and not os.path.exists(path):
                    with suppress(OSError):
                        os.close(os.open(path, flags, 0o600 if getattr(member, channel).auto else 0o666))

    def reopen(self) -> None:
        """Open all logs anew."""
        for streams in self._streams.values():
            for stream in streams:
                stream.reopen()

    # ------------------------------------------------------------------ the end

    def spawn(self, work: Awaitable[None]) -> None:
        """Let something run beside."""
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def shut_down(self, mood: Mood = Mood.SHUTDOWN) -> None:
        """Begin to stop everything."""
        if self.mood is Mood.RUNNING:
            self.mood = mood
            self.spawn(self._stop_everything())

    async def _stop_everything(self) -> None:
        """Stop all groups, those of the highest priority number first, each rank before the next."""
        self.notify("SUPERVISOR_STATE_CHANGE_STOPPING", "")
        ranks = sorted({group.priority for group in self.groups.values()}, reverse=True)
        for rank in ranks:
            names = [name for group in self.groups.values() if group.priority == rank for name in group.members]
            processes = [slot for name in names for slot in self.slots(name)]
            living = [self.members[one.name].name for one in processes if one.state not in AT_REST]
            if living:
                _log.info("waiting for %s to die", ", ".join(living))
            self.supervisor.ordering.stop(processes)
            for process in processes:
                while process.state not in AT_REST:
                    await self.change(process.name)
        await self.supervisor.shutdown()

    def close(self) -> None:
        """Let go of everything."""
        self.listeners.close()
        self.syslog.close()
