"""What another version left when it executed this one in its place, and the way back to it."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from genii.control.again import execute
from genii.supervise.handover import decode, open_envelope

if TYPE_CHECKING:
    from genii.supervise.handover import Handover

__all__ = ["SIGNALS", "Inheritance", "go_back", "inherit"]

SIGNALS = frozenset(
    {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH}
)
"""Those that wait from the moment when one version can't handle them any more until the next one can."""
_FAILURE = "GENII_UPGRADE_FAILURE"
"""The variable that says why a version could not take over, when the one before is executed again."""


@dataclass(frozen=True, slots=True)
class Inheritance:
    """A state, and who left it."""

    handover: Handover
    version: str
    descriptor: int
    """Of the file in memory that the state is in."""
    keeper_pid: int
    """The keeper that was forked for this version."""
    failure: str
    """Why another version executed this one again instead of going on; empty: it did not."""

    def go_back(self, error: Exception) -> NoReturn:
        """Execute the version before this one again."""
        if self.failure:
            _give_up(error)
        go_back(self.descriptor, self.keeper_pid, error)

    def accept(self) -> None:
        """Let go of the state: there is no way back from here."""
        os.close(self.descriptor)


def inherit(descriptor: int, keeper_pid: int) -> Inheritance:
    """Take in what was left; where that is impossible the version that left it is executed again."""
    failure = json.loads(os.environ.pop(_FAILURE, '""'))
    try:
        data = _read(descriptor)
        return Inheritance(decode(data), open_envelope(data).version, descriptor, keeper_pid, failure)
    except Exception as error:
        if failure:
            _give_up(error)
        go_back(descriptor, keeper_pid, error)


def go_back(descriptor: int, keeper_pid: int, error: Exception) -> NoReturn:
    """Execute the version before this one again, with all that it left; ``error`` says why."""
    os.kill(keeper_pid, signal.SIGKILL)
    os.waitpid(keeper_pid, 0)
    envelope = open_envelope(_read(descriptor))
    for number in (descriptor, *envelope.descriptors):
        os.set_inheritable(number, True)
    words = ("upgrade", str(descriptor))
    execute(envelope.origin, envelope.words, *words, **{_FAILURE: json.dumps(str(error) or type(error).__name__)})


def _read(descriptor: int) -> bytes:
    with open(descriptor, "rb", closefd=False) as file:
        file.seek(0)
        return file.read()


def _give_up(error: Exception) -> NoReturn:
    raise SystemExit(f"genii: neither version can go on ({error}); 'genii up' adopts the programs, which still run")
