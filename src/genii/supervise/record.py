"""The record of what was started: lines that a later supervisor reads back. No I/O.

One line is eight hexadecimal digits of CRC-32, a space, and a JSON array whose first item is a word::

    ["boot", format, boot id, supervisor]      the first line; a file of another boot means nothing
    ["intent", process]                        is about to be started
    ["process", process, pid, start time, program digest, wall time, restarts]
    ["running", process]                       it counts as running (ready)
    ["left", process, group]                   it ended, but not yet what else is in its process group
    ["gone", process, exit status or null]     it ended
    ["wanted", process, bool]                  somebody stopped (or started) it by hand
    ["scale", program, minimum, maximum]       somebody scaled it by hand
    ["paused", program, bool]                  somebody paused it, or let it go on
    ["due", program, wall time]                its schedule starts it for that moment, as soon as it may start
    ["ran", program, wall time]                its schedule was dealt with up to that moment

A torn last line (we were killed while writing) or a damaged one is left out, and told; what it said is then looked for
in the environment of processes.
"""

from __future__ import annotations

from binascii import crc32
from dataclasses import dataclass, field
from typing import Any

import msgspec

__all__ = ["FORMAT", "Found", "Memory", "encode", "read", "rewrite"]

FORMAT = 1


@dataclass(slots=True)
class Found:
    """What is recorded of one process."""

    pid: int = 0
    start_time: int = 0
    digest: int = 0
    time: float = 0.0
    restarts: int = 0
    running: bool = False
    group: int = 0
    """Of a process that has ended: what is left of its process group is to end, too."""
    intended: bool = False
    """A start was announced, and neither its success nor its failure told."""


@dataclass(slots=True)
class Memory:
    """All that a record says."""

    boot: str = ""
    processes: dict[str, Found] = field(default_factory=dict)
    wanted: dict[str, bool] = field(default_factory=dict)
    scales: dict[str, tuple[int, int]] = field(default_factory=dict)
    paused: dict[str, bool] = field(default_factory=dict)
    runs: dict[str, float] = field(default_factory=dict)
    due: dict[str, float] = field(default_factory=dict)
    foreign: bool = False
    """Whether the record can't be read at all: it is of a format that is not known here, or broken."""
    damaged: int = 0
    """Lines that could not be read."""
    absent: bool = False
    """Whether there is none: nothing ever ran here, all has ended, or somebody has removed it."""


def encode(*items: object) -> bytes:
    """Return one line of the record."""
    body = msgspec.json.encode(items)
    return b"%08x %b\n" % (crc32(body), body)


def read(data: bytes, boot: str) -> Memory:
    """Return what a record says; nothing if it is of another boot than ``boot``."""
    memory = Memory()
    for line in data.splitlines():
        items = _decode(line)
        if items is None:
            memory.damaged += 1
        elif items[0] == "boot":
            memory = Memory(boot=str(items[2]), damaged=memory.damaged)
            if memory.boot != boot:
                return Memory()
            if items[1] != FORMAT:
                return Memory(foreign=True, damaged=1)
        elif memory.boot:
            _apply(memory, items)
    if not memory.boot:  # even the first line is damaged, or was never written
        return Memory(foreign=True, damaged=max(memory.damaged, 1))
    return memory


def _decode(line: bytes) -> list[Any] | None:
    try:
        if int(line[:8], 16) != crc32(line[9:]):
            return None
        items = msgspec.json.decode(line[9:], type=list[Any])
    except (ValueError, msgspec.DecodeError):
        return None
    return items or None


def _apply(memory: Memory, items: list[Any]) -> None:
    match items:
        case ["intent", name]:
            memory.processes.setdefault(name, Found()).intended = True
        case ["process", name, pid, start_time, digest, time, restarts]:
            memory.processes[name] = Found(pid, start_time, digest, time, restarts)
        case ["running", name] if name in memory.processes:
            memory.processes[name].running = True
        case ["left", name, group]:
            memory.processes[name] = Found(group=group)
        case ["gone", name, _]:
            memory.processes.pop(name, None)
        case ["wanted", name, bool(wanted)]:
            memory.wanted[name] = wanted
        case ["scale", name, int(minimum), int(maximum)]:
            memory.scales[name] = (minimum, maximum)
        case ["paused", name, bool(paused)]:
            memory.paused[name] = paused
        case ["ran", name, time]:
            memory.runs[name] = time
            memory.due.pop(name, None)
        case ["due", name, time]:
            memory.due[name] = time
        case _:
            memory.damaged += 1


def rewrite(memory: Memory, boot: str, supervisor: str) -> bytes:
    """Return the shortest record that says the same."""
    lines = [encode("boot", FORMAT, boot, supervisor)]
    for name, found in memory.processes.items():
        if found.pid:
            lines.append(encode("process", name, found.pid, found.start_time, found.digest, found.time, found.restarts))
            if found.running:
                lines.append(encode("running", name))
        elif found.group:
            lines.append(encode("left", name, found.group))
        if found.intended:
            lines.append(encode("intent", name))
    lines += [encode("wanted", name, wanted) for name, wanted in memory.wanted.items()]
    lines += [encode("scale", name, *bounds) for name, bounds in memory.scales.items()]
    lines += [encode("paused", name, paused) for name, paused in memory.paused.items() if paused]
    lines += [encode("ran", name, time) for name, time in memory.runs.items()]
    lines += [encode("due", name, time) for name, time in memory.due.items()]
    return b"".join(lines)
