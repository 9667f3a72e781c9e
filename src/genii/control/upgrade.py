"""Replace a running supervisor by another version of genii, in the same process; its programs notice nothing.

First a trial run of the other version has to succeed, and what was asked for has to be done. Then no more requests are
taken from the listening sockets (they wait there), everything is written into a file in memory, and the other version
is executed in place: descriptors stay open, children stay ours. If it fails before it has taken over, it executes this
one again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from typing import TYPE_CHECKING

import msgspec

from genii.control.again import command_line, execute, own_origin
from genii.control.inheritance import SIGNALS
from genii.control.verdict import Verdict
from genii.errors import NotAllowed
from genii.supervise import succession
from genii.supervise.handover import FORMATS, Envelope, Handover, agree, encode
from genii.supervise.probes import run_command
from genii.system.spawn import Command, SpawnError
from genii.version import __version__

if TYPE_CHECKING:
    from genii.control.claim import Claim
    from genii.control.options import Options
    from genii.control.server import ControlServer
    from genii.supervise.origin import Origin
    from genii.supervise.supervisor import Supervisor
    from genii.supervisord.runtime import Runtime

__all__ = ["Upgrade"]

_log = logging.getLogger("genii")
_TRIAL_TIME = 60.0
_SETTLING_TIME = 60.0
"""Seconds that requests under way may take before an upgrade is given up."""
_DRAIN_TIME = 0.1
"""Seconds that those who have just connected are given to ask, and answers to be sent."""
_LONGEST_VERDICT = 1 << 20
_LOOK = 0.02
"""Seconds between two looks at whether everything is done."""


class Upgrade:
    """One upgrade: ``prepare`` it, then ``commit`` it."""

    def __init__(
        self,
        supervisor: Supervisor,
        options: Options,
        path: str,
        claim: Claim,
        control: ControlServer,
        supervisord: Runtime | None,
    ) -> None:
        self._supervisor = supervisor
        self._words = msgspec.json.encode(msgspec.structs.replace(options, report=-1, names=())).decode()
        self._path = path
        self._claim = claim
        self._control = control
        self._supervisord = supervisord
        self._origin = own_origin(path)
        self._format = FORMATS[-1]

    async def prepare(self, origin: Origin | None) -> Verdict:
        """Have a version (default: the one that is installed where this one was) tried, and wait for what is under way.

        Raises:
            NotAllowed: it can't take over, or not now; nothing was changed.
        """
        self._origin = origin or self._origin
        self._refuse_while_stopping()
        verdict = await self._try()
        common = agree(verdict.formats)
        if verdict.problem and common and common != self._format:
            self._format = common
            verdict = await self._try()
        if verdict.problem:
            raise NotAllowed(f"not upgraded: genii {verdict.version} can't take over: {verdict.problem}".rstrip())
        await self._settle()
        return verdict

    def _refuse_while_stopping(self) -> None:
        if self._supervisor.stopping or (self._supervisord and self._supervisord.stopping):
            raise NotAllowed("not upgraded: the supervisor is stopping")

    async def _try(self) -> Verdict:
        supervisor = self._supervisor
        state = _memory_file(self._collect())
        command = Command(
            argv=tuple(command_line(self._origin, self._words, "trial")),
            environment={**os.environ, "GENII_SYS_PATH": self._origin.path},
            stdin=state,
            stdout=-1,
            stderr=-1,
        )
        try:
            async with asyncio.timeout(_TRIAL_TIME):
                status, output = await run_command(supervisor.services.spawner, command, limit=_LONGEST_VERDICT)
        except (SpawnError, TimeoutError) as error:
            raise NotAllowed(f"not upgraded: the trial run failed: {str(error) or 'it took too long'}") from None
        finally:
            os.close(state)
        last = output.rstrip().rpartition(b"\n")[2]
        try:
            return msgspec.json.decode(last, type=Verdict)
        except (msgspec.DecodeError, UnicodeDecodeError):
            said = last.decode(errors="replace") or f"exit code {status}"
            raise NotAllowed(f"not upgraded: the trial run of {self._origin.script} failed: {said}") from None

    async def _settle(self) -> None:
        """Wait until nothing that somebody asked for is half done.

        Raises:
            NotAllowed: it takes too long.
        """
        try:
            async with asyncio.timeout(_SETTLING_TIME):
                while not self._is_quiet():  # noqa: ASYNC110 -- it is the sum of many things that end by themselves
                    await asyncio.sleep(_LOOK)
        except TimeoutError:
            raise NotAllowed("not upgraded: a request is still under way (see 'genii status'); try again") from None

    def _is_quiet(self) -> bool:
        supervisord_rests = self._supervisord is None or self._supervisord.rests
        return self._control.rests and supervisord_rests and self._supervisor.triggers.rests

    async def commit(self) -> None:
        """Take no more requests, and execute the other version; returns only if that failed.

        Raises:
            NotAllowed: it was not done; this version goes on.
        """
        while True:
            await self._control.finish_answers(_SETTLING_TIME)
            silent_at = time.monotonic()
            await self._control.release(_DRAIN_TIME)
            if self._supervisord:
                await self._supervisord.release(_DRAIN_TIME)
            try:
                self._refuse_while_stopping()
                if self._is_quiet():
                    self._execute(silent_at)
            except OSError as error:
                raise NotAllowed(f"not upgraded: {self._origin.executable}: {error.strerror}") from None
            finally:
                await self._control.resume()
                if self._supervisord:
                    await self._supervisord.resume()
            await self._settle()

    def _execute(self, silent_at: float) -> None:
        """Execute the other version; from here on nothing else happens in this process.

        Raises:
            OSError: it could not be executed; all is as before.
        """
        handover = self._collect(silent_at)
        descriptor = _memory_file(handover)
        kept = [descriptor, *handover[0].descriptors()]
        for number in kept:
            os.set_inheritable(number, True)
        earlier = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        self._supervisor.services.spawner.end_launcher()
        self._supervisor.services.nurseries.close()
        _log.info("executing %s", self._origin.script)
        try:
            execute(self._origin, self._words, "upgrade", str(descriptor))
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, earlier)
            for number in kept:
                os.set_inheritable(number, False)
            os.close(descriptor)

    def _collect(self, silent_at: float = 0.0) -> tuple[Handover, bytes]:
        """Return the state, and as bytes in the format that the other version reads."""
        supervisor = self._supervisor
        handover = Handover(settings=supervisor.settings)
        succession.collect(supervisor, handover)
        handover.pid_file, handover.guard = self._claim.descriptors()
        released = dict(self._control.released)
        handover.history = self._control.history()
        if self._supervisord:
            released.update(self._supervisord.released)
            handover.settings = msgspec.structs.replace(handover.settings, supervisord=self._supervisord.declaration())
            handover.supervisord = self._supervisord.memory()
        handover.servers = {
            name: ([one.fileno() for one in listening], [one.fileno() for one in idle])
            for name, (listening, idle) in released.items()
        }
        handover.upgrades = supervisor.upgrades + 1
        handover.silent_at = silent_at
        envelope = Envelope(
            format=self._format,
            version=__version__,
            origin=own_origin(self._path),
            words=self._words,
            descriptors=list(handover.descriptors()),
        )
        return handover, encode(handover, envelope)


def _memory_file(collected: tuple[Handover, bytes]) -> int:
    """Return a descriptor of a file in memory that holds the state: it has secrets in it, and no name."""
    descriptor = os.memfd_create("genii-state")
    try:
        view = memoryview(collected[1])
        while view:
            view = view[os.write(descriptor, view) :]
        os.lseek(descriptor, 0, os.SEEK_SET)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
