"""In which order programs start and stop, and what an update changes. No I/O."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from genii.supervise.model import Program
from genii.supervise.report import Difference

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    import msgspec

    from genii.supervise.model import Settings

__all__ = ["cycle", "dependents", "difference", "essence", "may_start", "start_order", "with_dependencies"]

_ADJUSTED = frozenset(
    {
        "autostart", "backoff", "check", "check_timeout", "description", "early_exit_fails", "exit_codes", "health",
        "limits", "logs", "orphans", "priority", "processes", "processes_max", "recycle", "reload_signal", "restart",
        "retries", "scaling", "schedule", "secret_variables", "startsecs", "stop", "warm", "watch", "depends_on",
        "ready",
    }
)  # fmt: skip
"""Keys of a program that take effect without a restart of its processes (limits: at their next start)."""

_DEFAULTS = dict(zip(Program.__struct_fields__[::-1], Program.__struct_defaults__[::-1], strict=False))
_ESSENTIAL = tuple((key, _DEFAULTS.get(key)) for key in Program.__struct_fields__ if key not in _ADJUSTED)
"""The other keys, and their defaults."""


def cycle(depends_on: Mapping[str, Collection[str]]) -> list[str]:
    """Return the names along one dependency cycle, the first again at the end; empty: there is none."""
    done: set[str] = set()
    for root in depends_on:
        path: list[str] = []
        todo = [(root, False)]
        while todo:
            name, leaving = todo.pop()
            if leaving:
                done.add(path.pop())
            elif name in path:
                return [*path[path.index(name) :], name]
            elif name not in done:
                path.append(name)
                todo.append((name, True))
                todo.extend((other, False) for other in depends_on.get(name, ()))
    return []


def start_order(programs: Mapping[str, Program], names: Iterable[str]) -> list[str]:
    """Return ``names`` so that each comes after what it depends on; else by priority, then as given."""
    wanted = sorted(names, key=lambda name: programs[name].priority)
    inside = set(wanted)
    order: dict[str, None] = {}
    for root in wanted:
        todo = [(root, False)]
        while todo:
            name, leaving = todo.pop()
            if leaving:
                order[name] = None
            elif name not in order:
                todo.append((name, True))
                todo.extend((other, False) for other in programs[name].depends_on if other in inside)
    return list(order)


def with_dependencies(programs: Mapping[str, Program], names: Iterable[str]) -> list[str]:
    """Return ``names`` and all that they depend on, in start order."""
    found: dict[str, None] = {}
    todo = deque(names)
    while todo:
        name = todo.popleft()
        if name not in found:
            found[name] = None
            todo.extend(programs[name].depends_on)
    return start_order(programs, found)


def dependents(programs: Mapping[str, Program], names: Iterable[str]) -> set[str]:
    """Return the programs that depend on one of ``names``, directly or through others (not ``names`` themselves)."""
    given = set(names)
    found: set[str] = set()
    todo = deque(given)
    while todo:
        name = todo.popleft()
        for other, program in programs.items():
            if name in program.depends_on and other not in found and other not in given:
                found.add(other)
                todo.append(other)
    return found


def may_start(program: Program, satisfied: Callable[[str], bool]) -> list[str]:
    """Return what ``program`` still waits for; empty: it may start. ``satisfied`` tells who may be relied on."""
    return [name for name in program.depends_on if not satisfied(name)]


_NOT_KEPT = frozenset(("programs", "path", "files", "job_servers"))
"""Keys of the settings that are told apart otherwise, or that hold at once."""


def difference(old: Settings, new: Settings) -> Difference:
    """Return what has to be done to get from one configuration to the other."""
    changed: dict[str, tuple[str, ...]] = {}
    adjusted: dict[str, tuple[str, ...]] = {}
    for name, program in new.programs.items():
        before = old.programs.get(name)
        if before is None or before == program:
            continue
        keys = _changed_keys(before, program)
        if set(keys) <= _ADJUSTED:
            adjusted[name] = keys
        else:
            changed[name] = keys
    settings = tuple(key for key in _changed_keys(old, new) if key not in _NOT_KEPT)
    return Difference(
        added=tuple(name for name in new.programs if name not in old.programs),
        removed=tuple(name for name in old.programs if name not in new.programs),
        changed=changed,
        adjusted=adjusted,
        settings=settings,
    )


def essence(program: Program) -> dict[str, object]:
    """Return what of a program can't change without a restart of its processes.

    What has its default is left out, so that a key which a later version adds makes no running process outdated.
    """
    return {key: value for key, default in _ESSENTIAL if (value := getattr(program, key)) != default and value != {}}


def _changed_keys(before: msgspec.Struct, after: msgspec.Struct) -> tuple[str, ...]:
    return tuple(key for key in after.__struct_fields__ if getattr(before, key) != getattr(after, key))
