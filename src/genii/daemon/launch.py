"""Start a command as a daemon, unchanged."""

from __future__ import annotations

import errno
import os

from genii.system.daemonize import Daemon, Expectation, Report, Surroundings, fork_daemon
from genii.system.handover import describe_error, exit_code
from genii.system.pidfile import PID_FILE_VARIABLE
from genii.system.waiting import check_expectation

TYPE_CHECKING = False  # typing costs more to import than the rest of this module
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

    from genii.system.pidfile import PidFile

__all__ = ["NOT_EXECUTABLE", "NOT_FOUND", "execute", "find_command", "launch", "launch_reported"]

NOT_FOUND = 127
NOT_EXECUTABLE = 126


def launch(
    command: Sequence[str],
    surroundings: Surroundings,
    expectation: Expectation,
    *,
    pid_file: PidFile | None = None,
    double_fork: bool = True,
    monitor: bool = False,
    respawn: bool = False,
) -> Report:
    """Start ``command`` as a daemon and report how it went; exit codes are those of the command.

    Raises ``UsageError``, ``NotAllowed`` and ``CommandFailed`` (127: not found, 126: not executable) before anything
    is started.
    """
    surroundings.check()
    if expectation.awaited:
        check_expectation(expectation, surroundings)
    # The folder may change before the command is looked up again.
    words = [find_command(command[0]), *command[1:]]
    outcome = fork_daemon(
        surroundings, expectation, pid_file=pid_file, double_fork=double_fork, monitor=monitor, respawn=respawn
    )
    if isinstance(outcome, Daemon):
        if pid_file is not None and not respawn:
            os.environ[PID_FILE_VARIABLE] = pid_file.path
        execute(words, command[0], outcome)
    return outcome


def launch_reported(
    command: Sequence[str],
    surroundings: Surroundings,
    expectation: Expectation,
    *,
    pid_file: PidFile | None = None,
    double_fork: bool = True,
    monitor: bool = False,
    respawn: bool = False,
) -> Report:
    """Do as ``launch``, with a command that can't be executed as a report like any other failure."""
    try:
        return launch(
            command, surroundings, expectation,
            pid_file=pid_file, double_fork=double_fork, monitor=monitor, respawn=respawn,
        )  # fmt: skip
    except Exception as error:
        from genii.errors import CommandFailed

        if isinstance(error, CommandFailed):
            return Report(code=error.status, reason=str(error))
        raise


def execute(words: Sequence[str], name: str, daemon: Daemon) -> NoReturn:
    """Replace this process by a command that keeps the name it was called by; tell the waiting parent of a failure."""
    daemon.before_exec()
    try:
        os.execv(words[0], [name, *words[1:]])  # noqa: S606 -- a shell is what we don't want
    except OSError as error:
        code = NOT_FOUND if error.errno == errno.ENOENT else NOT_EXECUTABLE
        daemon.fail(f"{name}: {error.strerror}", code)
        daemon.remove_pid_file()
        os._exit(code)
    except BaseException as error:
        daemon.fail(describe_error(error), exit_code(error))
        os._exit(1)


def find_command(name: str) -> str:
    """Return the absolute path of a command, looked up as a shell does; raises ``CommandFailed``."""
    if "/" in name:
        candidates = [os.path.abspath(name)]
    else:
        candidates = [os.path.join(os.path.abspath(folder), name) for folder in os.get_exec_path()]
    refused = ""
    for path in candidates:
        if os.path.isfile(path):
            if os.access(path, os.X_OK):
                return path
            refused = refused or path
    from genii.errors import CommandFailed

    if refused:
        raise CommandFailed(f"{refused} is not executable; try: chmod +x {refused}", NOT_EXECUTABLE)
    where = "" if "/" in name else " in PATH"
    raise CommandFailed(f"command {name!r} was not found{where}", NOT_FOUND)
