"""The errors of genii, in families by who must act. No I/O.

The message is made from the data that an error carries; errors that a client may see have a stable ``code``.
``OSError`` passes through as it is, with a note where it helps.
"""

from __future__ import annotations

from genii.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "AlreadyRunning",
    "CheckFailed",
    "CommandFailed",
    "ConfigError",
    "ConnectionLost",
    "GeniiError",
    "InternalError",
    "JobFailed",
    "JobRefused",
    "NotAllowed",
    "NotRead",
    "NotRunning",
    "PeerError",
    "Problem",
    "TimedOut",
    "UnknownProgram",
    "UsageError",
]


class GeniiError(Exception):
    """Be the root of all errors that genii raises on purpose; ``exit_code`` is that of the command line."""

    code = "error"
    exit_code = 1


class UsageError(GeniiError):
    """Say that the command line or the arguments of a call make no sense; the user must change them."""

    code = "usage"
    exit_code = 2


class Problem(NamedTuple):
    """Name one fault of a file: where (line and column count from 1, 0: the whole file), what, and what to do."""

    path: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        where = f"{self.path}:{self.line}:{self.column}" if self.line else self.path
        return f"{where}: {self.message}"


class ConfigError(GeniiError):
    """Say that a configuration is wrong: every problem that was found, not only the first."""

    code = "config"
    exit_code = 2

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(*problems)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


class NotAllowed(GeniiError):
    """Refuse a request in this state; nothing was changed."""

    code = "not-allowed"


class AlreadyRunning(NotAllowed):
    """Say that what should be started runs already; ``pid`` is 0 where it is only about to."""

    code = "already-running"

    def __init__(self, message: str, pid: int = 0) -> None:
        super().__init__(message)
        self.pid = pid


class UnknownProgram(NotAllowed):
    """Say that no program has this name."""

    code = "unknown-program"
    exit_code = 4


class NotRead(NotAllowed):
    """Say that a program did not read what it was sent, so that there is no room for more."""

    code = "not-read"


class CheckFailed(NotAllowed):
    """Say that a program's own check failed, so that it was left as it was; carries the check's output."""

    code = "check-failed"
    exit_code = 5

    def __init__(self, message: str, output: str = "") -> None:
        super().__init__(message)
        self.output = output


class NotRunning(GeniiError):
    """Say that there is no supervisor (or no program) to talk to."""

    code = "not-running"
    exit_code = 3


class TimedOut(GeniiError):
    """Say that something did not happen in the time given."""

    code = "timeout"
    exit_code = 124


class PeerError(GeniiError):
    """Say that the other side of a connection broke the protocol."""

    code = "protocol"


class ConnectionLost(PeerError):
    """Say that a connection ended before its answers came; whether what was asked was done is not known."""

    code = "connection-lost"


class JobRefused(NotAllowed):
    """Say that a job server did not take a job; ``reason`` is its own code, such as ``QUEUE_ERROR``."""

    code = "job-refused"

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


class JobFailed(GeniiError):
    """Say that a job failed in its worker; ``exception`` is what the worker told of it, empty if nothing."""

    code = "job-failed"

    def __init__(self, message: str, exception: bytes = b"") -> None:
        super().__init__(message)
        self.exception = exception


class CommandFailed(GeniiError):
    """Say that a command ended with a failure; carries its exit code (128+N for signal N) and its output."""

    code = "command-failed"

    def __init__(self, message: str, status: int, output: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.output = output


class InternalError(GeniiError):
    """Admit a mistake of genii itself; please report it."""

    code = "internal"
