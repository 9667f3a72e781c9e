"""``genii up``: run what is declared, in the foreground or as a daemon."""

from __future__ import annotations

import os
import sys

from genii.cli.launch import become, detach
from genii.errors import UsageError
from genii.typed import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="start only these programs and what they depend on")
    parser.add_argument("-d", "--detach", action="store_true", help="run as a daemon; return when the programs run")
    parser.add_argument("-q", "--quiet", action="store_true", help="show no lines of programs; their logs have them")
    parser.add_argument(
        "--no-wait", action="store_true", help="with -d: return when the supervisor runs, not its programs"
    )
    parser.add_argument(
        "--exit-on-fatal",
        metavar="NAME",
        action="append",
        default=[],
        help="end everything, with its exit code, when this program has ended for good (for containers)",
    )


def run(options: argparse.Namespace) -> int:
    """Become the supervisor, or start one and wait for it; return the exit code."""
    from genii.config.find import find
    from genii.config.ini.place import is_ini

    config = getattr(options, "config", None) or find(os.getcwd(), os.environ)
    if options.detach and options.exit_on_fatal:
        raise UsageError("--exit-on-fatal is for the foreground; it makes no sense with -d")
    shown = sys.stdout is not None  # it is when we were started without a standard output
    path = os.path.abspath(config)
    words = {
        "config": path,
        "names": options.names,
        "foreground": not options.detach,
        "show": not options.quiet,
        "color": shown and sys.stdout.isatty() and "NO_COLOR" not in os.environ,
        "exit_on_fatal": options.exit_on_fatal,
        "wait": not options.no_wait,
        "front": "genii.web.front",
    }
    if is_ini(path):
        _take_on(path)
    if options.detach:
        return detach(words)
    if shown:
        sys.stdout.flush()
    return become(words)


def _take_on(path: str) -> None:
    """Take on what a file in supervisord's language says of limits and user; what is wrong with it is told later."""
    from genii.cli.supervisord import take_on
    from genii.config.ini.declaration import decode
    from genii.config.load import examine

    settings = examine(path).settings
    if settings is not None:
        take_on(decode(settings.supervisord).daemon)
