"""What a slot manager shows: a page for people and metrics, from the same records as its JSON. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genii.units import format_duration, format_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from genii.supervise.report import PoolStatus, ProcessStatus

__all__ = ["render_metrics", "render_page"]

_HEAD = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="2">
<meta name="viewport" content="width=device-width"><title>slots</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem }
table { border-collapse: collapse; width: 100% } th, td { text-align: left; padding: .2rem .8rem .2rem 0 }
th { border-bottom: 1px solid; font-weight: 600 } td.busy { font-weight: 600 }
@media (prefers-color-scheme: dark) { body { background: #16181c; color: #e4e4e4 } }
</style>
"""


def render_page(processes: Sequence[ProcessStatus], pools: Sequence[PoolStatus], now: float) -> str:
    """Return the page; it loads itself again every two seconds."""
    parts = [_HEAD]
    for pool in pools:
        paused = ", paused" if pool.paused else ""
        waiting = f", {pool.waiting} jobs waiting" if pool.waiting else ""
        parts.append(
            f"<h2>{_escape(pool.program)}</h2><p>{pool.slots} of {pool.minimum} to {pool.maximum} slots,"
            f" {pool.busy} busy{waiting}{paused}</p>\n<table><tr><th>slot<th>state<th>pid<th>job<th>since"
            "<th>done<th>left<th>memory</tr>\n"
        )
        parts += [_row(each, now) for each in processes if each.program == pool.program]
        parts.append("</table>\n")
    return "".join(parts)


def _row(status: ProcessStatus, now: float) -> str:
    state = status.state.lower()
    if status.state == "RUNNING" and status.busy is not None:
        state = "busy" if status.busy else "idle"
    since = status.busy_since or status.since
    cells = (
        status.name, state, status.pid or "", status.job or status.reason or status.note,
        format_duration(float(int(max(0.0, now - since)))) if since else "",
        "" if status.jobs_done is None else status.jobs_done, "" if status.jobs_left is None else status.jobs_left,
        format_size(status.memory) if status.memory else "",
    )  # fmt: skip
    marked = ' class="busy"' if status.busy else ""
    return "<tr>" + "".join(f"<td{marked}>{_escape(str(cell))}" for cell in cells) + "</tr>\n"


def render_metrics(processes: Sequence[ProcessStatus], pools: Sequence[PoolStatus]) -> str:
    """Return the figures in the text format of Prometheus (version 0.0.4)."""
    lines = []
    for word in ("minimum", "maximum", "slots", "busy", "waiting", "paused"):
        lines.append(f"# TYPE genii_pool_{word} gauge")
        lines += [f'genii_pool_{word}{{program="{pool.program}"}} {int(getattr(pool, word))}' for pool in pools]
    lines.append("# TYPE genii_process_jobs_total counter")
    lines += [
        f'genii_process_jobs_total{{process="{each.name}",program="{each.program}"}} {each.jobs_done}'
        for each in processes
        if each.jobs_done is not None
    ]
    return "\n".join(lines) + "\n"


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
