"""What a job server tells about itself: as JSON-able values, as text for people, and for Prometheus. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genii.gearman.broker import Broker

__all__ = ["describe", "render_metrics", "render_text"]

_TOTALS = {
    "submitted": "Jobs accepted",
    "completed": "Jobs completed",
    "failed": "Jobs failed",
    "requeued": "Jobs given to another worker",
    "refused": "Jobs refused",
}


def describe(broker: Broker, uptime: float, journal_failure: str = "") -> dict[str, Any]:
    """Return the counts and the functions of a server."""
    counts = broker.statistics()
    return {
        "version": broker.settings.version,
        "pid": broker.settings.pid,
        "uptime": round(uptime, 3),
        "durable": broker.settings.durable,
        "journal_failure": journal_failure,
        **{name: getattr(counts, name) for name in counts.__struct_fields__},
        "by_function": [
            {
                "name": name.decode("utf-8", "backslashreplace"),
                "queued": function.queued,
                "waiting": function.waiting,
                "running": function.running,
                "workers": function.workers,
            }
            for name, function in sorted(broker.functions.items())
        ],
    }


def render_text(description: dict[str, Any]) -> str:
    """Write a description for people."""
    rows = [("FUNCTION", "QUEUED", "WAITING", "RUNNING", "WORKERS")]
    rows += [
        (row["name"], str(row["queued"]), str(row["waiting"]), str(row["running"]), str(row["workers"]))
        for row in description["by_function"]
    ]
    width = max(len(row[0]) for row in rows)
    lines = [f"{name:{width}}  {a:>8} {b:>8} {c:>8} {d:>8}" for name, a, b, c, d in rows]
    head = (
        f"job server {description['version']}, pid {description['pid']}, up {description['uptime']:.0f} s: "
        f"{description['connections']} connections, {description['workers']} workers, "
        f"{description['completed']} jobs completed, {description['failed']} failed\n"
    )
    if description["journal_failure"]:
        head += f"background jobs are refused: {description['journal_failure']}\n"
    return head + "\n" + "\n".join(lines) + "\n"


def render_metrics(description: dict[str, Any]) -> str:
    """Write a description in the text format of Prometheus (version 0.0.4)."""
    lines = []
    for name, text in _TOTALS.items():
        lines += _metric(f"genii_jobs_{name}_total", "counter", text, [("", description[name])])
    lines += _metric("genii_jobs_uptime_seconds", "gauge", "Seconds since the start", [("", description["uptime"])])
    lines += _metric("genii_jobs_connections", "gauge", "Open connections", [("", description["connections"])])
    failing = int(bool(description["journal_failure"]))
    lines += _metric("genii_jobs_journal_failing", "gauge", "1 while the journal can't be written", [("", failing)])
    for key, text in {
        "queued": "Jobs that wait for a worker",
        "waiting": "Jobs that wait for their time or for the journal",
        "running": "Jobs that run",
        "workers": "Workers that offer the function",
    }.items():
        rows = [(f'{{function="{_escape(row["name"])}"}}', row[key]) for row in description["by_function"]]
        lines += _metric(f"genii_jobs_function_{key}", "gauge", text, rows)
    return "\n".join(lines) + "\n"


def _metric(name: str, kind: str, text: str, rows: list[tuple[str, float]]) -> list[str]:
    head = [f"# HELP {name} {text}.", f"# TYPE {name} {kind}"]
    return head + [f"{name}{labels} {value:g}" if value < 1e6 else f"{name}{labels} {value}" for labels, value in rows]


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
