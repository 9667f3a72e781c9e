"""The few words in braces that differ between the processes of a program, and how they are filled in. No I/O.

``{process_num}`` (with a width: ``{process_num:02}``) and ``{process_name}`` stand in commands, variables, directories,
logs and probes until a process starts. A word in doubled braces is meant literally: ``{{word}}`` becomes ``{word}``.
Other braces (JSON, awk, shell functions) mean nothing here, as only lower-case words are names.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from genii.supervise.model import Health, Log, Logs, Probe, Program, Ready

__all__ = ["PER_PROCESS", "escape", "fill", "for_process", "logs_for", "placeholders"]

PER_PROCESS = ("process_num", "process_name")
"""The names that are known only when a process starts."""

_PLACEHOLDER = re.compile(r"\{(\{[a-z_]+(?::\d{1,2})?\})\}|\{([a-z_]+)(?::(\d{1,2}))?\}")
_NAMED = re.compile(r"\{([a-z_]+(?::\d{1,2})?)\}")
_UNSAFE = re.compile(r"[/:\s]")


def placeholders(text: str) -> Iterator[str]:
    """Yield the names in braces in a text, without those in doubled braces."""
    if "{" in text:
        yield from (match[2] for match in _PLACEHOLDER.finditer(text) if match[2])


def escape(text: str) -> str:
    """Double the braces of a text so that ``fill`` gives it back unchanged."""
    return _NAMED.sub(r"{{\1}}", text) if "{" in text else text


def fill(text: str, names: Mapping[str, str | int]) -> str:
    """Replace the names in braces by their values and undouble doubled braces.

    A width (``{name:02}``) pads numbers with zeros. Names without a value stay as they are.
    """
    if "{" not in text:
        return text

    def value(match: re.Match[str]) -> str:
        if match[1]:
            return match[1]
        if match[2] not in names:
            return match[0]
        found = names[match[2]]
        return str(found).zfill(int(match[3])) if match[3] else str(found)

    return _PLACEHOLDER.sub(value, text)


def for_process(program: Program, number: int, name: str) -> Program:
    """Return the program as its process ``number`` called ``name`` runs it; itself where nothing differs.

    All but the logs is filled in: most programs name them by ``{process_name}`` and differ in nothing else, and a copy
    of each would be felt with a thousand of them. See ``logs_for``.
    """
    if not _has_words(program):
        return program
    names: dict[str, str | int] = {"process_num": number, "process_name": name}

    def filled(text: str) -> str:
        return fill(text, names)

    changes: dict[str, object] = {
        "command": tuple(map(filled, program.command)),
        "check": tuple(map(filled, program.check)),
        "directory": filled(program.directory),
        "environment": {variable: filled(value) for variable, value in program.environment.items()},
        "ready": _probed(program.ready, filled),
        "health": _probed(program.health, filled),
    }
    changed = {field: value for field, value in changes.items() if value != getattr(program, field)}
    return msgspec.structs.replace(program, **changed) if changed else program


def _has_words(program: Program) -> bool:
    """Say whether there may be anything to fill in: nearly always there is not."""
    texts = [*program.command, *program.check, program.directory, *program.environment.values()]
    texts += [owner.probe.target for owner in (program.ready, program.health) if owner is not None]
    return any("{" in text for text in texts)


def logs_for(program: Program, number: int, name: str) -> Logs:
    """Return where the output of a program's process goes.

    In the paths the name is made safe for a file: ``web:0`` is ``web-0``.
    """
    logs = program.logs
    if "{" not in logs.stdout.path and (logs.stderr is None or "{" not in logs.stderr.path):
        return logs
    names: dict[str, str | int] = {"process_num": number, "process_name": _UNSAFE.sub("-", name)}

    def one(log: Log | None) -> Log | None:
        return None if log is None else msgspec.structs.replace(log, path=fill(log.path, names))

    return msgspec.structs.replace(logs, stdout=one(logs.stdout), stderr=one(logs.stderr))


def _probed(owner: Ready | Health | None, filled: Callable[[str], str]) -> Ready | Health | None:
    if owner is None:
        return None
    probe: Probe = msgspec.structs.replace(owner.probe, target=filled(owner.probe.target))
    return msgspec.structs.replace(owner, probe=probe)
