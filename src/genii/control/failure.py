"""Errors on their way out of the API: to JSON, with a fitting HTTP status; ``refusal`` is the way back. No I/O."""

from __future__ import annotations

from typing import Any

from genii.errors import (
    CheckFailed,
    ConfigError,
    GeniiError,
    InternalError,
    NotAllowed,
    NotRunning,
    PeerError,
    TimedOut,
    UnknownProgram,
    UsageError,
)
from genii.events.message import HttpError, Response

__all__ = ["error_response"]

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
