"""The states of a process, and when it is started again. No I/O.

Apart from the rest of the model, so that a prefork server, which needs no declarations, stays small.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum

__all__ = ["Restart", "State"]


class State(IntEnum):
    """The states of a process, with supervisord's names and numbers."""

    STOPPED = 0
    STARTING = 10
    RUNNING = 20
    BACKOFF = 30
    STOPPING = 40
    EXITED = 100
    FATAL = 200
    UNKNOWN = 1000

    @property
    def alive(self) -> bool:
        """Say whether there is a process behind the state."""
        return self in (State.STARTING, State.RUNNING, State.STOPPING)


class Restart(StrEnum):
    """When a process that ended by itself is started again."""

    ALWAYS = "always"
    ON_FAILURE = "on-failure"
    NEVER = "never"
