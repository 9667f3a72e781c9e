"""The description of the API for programs (OpenAPI 3.1), made from the types that the routes use. No I/O."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from genii.control.declared import Configuration, Programs
from genii.control.query import (
    ActionQuery,
    AuditEntries,
    Curves,
    Details,
    Differences,
    Events,
    InputQuery,
    JobQuery,
    LoginQuery,
    Pools,
    Results,
    SessionAnswer,
    Statuses,
    UpdateQuery,
    UpgradeQuery,
    Upgrading,
)
from genii.control.queues import Jobs, JobServers
from genii.supervise.report import SupervisorStatus
from genii.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["OPERATIONS", "Operation", "document"]

_EVENTS, _TEXT, _LINES, _JSON = "text/event-stream", "text/plain", "application/x-ndjson", "application/json"
_PROBLEMS = {
    400: "the request makes no sense",
    401: "user and password are missing or wrong",
    403: "not for this user, or sent by somebody else's page",
    404: "no such program, process or path",
    408: "it did not arrive in time",
    409: "not in this state",
    413: "too long",
    415: "not JSON",
    421: "another host was meant",
    422: "the configuration is broken",
    429: "too many wrong passwords",
    502: "a job server answered nonsense",
    503: "stopping, or too many connections",
    504: "it takes longer than was to be waited",
}


class Operation(NamedTuple):
    """One method at one path; ``answer`` is a type for JSON, a media type else."""

    method: str
    path: str
    summary: str
    answer: type | str
    body: type | None = None
    parameters: Mapping[str, Mapping[str, Any]] = MappingProxyType({})


_NAME = {"type": "array", "items": {"type": "string"}}
_FLAG = {"type": "string", "enum": ["0", "1"]}
_SECONDS = {"type": "number", "minimum": 0, "maximum": 1e9}
_COUNT = {"type": "integer", "minimum": -1, "maximum": 1 << 31}

OPERATIONS = (
    Operation("GET", "/health", "Whether the supervisor answers.", dict),
    Operation("GET", "/metrics", "Figures in Prometheus' text format.", _TEXT),
    Operation("GET", "/api/openapi.json", "This description.", dict),
    Operation("GET", "/api/v1/supervisor", "The supervisor itself.", SupervisorStatus),
    Operation("GET", "/api/v1/processes", "The state of processes.", Statuses, parameters={"name": _NAME}),
    Operation("GET", "/api/v1/processes/{name}", "All about the processes of one name.", Details),
    Operation("GET", "/api/v1/pools", "The figures of pools.", Pools),
    Operation(
        "GET", "/api/v1/events", "The last events, or a stream of those to come.", Events,
        parameters={"after": _COUNT, "follow": _FLAG, "snapshot": _FLAG, "heartbeat": _SECONDS},
    ),
    Operation(
        "GET", "/api/v1/logs", "The last lines of logs, or a stream of those to come.", _LINES,
        parameters={
            "name": _NAME, "lines": _COUNT, "since": _SECONDS, "contains": {"type": "string"}, "follow": _FLAG,
            "stream": {"type": "string", "enum": ["stdout", "stderr", "both"]}, "paced": _FLAG, "text": _FLAG,
        },
    ),
    Operation("GET", "/api/v1/live", "A stream of states and of what processes use.", _EVENTS),
    Operation(
        "GET", "/api/v1/history", "What processes used lately.", Curves,
        parameters={"name": _NAME, "points": {"type": "integer", "minimum": 1, "maximum": 300}},
    ),
    Operation("GET", "/api/v1/programs", "What is declared.", Programs),
    Operation("GET", "/api/v1/configuration", "All settings, secrets masked.", Configuration),
    Operation("GET", "/api/v1/difference", "What an update would change.", Differences),
    Operation("GET", "/api/v1/jobs", "The job servers, their functions and workers.", JobServers),
    Operation(
        "GET", "/api/v1/jobs/peek", "The jobs of a function.", Jobs,
        parameters={
            "server": {"type": "string"}, "function": {"type": "string"},
            "limit": {"type": "integer", "minimum": 1, "maximum": 200},
        },
    ),
    Operation("GET", "/api/v1/audit", "Who did what.", AuditEntries),
    Operation("GET", "/api/v1/session", "Who asks.", SessionAnswer),
    Operation("POST", "/api/v1/login", "Log in with a browser.", SessionAnswer, LoginQuery),
    Operation("POST", "/api/v1/logout", "Log out.", SessionAnswer, dict),
    Operation("POST", "/api/v1/start", "Start processes.", Results, ActionQuery),
    Operation("POST", "/api/v1/stop", "Stop processes.", Results, ActionQuery),
    Operation("POST", "/api/v1/restart", "Restart processes.", Results, ActionQuery),
    Operation("POST", "/api/v1/reload", "Have programs read their own configuration again.", Results, ActionQuery),
    Operation("POST", "/api/v1/signal", "Send a signal.", Results, ActionQuery),
    Operation("POST", "/api/v1/input", "Give a process something to read.", Results, InputQuery),
    Operation("POST", "/api/v1/scale", "Change the number of processes of a program.", Results, ActionQuery),
    Operation("POST", "/api/v1/pause", "Have workers take no more jobs.", Results, ActionQuery),
    Operation("POST", "/api/v1/resume", "Have paused workers take jobs again.", Results, ActionQuery),
    Operation("POST", "/api/v1/drain", "Stop workers when they have done their jobs.", Results, ActionQuery),
    Operation("POST", "/api/v1/upgrade", "Replace the supervisor by another version.", Upgrading, UpgradeQuery),
    Operation("POST", "/api/v1/update", "Read the configuration again and apply it.", Differences, UpdateQuery),
    Operation("POST", "/api/v1/shutdown", "Stop everything and end.", dict, dict),
    Operation("POST", "/api/v1/jobs/cancel", "Drop a job that waits.", Results, JobQuery),
    Operation("POST", "/api/v1/jobs/drain", "Have a job server end when it has nothing to do.", Results, JobQuery),
)  # fmt: skip
"""All that the API answers."""


def document() -> dict[str, Any]:
    """Return the description as plain values."""
    types = [kind for operation in OPERATIONS for kind in (operation.answer, operation.body) if _is_record(kind)]
    _, schemas = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _describe(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "genii", "version": __version__, "description": "The control API of a supervisor."},
        "paths": paths,
        "components": {"schemas": {**schemas, "Problem": _PROBLEM}},
    }


_PROBLEM = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
        }
    },
}


def _is_record(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _describe(operation: Operation) -> dict[str, Any]:
    """Return one operation as OpenAPI has it."""
    described: dict[str, Any] = {
        "operationId": f"{operation.method.lower()}{operation.path.replace('/', '_').translate(_NO_BRACES)}",
        "summary": operation.summary,
        "parameters": [*_path_parameters(operation.path), *_query_parameters(operation.parameters)],
        "responses": {
            "200": {"description": "done", "content": _content(operation)},
            **{str(status): _problem(text) for status, text in _PROBLEMS.items()},
        },
    }
    if operation.body is not None:
        described["requestBody"] = {"required": True, "content": {_JSON: {"schema": _schema(operation.body)}}}
    return described


_NO_BRACES = {ord("{"): None, ord("}"): None}


def _problem(text: str) -> dict[str, Any]:
    return {"description": text, "content": {_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}}}


def _path_parameters(path: str) -> list[dict[str, Any]]:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    schema = {"type": "string", "minLength": 1}
    return [{"name": name, "in": "path", "required": True, "schema": schema} for name in names]


def _query_parameters(parameters: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{"name": name, "in": "query", "schema": schema} for name, schema in parameters.items()]


def _content(operation: Operation) -> dict[str, Any]:
    if isinstance(operation.answer, str):
        kinds: dict[str, Any] = {operation.answer: {}}
    else:
        kinds = {_JSON: {"schema": _schema(operation.answer)}}
    if "follow" in operation.parameters:
        kinds[_EVENTS] = {}
    if "text" in operation.parameters:
        kinds[_TEXT] = {}
    return kinds


def _schema(kind: type) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{kind.__name__}"} if _is_record(kind) else {"type": "object"}
