"""``genii nohup``: the simple case of ``genii daemonize``."""

from __future__ import annotations

import os

TYPE_CHECKING = False  # as in genii.cli.daemonize
if TYPE_CHECKING:
    import argparse

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.description = (
        "Run a command in the background, here, immune to the terminal's end; its output is kept. Prints its pid."
    )
    parser.usage = "%(prog)s [--output FILE] -- COMMAND [ARGUMENT...]"
    parser.add_argument("command", nargs="+", metavar="COMMAND", help="the command and its arguments")
    parser.add_argument(
        "--output", metavar="FILE", help="append output and errors there (default: nohup.out here, else at home)"
    )


def run(options: argparse.Namespace) -> int:
    """Start the command and print its pid and where its output goes."""
    from genii.daemon.launch import launch_reported
    from genii.system.handover import Expectation
    from genii.system.surroundings import Surroundings

    output = options.output or _default_output()
    surroundings = Surroundings(directory=None, umask=None, stdout=output, ignore_signals=["HUP"], fresh_signals=True)
    report = launch_reported(options.command, surroundings, Expectation())
    if report.ok:
        report.line = f"{report.pid} (output: {output})"
    report.print()
    return report.code


def _default_output() -> str:
    """Return nohup.out in this folder or, where it can't be written, at home: as nohup(1) does."""
    from genii.errors import NotAllowed

    for folder in (os.getcwd(), os.environ.get("HOME", "/")):
        path = os.path.join(folder, "nohup.out")
        if os.access(path if os.path.exists(path) else folder, os.W_OK):
            return path
    raise NotAllowed("nohup.out can be written neither here nor at home; say --output FILE")
