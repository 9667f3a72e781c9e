"""Rows of processes, as the API tells them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from genii.control.declared import DeclaredProgram, DeclaredSchedule
from genii.control.queues import JobServer, QueuedFunction, QueuedJob
from genii.supervise.report import PoolStatus, ProcessStatus
from genii.top.model import Model

if TYPE_CHECKING:
    from genii.control.rows import FunctionRow, PoolRow, ProgramRow, QueuedJobRow, ServerRow, StatusRow

__all__ = ["function", "job", "model_of", "pool", "program", "row", "server"]


def row(name: str, state: str = "RUNNING", **more: Any) -> StatusRow:
    """Return one record as a client gets it."""
    known = {"pid": 4711 if state == "RUNNING" else 0, "started": 1000.0, "since": 1000.0, "ready": True, **more}
    status = ProcessStatus(name=name, program=name.partition(":")[0], state=state, wanted=True, **known)
    found: StatusRow = msgspec.to_builtins(status)
    return found


def model_of(*rows: StatusRow) -> Model:
    """Return a model that has heard of these."""
    model = Model()
    about = {"version": "1.0", "config": "/etc/genii.toml", "started": 1000.0}
    usage = {one["name"]: (float(index), (index + 1) << 20) for index, one in enumerate(rows) if one["pid"]}
    model.take("snapshot", {"supervisor": about, "processes": list(rows), "usage": usage})
    return model


def pool(name: str, **more: Any) -> PoolRow:
    """Return the figures of a pool."""
    known = {"minimum": 2, "maximum": 2, "slots": 2, "busy": 0, **more}
    found: PoolRow = msgspec.to_builtins(PoolStatus(program=name, **known))
    return found


def program(name: str, schedule: str = "", **more: Any) -> ProgramRow:
    """Return what is declared of a program."""
    plan = DeclaredSchedule(schedule, "", "skip", "once", "in words", [9000.0]) if schedule else None
    known: dict[str, Any] = {
        "group": "", "description": "", "command": ("run",), "worker": "", "kind": "service", "autostart": True,
        "restart": "always", "exit_codes": (0,), "minimum": 1, "maximum": 1, "depends_on": (), "schedule": plan,
        "watches": (), "user": "", "directory": "/", "stop": "TERM", "stdin": "null", "recycle": {}, **more,
    }  # fmt: skip
    found: ProgramRow = msgspec.to_builtins(DeclaredProgram(name=name, **known))
    return found


def function(name: str, **more: Any) -> FunctionRow:
    """Return a function of a job server."""
    known = {"waiting": 0, "running": 0, "workers": 0, "high": 0, "normal": 0, "low": 0, **more}
    found: FunctionRow = msgspec.to_builtins(QueuedFunction(name=name, **known))
    return found


def server(address: str, *functions: FunctionRow, error: str = "") -> ServerRow:
    """Return a job server."""
    found: ServerRow = msgspec.to_builtins(JobServer(address=address, error=error))
    found["functions"] = list(functions)
    return found


def job(handle: str, state: str = "queued") -> QueuedJobRow:
    """Return a job of a queue."""
    found: QueuedJobRow = msgspec.to_builtins(QueuedJob(handle, state, "normal", 0, True, "", 3, "abc"))
    return found
