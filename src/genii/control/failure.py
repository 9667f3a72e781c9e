"""Errors on their way through the API: to JSON with a fitting HTTP status, and back to the same exception. No I/O."""

from __future__ import annotations

from typing import Any

import msgspec

from genii.errors import (
    CheckFailed,
    ConfigError,
    GeniiError,
    InternalError,
    NotAllowed,
    NotRunning,
    PeerError,
    Problem,
    TimedOut,
    UnknownProgram,
    UsageError,
)
from genii.events.message import HttpError, Response

__all__ = ["error_from_json", "error_response"]

_STATUS: tuple[tuple[type[GeniiError], int], ...] = (
    (UnknownProgram, 404),
    (NotAllowed, 409),
    (NotRunning, 409),
    (ConfigError, 422),
    (UsageError, 400),
    (TimedOut, 504),
    (InternalError, 500),
    (PeerError, 502),
)
"""The first class that fits decides."""
_BY_CODE: dict[str, type[GeniiError]] = {
    kind.code: kind for kind in (UsageError, NotAllowed, UnknownProgram, NotRunning, TimedOut, InternalError)
}


def error_response(error: GeniiError) -> Response:
    """Write ``{"error": {"code": …, "message": …}}``, with what else the error carries."""
    content: dict[str, Any] = {"code": error.code, "message": str(error)}
    if isinstance(error, CheckFailed):
        content["output"] = error.output
    if isinstance(error, ConfigError):
        content["problems"] = [
            {"path": one.path, "line": one.line, "column": one.column, "message": one.message} for one in error.problems
        ]
    if isinstance(error, HttpError):
        status, headers = error.status, error.headers
    else:
        status, headers = next((number for kind, number in _STATUS if isinstance(error, kind)), 500), {}
    response = Response.json({"error": content}, status)
    response.headers.update(headers)
    return response


def error_from_json(status: int, body: bytes) -> GeniiError:
    """Make the exception that the other side raised, as far as it can be told."""
    try:
        content = msgspec.json.decode(body, type=dict[str, dict[str, Any]])["error"]
        code, message = str(content["code"]), str(content["message"])
    except (msgspec.DecodeError, KeyError):
        return PeerError(f"the supervisor answered {status} with something that is not its API")
    if code == CheckFailed.code:
        return CheckFailed(message, str(content.get("output", "")))
    if code == ConfigError.code and isinstance(content.get("problems"), list):
        return ConfigError(msgspec.convert(content["problems"], list[Problem]))
    kind = _BY_CODE.get(code)
    if kind is not None:
        return kind(message)
    if status in (401, 403, 415, 421, 429):
        return NotAllowed(message)
    return UsageError(message) if 400 <= status < 500 else GeniiError(message)
