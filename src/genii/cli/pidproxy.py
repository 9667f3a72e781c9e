"""``genii pidproxy``: run a command and hand signals on to the process that a pid file names."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from genii.errors import UsageError

if TYPE_CHECKING:
    import argparse
    from types import FrameType

__all__ = ["configure", "run"]

_PASSED_ON = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGQUIT)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    from argparse import REMAINDER

    parser.add_argument("pid_file", metavar="PIDFILE", help="the file with the pid of the process that is meant")
    parser.add_argument("command", metavar="COMMAND", nargs=REMAINDER, help="what to run, with its arguments")
    parser.epilog = """It ends with the command, and with its exit code.

Examples:
  genii pidproxy /run/mysqld/mysqld.pid /usr/bin/mysqld_safe"""


def run(options: argparse.Namespace) -> int:
    """Run the command until it ends; return its exit code, 128 + N after signal N."""
    if not options.command:
        raise UsageError("pidproxy PIDFILE COMMAND…: the command is missing")
    early: list[int] = []
    """What came while the command was being started."""

    def pass_on(number: int, _frame: FrameType | None) -> None:
        if process is None:
            early.append(number)
        else:
            _send(process, options.pid_file, number)

    process: subprocess.Popen[bytes] | None = None
    for each in _PASSED_ON:
        signal.signal(each, pass_on)
    process = subprocess.Popen(options.command)
    for number in early:
        _send(process, options.pid_file, number)
    status = process.wait()
    return 128 - status if status < 0 else status


def _send(process: subprocess.Popen[bytes], pid_file: str, number: int) -> None:
    """Send a signal to the process that the file names; to the command itself where it names none."""
    try:
        with open(pid_file, encoding="ascii") as file:
            pid = int(file.read())
        if pid <= 1:
            raise ValueError(pid)
        os.kill(pid, number)
    except (OSError, ValueError):
        print(f"Can't read child pidfile {pid_file}!", file=sys.stderr)
        process.send_signal(number)
