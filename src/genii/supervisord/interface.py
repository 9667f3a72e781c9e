"""The namespace ``supervisor`` of the XML-RPC interface, see http://supervisord.org/api.html.

Each public method is one of the interface; its docstring is what ``system.methodHelp`` answers, and the types in its
signature are what ``system.methodSignature`` answers and callers are held to.
"""

# ruff: noqa: N802, N815 -- the names of the methods are the interface
from __future__ import annotations

import asyncio
import os
import shlex
import time
from typing import TYPE_CHECKING, Any

from genii.config.ini.names import namespec
from genii.config.ini.values import signal_number
from genii.errors import ConfigError, GeniiError
from genii.supervise.model import State
from genii.supervisord.faults import SUCCESS, Fault
from genii.supervisord.logreading import read_log, tail_log
from genii.supervisord.service import AT_REST, STARTED, Mood
from genii.supervisord.stdin import Stdin
from genii.supervisord.version import API_VERSION, PACKAGE_VERSION
from genii.supervisord.view import config_info, process_info
from genii.system.spawn import SpawnError, find_executable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable

    from genii.supervise.process import Process
    from genii.supervisord.service import Service

__all__ = ["Interface"]

_SIGNALLABLE = (State.RUNNING, State.STARTING, State.STOPPING)

Struct = dict[str, Any]


