"""All about one process, for people: the long form of ``genii status NAME``. No I/O."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from genii.cli.remark import remark
from genii.cli.terminal import STATE_COLOURS, Paint
from genii.units import format_duration, format_size

if TYPE_CHECKING:
    from genii.control.rows import DetailsRow

__all__ = ["detail_lines"]

_SIZES = frozenset(("as", "core", "data", "fsize", "memlock", "memory", "msgqueue", "rss", "stack"))
"""Limits that count bytes."""


def detail_lines(details: DetailsRow, now: float, paint: Paint) -> list[str]:
    """Return a block of lines with a label each."""
    status = details["status"]
    state = paint(status["state"].lower(), STATE_COLOURS.get(status["state"], ""))
    since = f" for {format_duration(float(int(max(0.0, now - status['since']))))}" if status["since"] else ""
    why = remark(status, now, paint)
    rows = [
        ("state", f"{state}{since}" + (f" ({why})" if why else "")),
        ("pid", str(status["pid"] or "")),
        ("restarts", str(status["restarts"] or "")),
        ("last exit", _exit(status["exit_status"])),
        ("command", shlex.join(details["command"])),
        ("directory", details["directory"]),
        ("user", details["user"]),
        ("trigger", status["trigger"]),
        ("depends on", ", ".join(details["depends_on"])),
        ("memory", format_size(details["memory"]) if details["memory"] else ""),
        ("cpu", format_duration(details["cpu"]) if details["cpu"] else ""),
        ("threads", str(details["threads"] or "")),
        ("open files", str(details["files"] or "")),
        *_limit_rows(details, paint),
        *(("socket", f"{name} {url}") for name, url in details["sockets"].items()),
        ("stdout", details["stdout"]),
        ("stderr", details["stderr"] if details["stderr"] != details["stdout"] else "to stdout"),
        ("lost output", paint(format_size(details["lost_bytes"]), "red") if details["lost_bytes"] else ""),
        *(("environment", f"{name}={value}") for name, value in sorted(details["environment"].items())),
    ]
    return [paint(status["name"], "bold"), *_labelled(rows)]


def _labelled(rows: list[tuple[str, str]]) -> list[str]:
    """Write each label once, and leave out what is empty."""
    lines, last = [], ""
    for label, text in rows:
        if text:
            lines.append(f"  {'' if label == last else label:<12} {text}")
            last = label
    return lines


def _exit(status: int | None) -> str:
    if status is None:
        return ""
    from genii.units import format_signal

    return f"killed by {format_signal(-status)}" if status < 0 else f"code {status}"


def _limit_rows(details: DetailsRow, paint: Paint) -> list[tuple[str, str]]:
    """Return the limits that matter to most (all: ``--json``), as in force and, where that differs, as declared."""
    rows = []
    for name in sorted({"nofile", "nproc", *details["declared_limits"]}):
        actual, declared = details["limits"].get(name), details["declared_limits"].get(name)
        text = _limit(name, actual) if actual else ""
        if not actual and not declared:
            continue
        if declared and declared != actual:
            note = f"{_limit(name, declared)} at its next start"
            text = f"{text}, {paint(note, 'yellow')}" if text else note
        rows.append(("limits", f"{name} {text}"))
    return rows


def _limit(name: str, pair: list[int]) -> str:
    soft, hard = (_amount(name, number) for number in pair)
    return soft if soft == hard else f"{soft} (hard {hard})"


def _amount(name: str, number: int) -> str:
    if number < 0:
        return "unlimited"
    return format_size(number) if name in _SIZES else str(number)
