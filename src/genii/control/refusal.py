"""Errors on their way into a client: from JSON back to the exception that the other side raised. No I/O."""

from __future__ import annotations

from genii.control.plain_json import loads
from genii.errors import (
    CheckFailed,
    ConfigError,
    GeniiError,
    InternalError,
    NotAllowed,
    NotRead,
    NotRunning,
    PeerError,
    Problem,
    TimedOut,
    UnknownProgram,
    UsageError,
)

__all__ = ["error_from_json"]

_REFUSED = frozenset((401, 403, 415, 421, 429))


def error_from_json(status: int, body: bytes) -> GeniiError:
    """Make the exception that the other side raised, as far as it can be told."""
    try:
        content = loads(body)["error"]
        code, message = str(content["code"]), str(content["message"])
        if code == ConfigError.code:
            return ConfigError([_problem(problem) for problem in content["problems"]])
    except (ValueError, KeyError, TypeError, RecursionError):
        return PeerError(f"what answers there ({status}) is not the API of a supervisor")
    if code == CheckFailed.code:
        return CheckFailed(message, str(content.get("output", "")))
    for kind in (UsageError, NotAllowed, NotRead, UnknownProgram, NotRunning, TimedOut, InternalError):
        if kind.code == code:
            return kind(message)
    if status in _REFUSED:
        return NotAllowed(message)
    return UsageError(message) if 400 <= status < 500 else GeniiError(message)


def _problem(content: dict[str, object]) -> Problem:
    line, column = content["line"], content["column"]
    if not (isinstance(line, int) and isinstance(column, int)):
        raise TypeError("a line and a column are numbers")
    return Problem(str(content["path"]), line, column, str(content["message"]))
