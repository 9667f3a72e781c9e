"""How a change of genii's state machine looks to supervisord's clients: states, log lines, descriptions. No I/O.

Genii's machine takes some steps at once that supervisord takes one by one (RUNNING, EXITED, STARTING); clients and
listeners get to see all of them, as http://supervisord.org/subprocess.html#process-states has them.
"""

from __future__ import annotations

import signal
from datetime import UTC, datetime
from typing import NamedTuple

from genii.supervise.model import State

__all__ = ["TOO_QUICK", "Ending", "describe", "ended_line", "passed", "spawn_error"]

TOO_QUICK = "Exited too quickly (process log may have details)"

_BETWEEN: dict[tuple[State, State], tuple[State, ...]] = {
    (State.RUNNING, State.STARTING): (State.EXITED,),
    (State.RUNNING, State.BACKOFF): (State.EXITED, State.STARTING),
    (State.STARTING, State.FATAL): (State.BACKOFF,),
    (State.STOPPING, State.STARTING): (State.STOPPED,),
    (State.STOPPING, State.BACKOFF): (State.STOPPED, State.STARTING),
    (State.STOPPING, State.FATAL): (State.STOPPED, State.STARTING, State.BACKOFF),
    (State.STARTING, State.STARTING): (State.BACKOFF,),
}


def passed(before: State, after: State) -> tuple[State, ...]:
    """Return the states that are entered on the way from one to another, the last one too."""
    return (*_BETWEEN.get((before, after), ()), after)


class Ending(NamedTuple):
    """How a process ended."""

    status: int | None
    """Exit code, -N for signal N, None when it can't be known."""
    expected: bool

    @property
    def exit_status(self) -> int:
        """Return the status as supervisord's clients get it: -1 after a signal."""
        return -1 if self.status is None or self.status < 0 else self.status

    def text(self) -> str:
        """Return how supervisord's log names it."""
        if self.status is None:
            return "ended while nobody watched"
        if self.status < 0:
            try:
                return f"terminated by {signal.Signals(-self.status).name}"
            except ValueError:
                return f"terminated by signal {-self.status}"
        return f"exit status {self.status}"


def ended_line(name: str, before: State, ending: Ending) -> str:
    """Return the line of the main log about the end of a process."""
    if before is State.STOPPING:
        return f"stopped: {name} ({ending.text()})"
    return f"exited: {name} ({ending.text()}; {'expected' if ending.expected else 'not expected'})"


def spawn_error(reason: str) -> str:
    """Return why a process could not be spawned, in supervisord's words where it has some."""
    reason = reason.rpartition("failed starts: ")[2]
    kind, _, rest = reason.partition(": ")
    if kind == "command not found":
        return f"can't find command {rest.partition(' (PATH=')[0]!r}"
    if kind == "not executable":
        return f"command at {rest!r} is not executable"
    return reason


def describe(state: State, pid: int, started: float, stopped: float, why: str, now: float) -> str:
    """Return the description of a process's state, as ``supervisorctl status`` shows it."""
    if state is State.RUNNING:
        seconds = max(0, int(now - started))
        days, rest = divmod(seconds, 86400)
        clock = f"{rest // 3600}:{rest // 60 % 60:02}:{rest % 60:02}"
        ago = f"{days} day{'s' if days != 1 else ''}, {clock}" if days else clock
        return f"pid {pid}, uptime {ago}"
    if state in (State.FATAL, State.BACKOFF):
        return why
    if state in (State.STOPPED, State.EXITED):
        return (
            datetime.fromtimestamp(stopped, UTC).astimezone().strftime("%b %d %I:%M %p") if started else "Not started"
        )
    return ""