class Interface:
    """The methods of the namespace ``supervisor``."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._supervisor = service.supervisor

    # ------------------------------------------------------------------ supervisord itself

    def getAPIVersion(self) -> str:
        """Return the version of the RPC API."""
        return API_VERSION

    getVersion = getAPIVersion

    def getSupervisorVersion(self) -> str:
        """Return the version of the supervisor package that this behaves like."""
        return PACKAGE_VERSION

    def getIdentification(self) -> str:
        """Return the identifying string of supervisord."""
        return self._service.declaration.daemon.identifier

    def getState(self) -> Struct:
        """Return the current state of supervisord as a struct with int statecode and string statename."""
        return {"statecode": self._service.mood.value, "statename": self._service.mood.name}

    def getPID(self) -> int:
        """Return the PID of supervisord."""
        return os.getpid()

    def readLog(self, offset: int, length: int) -> str:
        """Read length bytes from the main log starting at offset."""
        return read_log(self._main_log(), offset, length)

    readMainLog = readLog

    def clearLog(self) -> bool:
        """Clear the main log."""
        path = self._main_log()
        try:
            os.truncate(path, 0)
        except OSError:
            raise Fault("FAILED") from None
        return True

    def _main_log(self) -> str:
        path = self._service.declaration.daemon.logfile
        if not os.path.isfile(path):
            raise Fault("NO_FILE", path)
        return path

    def shutdown(self) -> bool:
        """Shut down the supervisor process."""
        self._service.shut_down()
        return True

    async def restart(self) -> bool:
        """Restart the supervisor process; a configuration that is broken is refused and nothing is stopped."""
        await self.check_configuration()
        self._service.shut_down(Mood.RESTARTING)
        return True

    async def check_configuration(self) -> None:
        """Refuse a restart that would end in an error."""
        try:
            await self._service.load()
        except GeniiError as error:
            raise Fault("CANT_REREAD", _flat(error)) from None

    # ------------------------------------------------------------------ groups

    async def reloadConfig(self) -> list[list[list[str]]]:
        """Reload the configuration; return [[added, changed, removed]], names of process groups."""
        try:
            added, changed, removed = await self._service.reread()
        except GeniiError as error:
            raise Fault("CANT_REREAD", _flat(error)) from None
        return [[added, changed, removed]]

    def addProcessGroup(self, name: str) -> bool:
        """Update the config for a running process from the config file."""
        if name not in self._service.wanted_declaration.groups:
            raise Fault("BAD_NAME", name)
        if not self._service.add_group(name):
            raise Fault("ALREADY_ADDED", name)
        self._service.make_logs()
        return True

    async def removeProcessGroup(self, name: str) -> bool:
        """Remove a stopped process from the active configuration."""
        if name not in self._service.groups:
            raise Fault("BAD_NAME", name)
        if not await self._service.remove_group(name):
            raise Fault("STILL_RUNNING", name)
        return True

    # ------------------------------------------------------------------ start

    async def startProcess(self, name: str, wait: bool = True) -> bool | list[Struct]:
        """Start a process by name, group:name or group:*."""
        process = self._named(name)
        if process is None:
            return await self.startProcessGroup(name.partition(":")[0], wait)
        self._check_start(process, name)
        self._launch([process])
        await self._started(process, name, wait)
        return True

    async def startProcessGroup(self, name: str, wait: bool = True) -> list[Struct]:
        """Start all processes in the group named 'name'."""
        return await self._start_all(self._group(name), wait)

    async def startAllProcesses(self, wait: bool = True) -> list[Struct]:
        """Start all processes listed in the configuration file."""
        return await self._start_all(self._all(), wait)

    async def _start_all(self, processes: list[Process], wait: bool) -> list[Struct]:
        works: list[tuple[Process, Awaitable[None]]] = []
        fit: list[Process] = []
        for process in processes:
            if process.state in STARTED:
                continue
            try:
                self._check_start(process, process.name)
            except Fault as fault:
                works.append((process, _refused(fault)))
                continue
            works.append((process, self._started(process, process.name, wait)))
            fit.append(process)
        self._launch(fit)
        return await self._results(works)

    def _launch(self, processes: list[Process]) -> None:
        """Start processes, all of one request in one go; one that is being stopped is left to it."""
        idle = [process for process in processes if process.state is not State.STOPPING]
        for process in idle:
            self._supervisor.actions.want(process, wanted=True)
        self._supervisor.launch(idle)

    def _check_start(self, process: Process, name: str) -> None:
        """Refuse a start that makes no sense, as supervisord does, with nothing changed."""
        program = process.program
        try:
            shlex.split(self._service.members[process.name].command)
        except ValueError:
            raise Fault("NOT_EXECUTABLE", f"can't parse command {program.command[0]!r}") from None
        environment = {**self._supervisor.services.environment, **program.environment}
        try:
            find_executable(program.command[0], environment, program.directory)
        except SpawnError as error:
            kind, _, what = str(error).partition(": ")
            if kind == "command not found":
                raise Fault("NO_FILE", f"can't find command {what.partition(' (PATH=')[0]!r}") from None
            raise Fault("NOT_EXECUTABLE", f"command at {what!r} is not executable") from None
        if process.state in STARTED:
            raise Fault("ALREADY_STARTED", name)

    async def _started(self, process: Process, name: str, wait: bool) -> None:
        past = self._service.past(process.name)
        while process.state is not State.RUNNING:
            if past.spawn_error:
                raise Fault("SPAWN_ERROR", name)
            if not wait:
                return
            if process.state is not State.STARTING:
                raise Fault("ABNORMAL_TERMINATION", name)
            await self._service.change(process.name)

    # ------------------------------------------------------------------ stop

    async def stopProcess(self, name: str, wait: bool = True) -> bool | list[Struct]:
        """Stop a process by name, group:name or group:*."""
        process = self._named(name)
        if process is None:
            return await self.stopProcessGroup(name.partition(":")[0], wait)
        if process.state not in STARTED and not process.life.pauses:
            raise Fault("NOT_RUNNING", name)
        self._halt([process])
        await self._stopped(process, wait)
        return True

    async def stopProcessGroup(self, name: str, wait: bool = True) -> list[Struct]:
        """Stop all processes in the process group named 'name'."""
        return await self._stop_all(self._group(name), wait)

    async def stopAllProcesses(self, wait: bool = True) -> list[Struct]:
        """Stop all processes in the process list."""
        return await self._stop_all(self._all(), wait)

    async def _stop_all(self, processes: list[Process], wait: bool) -> list[Struct]:
        started = [process for process in processes if process.state in STARTED or process.life.pauses]
        self._halt(started)
        return await self._results((process, self._stopped(process, wait)) for process in started)

    def _halt(self, processes: list[Process]) -> None:
        """Ask processes to end, all of one request in one go."""
        for process in processes:
            self._supervisor.actions.want(process, wanted=False)
        self._supervisor.ordering.stop(processes)

    async def _stopped(self, process: Process, wait: bool) -> None:
        while wait and process.state not in AT_REST:
            await self._service.change(process.name)

    # ------------------------------------------------------------------ signals and input

    async def signalProcess(self, name: str, signal: str) -> bool | list[Struct]:
        """Send a UNIX signal, as name ('HUP') or number ('1'), to a process by name, group:name or group:*."""
        process = self._named(name)
        if process is None:
            return await self.signalProcessGroup(name.partition(":")[0], signal)
        number = self._signal(signal)
        if process.state not in _SIGNALLABLE or not process.signal(number):
            raise Fault("NOT_RUNNING", name)
        return True

    async def signalProcessGroup(self, name: str, signal: str) -> list[Struct]:
        """Send a signal to all processes in the group named 'name'."""
        return await self._signal_all(self._group(name), signal)

    async def signalAllProcesses(self, signal: str) -> list[Struct]:
        """Send a signal to all processes in the process list."""
        return await self._signal_all(self._all(), signal)

    async def _signal_all(self, processes: list[Process], signal: str) -> list[Struct]:
        async def one(process: Process) -> None:
            await self.signalProcess(process.name, signal)

        living = [process for process in processes if process.state in _SIGNALLABLE]
        return await self._results((process, one(process)) for process in living)

    def _signal(self, text: str) -> int:
        try:
            return signal_number(text)
        except ValueError:
            raise Fault("BAD_SIGNAL", text) from None

    def sendProcessStdin(self, name: str, chars: str) -> bool:
        """Send a string of chars, as UTF-8, to the stdin of the process name."""
        process = self._one(name)
        if not process.life.pid or process.state is State.STOPPING:
            raise Fault("NOT_RUNNING", name)
        if self._service.listeners.is_listener(process.name):
            raise Fault("NO_FILE", name)
        try:
            stdin = Stdin(self._supervisor.loop, process.life.pid)
        except OSError:
            raise Fault("NO_FILE", name) from None
        try:
            stdin.write_now(chars.encode("utf-8", "replace"))
        except OSError:
            raise Fault("FAILED", name) from None
        finally:
            stdin.close()
        return True

    def sendRemoteCommEvent(self, type: str, data: str) -> bool:  # noqa: A002 -- the name that it has there
        """Send an event that listeners receive which subscribe to REMOTE_COMMUNICATION."""
        self._service.notify("REMOTE_COMMUNICATION", f"type:{type}\n{data}")
        return True

    # ------------------------------------------------------------------ information

    def getAllConfigInfo(self) -> list[Struct]:
        """Get info about all available process configurations, one struct for each process."""
        service = self._service
        declaration = service.wanted_declaration
        found = [
            config_info(
                group, declaration.members[name], service.wanted.programs[name], in_use=group.name in service.groups
            )
            for group in declaration.groups.values()
            for name in group.members
        ]
        return sorted(found, key=lambda info: str(info["name"]))

    def getProcessInfo(self, name: str) -> Struct:
        """Get info about a process named name."""
        return self._info(self._one(name), time.time())

    def getAllProcessInfo(self) -> list[Struct]:
        """Get info about all processes."""
        service, now = self._service, time.time()
        order = sorted(
            (group.name, service.members[name].name, name)
            for group in service.groups.values()
            for name in group.members
        )
        return [self._info(slot, now) for _, _, name in order for slot in service.slots(name)]

    def _info(self, process: Process, now: float) -> Struct:
        service, name = self._service, process.name
        logs = (service.log_file(name, "stdout"), service.log_file(name, "stderr"))
        return process_info(process, service.members[name], service.past(name), logs, now, self._supervisor.loop.time())

    # ------------------------------------------------------------------ logs

    def readProcessStdoutLog(self, name: str, offset: int, length: int) -> str:
        """Read length bytes from name's stdout log starting at offset."""
        return self._read(name, offset, length, "stdout")

    readProcessLog = readProcessStdoutLog

    def readProcessStderrLog(self, name: str, offset: int, length: int) -> str:
        """Read length bytes from name's stderr log starting at offset."""
        return self._read(name, offset, length, "stderr")

    def tailProcessStdoutLog(self, name: str, offset: int, length: int) -> list[Any]:
        """Read the end of name's stdout log; return [string bytes, int offset, bool overflow]."""
        return self._tail(name, offset, length, "stdout")

    tailProcessLog = tailProcessStdoutLog

    def tailProcessStderrLog(self, name: str, offset: int, length: int) -> list[Any]:
        """Read the end of name's stderr log; return [string bytes, int offset, bool overflow]."""
        return self._tail(name, offset, length, "stderr")

    def clearProcessLogs(self, name: str) -> bool:
        """Clear the stdout and stderr logs for the named process and reopen them."""
        self._service.clear_logs(self._one(name).name)
        return True

    clearProcessLog = clearProcessLogs

    async def clearAllProcessLogs(self) -> list[Struct]:
        """Clear all process log files."""

        async def one(process: Process) -> None:
            self._service.clear_logs(process.name)

        return await self._results((process, one(process)) for process in self._all())

    def _read(self, name: str, offset: int, length: int, channel: str) -> str:
        path = self._service.log_file(self._one(name).name, channel)
        if not path or not os.path.exists(path):
            raise Fault("NO_FILE", path)
        return read_log(path, offset, length)

    def _tail(self, name: str, offset: int, length: int, channel: str) -> list[Any]:
        path = self._service.log_file(self._one(name).name, channel)
        if not path or not os.path.exists(path):
            return ["", 0, False]
        return list(tail_log(path, offset, length))

    # ------------------------------------------------------------------ names and results

    def _named(self, name: str) -> Process | None:
        """Return the process of a name; None: all of a group are meant."""
        group, colon, process = name.partition(":")
        if colon and process in ("", "*"):
            self._group(group)
            return None
        called = namespec(group, process if colon else group)
        slots = self._service.slots(called) if called in self._service.members else []
        if not slots:
            raise Fault("BAD_NAME", name)
        return slots[0]

    def _one(self, name: str) -> Process:
        process = self._named(name)
        if process is None:
            raise Fault("BAD_NAME", name)
        return process

    def _group(self, name: str) -> list[Process]:
        """Return the processes of a group, in the order of their priorities."""
        group = self._service.groups.get(name)
        if group is None:
            raise Fault("BAD_NAME", name)
        members = self._service.members
        order = sorted(group.members, key=lambda one: (members[one].priority, members[one].name))
        return [slot for one in order for slot in self._service.slots(one)]

    def _all(self) -> list[Process]:
        """Return all processes, in the order of their groups' priorities."""
        groups = sorted(self._service.groups.values(), key=lambda group: (group.priority, group.name))
        return [process for group in groups for process in self._group(group.name)]

    async def _results(self, works: Iterable[tuple[Process, Awaitable[None]]]) -> list[Struct]:
        """Carry out one work for each process, all at once; return what became of each, as they are done."""
        results: list[Struct] = []

        async def one(process: Process, work: Awaitable[None]) -> None:
            member = self._service.members[process.name]
            result: Struct = {"name": member.name, "group": member.group, "status": SUCCESS, "description": "OK"}
            try:
                await work
            except Fault as fault:
                result |= {"status": fault.number, "description": fault.text}
            results.append(result)

        outcomes = await asyncio.gather(*(one(*pair) for pair in works), return_exceptions=True)
        for outcome in outcomes:
            if outcome is not None:
                raise outcome
        return results


async def _refused(fault: Fault) -> None:
    raise fault


def _flat(error: GeniiError) -> str:
    """Return an error on one line, as clients show it on one."""
    problems = error.problems if isinstance(error, ConfigError) else (error,)
    return "; ".join(str(problem) for problem in problems)
