"""What can be wrong between programs although each is right by itself. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genii.config.source import did_you_mean
from genii.supervise.template import logs_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from genii.config.source import Scope
    from genii.supervise.model import Logs, Program

__all__ = ["check_programs", "cycles"]

_MOST_PROCESSES = 100_000
"""More than any machine runs, and few enough to look at each name."""


def check_programs(programs: Mapping[str, Program], scopes: Mapping[str, Scope], listen: str = "") -> None:
    """Report unknown and circular dependencies, names and addresses that are taken twice.

    ``scopes`` has all programs that were declared, also those too broken to be among ``programs``; ``listen`` is the
    address of the control API.
    """
    _check_dependencies(programs, scopes)
    _check_process_names(programs, scopes)
    _check_sockets(programs, scopes, listen)
    _check_logs(programs, scopes)


def _check_dependencies(programs: Mapping[str, Program], scopes: Mapping[str, Scope]) -> None:
    for name, program in programs.items():
        for number, other in enumerate(program.depends_on):
            if other not in scopes:
                hint = did_you_mean(other, scopes) or "; declare it, or remove it here"
                scopes[name].error(("depends_on", number), f"there is no program {other!r}{hint}")
            elif programs.get(other) is not None and programs[other].schedule is not None:
                scopes[name].warn(
                    ("depends_on", number), f"{other!r} runs by schedule; {name!r} waits until it has run"
                )
    for cycle in cycles({name: program.depends_on for name, program in programs.items()}):
        chain = " -> ".join((*cycle, cycle[0]))
        message = f"programs wait for each other: {chain}; remove one of these dependencies"
        scopes[cycle[0]].error(("depends_on",), message)


def cycles(graph: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """Yield circles in a graph of names, each once; every circular graph yields at least one."""
    done: set[str] = set()
    for start in graph:
        trail: dict[str, Iterator[str]] = {}
        following: str | None = start
        while following is not None or trail:
            if following is None:
                done.add(trail.popitem()[0])
            elif following in trail:
                names = list(trail)
                yield tuple(names[names.index(following) :])
            elif following in graph and following not in done:
                trail[following] = iter(graph[following])
            following = next(next(reversed(trail.values())), None) if trail else None


def _check_process_names(programs: Mapping[str, Program], scopes: Mapping[str, Scope]) -> None:
    if sum(program.processes_max for program in programs.values()) > _MOST_PROCESSES:
        largest = max(programs.values(), key=lambda program: program.processes_max).name
        scopes[largest].error(
            ("processes",), f"all programs together have more than {_MOST_PROCESSES} processes; lower it"
        )
        return
    taken: dict[str, str] = {name: name for name in programs}
    for name, program in programs.items():
        for process in program.process_names(program.processes_max):
            owner = taken.setdefault(process, name)
            if owner != name:
                key = ("process_name",) if program.process_name else ()
                message = f"the name {process!r} belongs to the program {owner!r} too; choose another"
                scopes[name].error(key, message, key=True)
                break


def _check_logs(programs: Mapping[str, Program], scopes: Mapping[str, Scope]) -> None:
    """Warn of files that several processes log to: each rotates it by its own count."""
    owners: dict[str, str] = {}
    for name, program in programs.items():
        for number, process in enumerate(program.process_names(min(program.processes_max, 2))):
            paths = _log_paths(logs_for(program, number, process))
            shared = next((path for path in paths if owners.get(path, process) != process), "")
            if shared:
                message = f"{shared} is the log of {owners[shared]!r} too; give each its own, or rotation loses lines"
                scopes[name].warn(("logs",), message)
                break
            owners.update(dict.fromkeys(paths, process))


def _log_paths(logs: Logs) -> set[str]:
    """Return the files that a process logs to; devices may be shared."""
    found = (log.path for log in (logs.stdout, logs.stderr) if log is not None)
    return {path for path in found if path and path != "-" and not path.startswith("/dev/")}


def _check_sockets(programs: Mapping[str, Program], scopes: Mapping[str, Scope], listen: str) -> None:
    addresses = {f"tcp://{listen}": "the control API ([http] listen)"} if listen else {}
    for name, program in programs.items():
        variables: dict[str, str] = {}
        for socket in program.sockets:
            path = ("sockets", socket.name)
            variable = "".join(letter if letter.isalnum() else "_" for letter in socket.name.upper())
            other = variables.setdefault(variable, socket.name)
            if other != socket.name:
                scopes[name].error(path, f"would be LISTEN_FD_{variable}, as {other!r} is; rename one", key=True)
            if socket.url.startswith("tcp://") and socket.url.endswith(":0"):
                continue  # any free port: never the same
            owner = addresses.setdefault(socket.url, f"socket {socket.name!r} of the program {name!r}")
            if owner != f"socket {socket.name!r} of the program {name!r}":
                scopes[name].error(path, f"{socket.url} is taken by {owner}; choose another address")
