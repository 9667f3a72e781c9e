"""What the supervisor measures, in the text format of Prometheus (version 0.0.4). No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from genii.supervise.report import PoolStatus, ProcessStatus, SupervisorStatus

__all__ = ["CONTENT_TYPE", "render_metrics"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def render_metrics(
    supervisor: SupervisorStatus,
    statuses: Sequence[ProcessStatus],
    statistics: Mapping[str, float],
    pools: Sequence[PoolStatus] = (),
) -> str:
    """Write all metrics; those of processes are labelled by process and program."""
    lines = [
        "# HELP genii_info The supervisor and its version.",
        "# TYPE genii_info gauge",
        f'genii_info{{version="{_escape(supervisor.version)}",config="{_escape(supervisor.config)}"}} 1',
        "# HELP genii_start_time_seconds When the supervisor started, since the epoch.",
        "# TYPE genii_start_time_seconds gauge",
        f"genii_start_time_seconds {supervisor.started:.3f}",
    ]
    tables: tuple[tuple[str, str, str, Callable[[ProcessStatus], float | None]], ...] = (
        ("genii_process_up", "gauge", "Whether the process runs.", lambda row: row.state == "RUNNING"),
        ("genii_process_ready", "gauge", "Whether the process said that it is ready.", lambda row: row.ready),
        ("genii_process_healthy", "gauge", "What the health probe said last.", lambda row: row.healthy),
        ("genii_process_busy", "gauge", "Whether the worker is at work.", lambda row: row.busy),
        ("genii_process_jobs_total", "counter", "Jobs that the worker has done.", lambda row: row.jobs_done),
        ("genii_process_resident_bytes", "gauge", "Memory of a worker.", lambda row: row.memory or None),
        ("genii_process_restarts_total", "counter", "Starts that nobody asked for.", lambda row: row.restarts),
        ("genii_process_start_time_seconds", "gauge", "When the process was started.", lambda row: row.started or None),
    )
    for name, kind, text, value in tables:
        rows = [(row, value(row)) for row in statuses]
        found = [f"{name}{_labels(row)} {_number(number)}" for row, number in rows if number is not None]
        if found:
            lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}", *found]
    lines += _pool_lines(pools)
    lines += ["# HELP genii_process_state The state of the process: 1 for the one that it is in."]
    lines += ["# TYPE genii_process_state gauge"]
    lines += [f"genii_process_state{_labels(row, state=row.state)} 1" for row in statuses]
    for name, number in sorted(statistics.items()):
        lines += [f"# TYPE {name} {'counter' if name.endswith('_total') else 'gauge'}", f"{name} {_number(number)}"]
    return "\n".join(lines) + "\n"


def _pool_lines(pools: Sequence[PoolStatus]) -> list[str]:
    tables: tuple[tuple[str, str, Callable[[PoolStatus], float]], ...] = (
        ("minimum", "The least number of processes of an elastic program.", lambda pool: pool.minimum),
        ("maximum", "The greatest number of them.", lambda pool: pool.maximum),
        ("slots", "Processes of it that run.", lambda pool: pool.slots),
        ("busy", "Those that are at work.", lambda pool: pool.busy),
        ("waiting", "Jobs that wait while all are busy, where it follows its queue.", lambda pool: pool.waiting),
        ("paused", "Whether it takes no jobs for now.", lambda pool: pool.paused),
    )
    lines = []
    for word, text, value in tables if pools else ():
        name = f"genii_pool_{word}"
        lines += [f"# HELP {name} {text}", f"# TYPE {name} gauge"]
        lines += [f'{name}{{program="{_escape(pool.program)}"}} {_number(value(pool))}' for pool in pools]
    return lines


def _labels(row: ProcessStatus, **more: str) -> str:
    pairs = {"process": row.name, "program": row.program, **more}
    return "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in pairs.items()) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))
