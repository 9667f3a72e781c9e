"""The file of tasks: found from a folder upwards, executed, and looked through for what ``@genii.task`` has marked."""

from __future__ import annotations

import os
import sys
from types import ModuleType
from typing import TYPE_CHECKING

from genii.errors import ConfigError, UsageError
from genii.fleet.blame import problem_of
from genii.fleet.task import tasks_in

if TYPE_CHECKING:
    from genii.fleet.task import Task

__all__ = ["FILE_NAME", "find_tasks", "load_tasks"]

FILE_NAME = "tasks.py"


def find_tasks(start: str) -> str:
    """Return the path of ``tasks.py`` in a folder or above it.

    Raises:
        UsageError: there is none, or the one above belongs to somebody else: it would run as whoever types a command.
    """
    folder = first = os.path.abspath(start)
    while True:
        path = os.path.join(folder, FILE_NAME)
        if os.path.isfile(path):
            owner = os.stat(path).st_uid
            if folder != first and owner not in (0, os.geteuid()):
                raise UsageError(f"{path} belongs to another user (uid {owner}); name it with -f if you trust it")
            return path
        parent = os.path.dirname(folder)
        if parent == folder:
            raise UsageError(f"no {FILE_NAME} in {first} or above; write one, or name it with -f FILE")
        folder = parent


def load_tasks(path: str) -> dict[str, Task]:
    """Execute a file and return its tasks by name.

    Raises:
        ConfigError: the file can't be read or executed; names the line of it.
    """
    path = os.path.abspath(path)
    module = ModuleType("tasks")
    module.__file__ = path
    folder = os.path.dirname(path)
    if folder not in sys.path:
        sys.path.insert(0, folder)  # so that it can import what lies beside it
    sys.modules[module.__name__] = module
    try:
        with open(path, "rb") as file:
            code = compile(file.read(), path, "exec", dont_inherit=True)
        exec(code, vars(module))  # noqa: S102 -- a file of tasks is a program of its user
        return tasks_in(vars(module))
    except ConfigError:
        raise
    except (Exception, SystemExit) as error:
        raise ConfigError([problem_of(error, path)]) from error
