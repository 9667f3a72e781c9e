"""Why a process is in its state, in a few words. No I/O."""

from __future__ import annotations

from genii.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from genii.cli.terminal import Paint
    from genii.control.rows import StatusRow

__all__ = ["remark"]


def remark(status: StatusRow, now: float, paint: Paint) -> str:
    """Return the last column: why it is so, what it waits for, what it says of itself."""
    from genii.units import format_duration

    parts = [status["reason"]]
    if status["healthy"] is False:
        parts.append(paint("unhealthy", "red"))
    if status["next_attempt"] > now:
        parts.append(f"next attempt in {format_duration(status['next_attempt'] - now)}")
    if status["next_run"] > now:
        parts.append(f"next run in {format_duration(float(int(status['next_run'] - now)))}")
    parts += [*_work(status, now), "adopted" if status["adopted"] else "", status["note"]]
    return ", ".join(part for part in parts if part)


def _work(status: StatusRow, now: float) -> list[str]:
    """Say what a worker does, since when, and how much it will still do."""
    from genii.units import format_duration, format_size

    parts = []
    if status["busy"] is not None:
        since = format_duration(float(int(max(0.0, now - status["busy_since"]))))
        what = f" with {status['job']}" if status["job"] else ""
        parts.append(f"{f'busy{what}' if status['busy'] else 'idle'} for {since}")
    if status["jobs_left"] is not None:
        parts.append(f"{status['jobs_left']} jobs left")
    parts += ["paused" if status["paused"] else "", "leaving" if status["leaving"] else ""]
    if status["memory"]:
        parts.append(format_size(status["memory"]))
    return parts
