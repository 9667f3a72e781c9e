"""Rows of processes, as the API tells them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from genii.supervise.report import ProcessStatus
from genii.top.model import Model

if TYPE_CHECKING:
    from genii.control.rows import StatusRow

__all__ = ["model_of", "row"]


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
