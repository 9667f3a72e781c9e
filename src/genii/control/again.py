"""Execute a supervisor anew in the process that it is, as the same version or another."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from genii.supervise.origin import Origin

if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ["command_line", "execute", "own_origin"]


def own_origin(path: str) -> Origin:
    """Return where this version is found; ``path`` is where it was told to find its modules."""
    return Origin(executable=sys.executable, script=sys.argv[0], path=path)


def command_line(origin: Origin, words: str, *more: str) -> list[str]:
    """Return the command line of a supervisor with the options ``words``, see ``genii.control.bootstrap``."""
    interpreter = sys.orig_argv[1 : len(sys.orig_argv) - len(sys.argv)]
    return [origin.executable, *interpreter, origin.script, words, *more]


def execute(origin: Origin, words: str, *more: str, **variables: str) -> NoReturn:
    """Become the supervisor of ``origin``, with the same pid and with ``variables`` in the environment.

    Raises:
        OSError: it can't be executed; nothing has happened.
    """
    sys.stdout.flush()
    environment = {**os.environ, "GENII_SYS_PATH": origin.path, **variables}
    os.execve(origin.executable, command_line(origin, words, *more), environment)  # noqa: S606 -- no shell
