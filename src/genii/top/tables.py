"""The tables of pools, jobs and schedules: what is known, as rows to be sorted, filtered and drawn. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from genii.top.model import word_of
from genii.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Callable

    from genii.control.rows import FunctionRow, ProgramRow, StatusRow
    from genii.top.model import Model

__all__ = ["TABLES", "Column", "Entry", "Table", "size"]

_BAR = 10
_SLOTS = {"running": "▯", "starting": "◐", "stopping": "◑", "stopped": "·", "exited": "·"}


class Column(NamedTuple):
    """A column: its title, how many characters it takes (0: the rest), whether it is of figures."""

    title: str
    width: int
    figures: bool = False


class Entry(NamedTuple):
    """A row: what it is about, its cells, what each column is sorted by, its colour."""

    key: str
    cells: tuple[str, ...]
    order: tuple[float | str, ...]
    colour: str = ""


class Table(NamedTuple):
    """A page of rows: ``rows`` are made for a wall time and the seconds that the time here is ahead of UTC."""

    columns: tuple[Column, ...]
    rows: Callable[[Model, float, int], list[Entry]]
    nothing: str


def size(number: int) -> str:
    """Return bytes for people."""
    return f"{number / (1 << 30):.1f} GiB" if number >= 1000 << 20 else f"{number / (1 << 20):.1f} MiB"


# ---------------------------------------------------------------------- pools


def _pools(model: Model, now: float, _offset: int) -> list[Entry]:
    return [
        _pool(name, model.members(name), model, now)
        for name in dict.fromkeys(row["program"] for row in model.rows.values())
        if name in model.pools or _several(name, model)
    ]


def _several(name: str, model: Model) -> bool:
    declared = model.programs.get(name)
    return len(model.members(name)) > 1 or (
        declared is not None and (bool(declared["worker"]) or declared["maximum"] > 1)
    )


def _pool(name: str, rows: list[StatusRow], model: Model, now: float) -> Entry:
    told, declared = model.pools.get(name), model.programs.get(name)
    running = [row for row in rows if row["state"] == "RUNNING"]
    busy = sum(bool(row["busy"]) for row in running)
    knows = any(row["busy"] is not None for row in rows)
    low, high = len(rows), len(rows)
    if told is not None:
        low, high = told["minimum"], told["maximum"]
    elif declared is not None and declared["minimum"] != declared["maximum"]:
        low, high = declared["minimum"], declared["maximum"]
    bounds = str(high) if low == high else f"{low}..{high}"
    share = busy / len(running) if running else 0.0
    bar = f"{_filled(share)} {busy}/{len(running)}" if knows else ""
    waiting = told["waiting"] if told else 0
    memory = sum(model.usage[row["name"]][1] for row in rows if row["pid"] and row["name"] in model.usage)
    state = "paused" if told and told["paused"] else ""
    rate = model.rates.get(name)
    longest = min((row["busy_since"] for row in running if row["busy"] and row["busy_since"]), default=0.0)
    cells = (
        name, f"{len(running)} of {bounds}", bar, "" if rate is None else f"{rate:.1f}", str(waiting or "-"),
        format_duration(float(int(max(0.0, now - longest)))) if longest else "-", size(memory) if memory else "-",
        " ".join(part for part in (state, "".join(_slot(row) for row in rows)) if part),
    )  # fmt: skip
    order = (name, len(running), -share, -(rate or 0.0), -waiting, longest or now, -memory, state)
    colour = (
        "red" if any(word_of(row) in ("fatal", "failed", "unhealthy") for row in rows) else "yellow" if state else ""
    )
    return Entry(name, cells, order, colour)


def _filled(share: float) -> str:
    full = int(share * _BAR + 0.5)
    return "█" * full + "░" * (_BAR - full)


def _slot(row: StatusRow) -> str:
    if row["leaving"]:
        return "◑"
    if row["busy"]:
        return "▮"
    return _SLOTS.get(word_of(row), "✖")


# ---------------------------------------------------------------------- jobs


def _jobs(model: Model, _now: float, _offset: int) -> list[Entry]:
    found = []
    for server in model.servers:
        if server["error"]:
            order = (server["address"], *(0.0,) * 7, server["address"])
            cells = (f"({server['error']})", *("",) * 7, server["address"])
            found.append(Entry(server["address"], cells, order, "red"))
        found += [_function(server["address"], one, model) for one in server["functions"]]
    return found


def _function(address: str, one: FunctionRow, model: Model) -> Entry:
    key = f"{address} {one['name']}"
    rate = model.rates.get(key) if one["completed"] is not None else None
    done = bool(one["completed"])
    median, late, failed = one["median"] or 0.0, one["late"] or 0.0, one["failed"]
    cells = (
        one["name"], str(one["waiting"]), str(one["running"]), str(one["workers"]),
        "-" if rate is None else f"{rate:.1f}", _seconds(median) if done else "-", _seconds(late) if done else "-",
        "-" if failed is None else str(failed), address,
    )  # fmt: skip
    order = (
        one["name"], -one["waiting"], -one["running"], -one["workers"], -(rate or 0.0), -median, -late, -(failed or 0),
        address,
    )  # fmt: skip
    return Entry(key, cells, order, "red" if one["waiting"] and not one["workers"] else "")


def _seconds(value: float) -> str:
    return f"{value * 1000:.1f} ms" if value < 1 else f"{value:.1f} s"


def _queue(model: Model, _now: float, _offset: int) -> list[Entry]:
    return [
        Entry(
            job["handle"],
            (job["handle"], job["state"], job["priority"], str(job["retries"]), str(job["size"]), job["payload"]),
            (index, job["state"], job["priority"], -job["retries"], -job["size"], job["payload"]),
            "green" if job["state"] == "running" else "",
        )
        for index, job in enumerate(model.queue)
    ]


# ---------------------------------------------------------------------- schedules


def _schedules(model: Model, now: float, offset: int) -> list[Entry]:
    return [
        _schedule(program, model.members(program["name"]), now, offset)
        for program in model.programs.values()
        if program["schedule"] or program["watches"]
    ]


def _schedule(program: ProgramRow, rows: list[StatusRow], now: float, offset: int) -> Entry:
    plan = program["schedule"]
    when = f"{plan['cron']} {plan['timezone']}".strip() if plan else f"when {' '.join(program['watches'])} change"
    next_run = min((row["next_run"] for row in rows if row["next_run"] > now), default=0.0)
    if not next_run and plan:
        next_run = next((moment for moment in plan["next"] if moment > now), 0.0)
    left = f"{_clock(next_run, now, offset)}, in {format_duration(float(int(next_run - now) + 1))}" if next_run else "-"
    running = next((row for row in rows if row["pid"]), None)
    row = running or max(rows, key=lambda one: one["since"], default=None)
    last, colour, moment = "-", "", 0.0
    if row is not None and running is not None:
        last, moment = f"runs for {format_duration(float(int(max(0.0, now - row['started']))))}", row["started"]
        colour = "green"
    elif row is not None and row["started"]:
        status, moment = row["exit_status"], row["since"]
        ended = "ended" if status is None else f"exit {status}" if status >= 0 else f"signal {-status}"
        took = format_duration(round(max(0.0, moment - row["started"]), 1))
        last = f"{ended} at {_clock(moment, now, offset)}, took {took}"
        colour = "red" if word_of(row) in ("failed", "fatal", "backoff") else ""
    elif row is not None:
        last = "not yet"
    return Entry(
        program["name"], (program["name"], when, left, last), (program["name"], when, next_run or 1e12, -moment), colour
    )


def _clock(moment: float, now: float, offset: int) -> str:
    from datetime import UTC, datetime

    there, here = (datetime.fromtimestamp(each + offset, UTC) for each in (moment, now))
    return f"{there:%H:%M:%S}" if there.date() == here.date() else f"{there:%Y-%m-%d %H:%M}"


TABLES = {
    "pools": Table(
        (
            Column("PROGRAM", 18), Column("RUNNING", 10), Column("BUSY", 16), Column("JOBS/S", 7, figures=True),
            Column("WAITING", 7, figures=True), Column("LONGEST", 8, figures=True), Column("MEM", 10, figures=True),
            Column("SLOTS", 0),
        ),
        _pools,
        "no program has several processes; write processes = 4 or worker = \"module:Class\"",
    ),
    "jobs": Table(
        (
            Column("FUNCTION", 0), Column("WAITING", 8, figures=True), Column("RUNNING", 7, figures=True),
            Column("WORKERS", 7, figures=True), Column("JOBS/S", 8, figures=True), Column("MEDIAN", 9, figures=True),
            Column("P95", 9, figures=True), Column("FAILED", 7, figures=True), Column("SERVER", 22),
        ),
        _jobs,
        "no job server, or none that knows a function; declare one: [jobs] with listen = \"127.0.0.1:4730\"",
    ),
    "queue": Table(
        (
            Column("HANDLE", 24), Column("STATE", 10), Column("PRIORITY", 8), Column("TRIES", 5, figures=True),
            Column("SIZE", 9, figures=True), Column("PAYLOAD", 0),
        ),
        _queue,
        "none waits and none runs just now",
    ),
    "schedules": Table(
        (Column("PROGRAM", 18), Column("WHEN", 22), Column("NEXT", 32), Column("LAST", 0)),
        _schedules,
        "nothing is started by the clock or by files; write schedule = \"*/5 * * * *\" into a program",
    ),
}  # fmt: skip
