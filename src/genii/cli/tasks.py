"""``genii tasks`` (also ``genii -T``): list what ``tasks.py`` has."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

from genii.cli.options import complete_with

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from genii.fleet.parameters import Parameter
    from genii.fleet.task import Task

__all__ = ["add_file", "configure", "load", "run"]

_EPILOG = """\
examples:
  genii tasks              the tasks of tasks.py here or above
  genii -T                 the same
  genii task uptime --help what one of them takes"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.description = "List the tasks of tasks.py: their names, hosts, parameters and what they do."
    parser.epilog = _EPILOG
    add_file(parser)
    parser.add_argument("--json", action="store_true", help="print a JSON list on standard output")


def add_file(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the file of tasks."""
    action = parser.add_argument("-f", "--file", metavar="FILE", help="the tasks (default: tasks.py here or above)")
    complete_with(action, "files")


def load(options: argparse.Namespace) -> dict[str, Task]:
    """Return the tasks of the file that is named, or found."""
    from genii.fleet.taskfile import find_tasks, load_tasks

    return load_tasks(options.file or find_tasks(os.getcwd()))


def run(options: argparse.Namespace) -> int:
    """List the tasks; return the exit code."""
    found = load(options)
    if options.json:
        print(json.dumps([_described(task) for task in found.values()], indent=2 if sys.stdout.isatty() else None))
    elif found:
        _print_table(found)
    else:
        print("no tasks: mark functions with @genii.task", file=sys.stderr)
    return 0


def _print_table(found: Mapping[str, Task]) -> None:
    from genii.cli.terminal import Paint, format_table

    paint = Paint(sys.stdout)
    rows = [[paint(head, "bold") for head in ("TASK", "HOSTS", "DESCRIPTION")]]
    for task in found.values():
        words = [paint(task.name, "cyan"), *(_usage(parameter) for parameter in task.parameters)]
        rows.append([" ".join(words), " then ".join(task.hosts) or "-", task.desc])
    print("\n".join(format_table(rows)))


def _usage(parameter: Parameter) -> str:
    shown = parameter.name.upper() + ("…" if parameter.many else "")
    if parameter.required:
        return shown
    return f"[{parameter.option}]" if parameter.flag else f"[{parameter.option} {shown}]"


def _described(task: Task) -> dict[str, object]:
    file, line = task.place
    return {
        "name": task.name,
        "description": task.desc,
        "hosts": list(task.hosts),
        "needs": [need.name for need in task.needs],
        "file": file,
        "line": line,
        "parameters": [
            {
                "name": one.name,
                "type": one.kind,
                "required": one.required,
                "default": None if one.default is None else one.default if _plain(one.default) else str(one.default),
                "many": one.many,
                "choices": list(one.choices),
            }
            for one in task.parameters
        ],
    }


def _plain(value: object) -> bool:
    return isinstance(value, str | int | float | bool | list)
