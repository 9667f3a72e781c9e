"""The supervisor as a process: its log, signals, control API, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING

from genii.control import loader
from genii.control.answer import answer
from genii.control.looperrors import LoopErrors
from genii.control.ownlog import OwnLog, TerminalLog
from genii.control.server import ControlServer
from genii.errors import GeniiError, NotAllowed, UnknownProgram
from genii.supervise.model import State
from genii.supervise.probes import run_command
from genii.supervise.supervisor import Supervisor
from genii.system.memory import release_startup_memory
from genii.system.notify import notify
from genii.system.spawn import Command
from genii.units import format_count
from genii.version import __version__

if TYPE_CHECKING:
    from genii.control.claim import Claim
    from genii.control.inheritance import Inheritance
    from genii.control.options import Options
    from genii.control.upgrade import Upgrade
    from genii.gearman.queue_depth import QueueDepth
    from genii.supervise.model import Settings
    from genii.supervise.origin import Origin
    from genii.supervise.report import Event
    from genii.supervisord.runtime import Runtime

__all__ = ["BEGIN_AGAIN", "run"]

_log = logging.getLogger("genii")
BEGIN_AGAIN = -1
"""Instead of an exit code: the process is to execute itself anew."""
_SETTLED = 2.0
"""Seconds after which what only the start of programs needs is given back."""
_FORWARDED = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH)


def run(
    settings: Settings,
    options: Options,
    path: str,
    keeper: tuple[int, int],
    claim: Claim,
    inheritance: Inheritance | None = None,
) -> int:
    """Run a supervisor to its end; return the exit code of the process.

    ``path`` is where a process that reads the configuration finds its modules, ``keeper`` link and pid of the keeper,
    ``inheritance`` what another version has left.
    """
    log = _open_log(settings, options)
    link = (socket.socket(fileno=keeper[0]), keeper[1])
    with asyncio.Runner() as runner:
        return runner.run(_Daemon(settings, options, path, link, log, claim).run(inheritance))


def _open_log(settings: Settings, options: Options) -> OwnLog | None:
    # What no line of ours shows costs half of the time that a line takes (see "Optimization" in logging's manual).
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None
    if settings.supervisord and settings.log is not None:  # there the umask alone says who may read it
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK
        with contextlib.suppress(OSError):
            os.close(os.open(settings.log.path, flags, 0o666))
    own = OwnLog(settings) if not options.foreground or settings.log is not None else None
    handler = own or TerminalLog(2)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s" if own else "genii | %(message)s"))
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler])
    return own


def _sockets(descriptors: list[int]) -> list[socket.socket]:
    return [socket.socket(fileno=descriptor) for descriptor in descriptors]


class _Daemon:
    """A supervisor with its signals and its API."""

    def __init__(
        self,
        settings: Settings,
        options: Options,
        path: str,
        keeper: tuple[socket.socket, int],
        log: OwnLog | None,
        claim: Claim,
    ) -> None:
        self._path = path
        self._claim = claim
        self._settings = settings
        self._options = options
        self._keeper = keeper
        self._own_log = log
        self._status = 0
        self._upgrading = False
        self._supervisord: Runtime | None = None
        self._tasks: set[asyncio.Task[object]] = set()

    async def run(self, inheritance: Inheritance | None) -> int:
        """Run until everything has ended; return the exit code."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(LoopErrors().handle)
        if inheritance is None:
            self._supervisor = Supervisor(self._settings, self._load, self._keeper, loop)
            await self._begin()
        else:
            await self._take_over(inheritance)
        return await self._go_on()

    def _prepare(self) -> None:
        """Put everything round the supervisor that does not depend on where it comes from."""
        supervisor, options = self._supervisor, self._options
        supervisor.elastic.demand.make_queues = _queue_depth
        if self._settings.supervisord:
            from genii.supervisord.runtime import Runtime

            self._supervisord = Runtime(supervisor, self._load, echo=options.echo)
        self._catch_signals(supervisor.loop)
        unknown = set(options.exit_on_fatal) - self._settings.programs.keys()
        if unknown:
            raise UnknownProgram(f"--exit-on-fatal: there is no program {min(unknown)!r}")
        if options.exit_on_fatal:
            supervisor.subscribe(self._watch_fatal)
        self._server = ControlServer(supervisor, options.front)
        supervisor.upgrader = self._upgrade

    def _show(self) -> None:
        """Show lines of programs in the foreground."""
        if self._options.foreground and self._options.show:
            programs = self._settings.programs.values()
            names = [name for program in programs for name in program.process_names()]
            self._supervisor.services.output.show_on(1, names, color=self._options.color)

    async def _begin(self) -> None:
        """Begin as a new supervisor."""
        self._prepare()
        self._show()
        supervisor, server = self._supervisor, self._server
        try:
            # First what may fail, while the programs of a dead supervisor are still left alone.
            await server.open(os.path.join(self._settings.state_dir, "genii.sock"))
            if self._supervisord:
                await self._supervisord.open()
            supervisor.run(self._options.names)
        except BaseException:
            await supervisor.shutdown()
            supervisor.close()
            raise
        # Nobody is told of programs that are still to be told to start.
        await server.start_serving()
        if self._supervisord:
            await self._supervisord.start_serving()
        self._spawn(self._report())

    async def _take_over(self, inheritance: Inheritance) -> None:
        """Go on as another version that executed this one; until nothing can fail any more, that can be undone."""
        from genii.control.inheritance import SIGNALS
        from genii.supervise import succession

        handover = inheritance.handover
        try:
            link = (socket.socket(fileno=handover.keeper), handover.keeper_pid)
            loop = asyncio.get_running_loop()
            self._supervisor = supervisor = Supervisor(self._settings, self._load, link, loop, notify=handover.notify)
            succession.restore(supervisor, handover)
            self._prepare()
            if self._supervisord:
                self._supervisord.restore(handover.supervisord)
        except Exception as error:
            inheritance.go_back(error)
        inheritance.accept()
        listener = (
            os.path.join(self._settings.state_dir, "keeper.sock"),
            socket.socket(fileno=handover.keeper_listener),
        )
        supervisor.services.output.renew(*self._keeper, listener)
        self._show()
        succession.begin(supervisor, handover)
        path = os.path.join(self._settings.state_dir, "genii.sock")
        released = {name: (_sockets(first), _sockets(second)) for name, (first, second) in handover.servers.items()}
        await self._server.serve(path, released, handover.history)
        if self._supervisord:
            await self._supervisord.serve(released)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        silent = 1000 * (time.monotonic() - handover.silent_at)
        if inheritance.failure:
            supervisor.upgrade_failure = inheritance.failure
            supervisor.upgrades -= 1
            _log.error("not upgraded: %s; genii %s goes on", inheritance.failure, __version__)
        else:
            _log.warning("upgraded from %s to %s, silent for %.0f ms", inheritance.version, __version__, silent)
        supervisor.emit("supervisor.upgraded", version=__version__, before=inheritance.version, silent=silent / 1000)

    async def _go_on(self) -> int:
        """Run until everything has ended; return the exit code."""
        supervisor, loop = self._supervisor, self._supervisor.loop
        with contextlib.suppress(OSError):  # no descriptors left, say: not worth more than the memory
            release_startup_memory()
        gc.freeze()
        gc.enable()
        loop.call_later(_SETTLED, release_startup_memory)
        notify("READY=1\nSTATUS=running")
        _log.info("genii %s runs %s (pid %d)", supervisor.status().version, self._settings.path, os.getpid())
        await supervisor.ended
        notify("STOPPING=1")
        await self._server.close()
        if self._supervisord:
            await self._supervisord.close()
        supervisor.close()
        _log.info("all programs have ended")
        return BEGIN_AGAIN if self._supervisord and self._supervisord.begins_again else self._status

    async def _load(self) -> Settings:
        """Have the configuration read by a process of its own."""
        command = Command(
            argv=(sys.executable, "-I", "-S", loader.__file__, self._options.config),
            environment={**os.environ, "GENII_SYS_PATH": self._path},
            stdin=self._supervisor.services.null,
            stdout=-1,
            stderr=-1,
        )
        _, output = await run_command(self._supervisor.services.spawner, command, limit=1 << 30)
        return loader.decode(output)

    def _spawn(self, work: object) -> None:
        task = asyncio.ensure_future(work)  # type: ignore[call-overload]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _report(self) -> None:
        """Tell ``genii up -d`` that the supervisor is up; with ``wait`` when its programs run or have failed."""
        if self._options.report < 0:
            return
        supervisor, failed = self._supervisor, []
        if self._options.wait:
            results = await supervisor.actions.await_started(supervisor.first)
            failed = [f"genii: {result.name}: {result.message}" for result in results if not result.ok]
        up = f"genii: up (pid {os.getpid()}), {format_count(len(supervisor.slots), 'process')}"
        answer(self._options, 1 if failed else 0, "\n".join([up, *failed]))
        os.close(self._options.report)

    def _catch_signals(self, loop: asyncio.AbstractEventLoop) -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            loop.add_signal_handler(number, self._end, number)
        if os.getpid() == 1:
            loop.add_signal_handler(signal.SIGCHLD, self._supervisor.reap_orphans)
            for number in _FORWARDED:
                loop.add_signal_handler(number, self._forward, number)
            return
        again = self._supervisord.hang_up if self._supervisord else self._update
        loop.add_signal_handler(signal.SIGHUP, lambda: self._spawn(again()))
        if self._supervisord:
            loop.add_signal_handler(signal.SIGUSR2, self._reopen)
        else:  # as nginx has them
            loop.add_signal_handler(signal.SIGUSR1, self._reopen)
            loop.add_signal_handler(signal.SIGUSR2, lambda: self._spawn(self._upgrade_by_signal()))
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)

    def _end(self, number: int = signal.SIGTERM) -> None:
        """Stop everything; at the second signal at once."""
        if self._supervisor.stopping or (self._supervisord and self._supervisord.stopping):
            _log.warning("a second signal: killing what still runs")
            self._supervisor.kill_everything()
        elif self._supervisord:
            self._supervisord.end(number)
        else:
            self._spawn(self._supervisor.shutdown())

    def _forward(self, number: int) -> None:
        """Pass a signal on to all programs: as PID 1 of a container we stand for them."""
        for process in self._supervisor.slots:
            process.signal(number)

    def _reopen(self) -> None:
        self._supervisor.services.output.reopen()
        if self._supervisord:
            self._supervisord.reopen()
        if self._own_log:
            self._own_log.reopen()

    async def _update(self) -> None:
        try:
            await self._supervisor.update()
        except GeniiError as error:
            _log.error("not updated:\n%s", error)

    async def _upgrade(self, origin: Origin | None) -> str:
        """Prepare an upgrade and have it done as soon as this has been answered; return the version that comes.

        Raises:
            NotAllowed: that version can't take over, or not now; nothing was changed.
        """
        from genii.control.upgrade import Upgrade

        if self._upgrading:
            raise NotAllowed("not upgraded: an upgrade is under way already")
        self._upgrading = True
        try:
            supervisor = self._supervisor
            supervisor.upgrade_failure = ""
            upgrade = Upgrade(supervisor, self._options, self._path, self._claim, self._server, self._supervisord)
            version = (await upgrade.prepare(origin)).version
        except BaseException:
            self._upgrading = False
            raise
        self._spawn(self._commit(upgrade))
        return version

    async def _commit(self, upgrade: Upgrade) -> None:
        try:
            await upgrade.commit()
        except NotAllowed as error:
            self._supervisor.upgrade_failure = str(error)
            _log.error("%s", error)
        finally:
            self._upgrading = False

    async def _upgrade_by_signal(self) -> None:
        try:
            await self._upgrade(None)
        except GeniiError as error:
            _log.error("%s", error)

    def _watch_fatal(self, event: Event) -> None:
        """End with a program's exit code when it has failed for good (``--exit-on-fatal``)."""
        if event.kind != "process.state" or self._supervisor.stopping:
            return
        known = {event.name, event.data.get("program")}
        if not known & set(self._options.exit_on_fatal):
            return
        if event.data["state"] in (State.FATAL.name, State.EXITED.name):
            status = event.data["exit_status"]
            failed = 1 if event.data["state"] == State.FATAL.name else 0
            self._status = failed if not isinstance(status, int) else 128 - status if status < 0 else status or failed
            _log.warning("%s has ended (%s): ending too, with %d", event.name, event.data["reason"], self._status)
            self._end()


def _queue_depth() -> QueueDepth:
    """Return whoever asks job servers for their queues; imported only where a program follows one."""
    from genii.gearman.queue_depth import QueueDepth

    return QueueDepth()
