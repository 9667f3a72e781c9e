"""The options that several commands have. No I/O."""

from __future__ import annotations

from genii.typed import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from typing import Any

__all__ = ["HIDDEN", "add_common", "add_names", "add_on", "add_timeout", "complete_with"]

HIDDEN = "==SUPPRESS=="
"""``argparse.SUPPRESS``, for who does without that module: no default, or no help."""


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add the options that all commands have."""
    common = parser.add_argument_group("options of all commands")
    common.add_argument("-h", "--help", action="help", help="show this help")
    config = common.add_argument(
        "-c", "--config", metavar="FILE", default=HIDDEN,
        help="the configuration (default: genii.toml here or above, GENII_CONFIG, /etc/genii/genii.toml)",
    )  # fmt: skip
    complete_with(config, "files")
    common.add_argument(
        "--server", metavar="ADDRESS", default=HIDDEN,
        help="talk to the supervisor at unix:PATH or [USER@]HOST:PORT (password in GENII_PASSWORD)",
    )  # fmt: skip


def add_names(parser: argparse.ArgumentParser, *, required: bool, what: str = "") -> None:
    """Add the names of programs or processes, which the shell completes."""
    text = what or "programs, or processes such as web:0" + (", or 'all'" if required else " (default: all)")
    complete_with(parser.add_argument("names", metavar="NAME", nargs="+" if required else "*", help=text), "names")


def add_on(parser: argparse.ArgumentParser) -> None:
    """Add the option of the commands that other hosts' supervisors understand, too."""
    on = parser.add_argument("--on", metavar="HOSTS", action="append", help="the supervisors of these hosts, over SSH")
    complete_with(on, "names")


def add_timeout(parser: argparse.ArgumentParser) -> None:
    """Add the time after which the command gives up waiting."""
    parser.add_argument(
        "--timeout", metavar="TIME", default="0",
        help="wait no longer than this, e.g. 30s (exit 124); what was begun goes on",
    )  # fmt: skip


def complete_with(action: Any, kind: str) -> None:
    """Say what the shell completes here: ``files``, or ``names`` that ``genii __complete`` knows.

    ``action`` is what ``add_argument`` has returned, of argparse or of ``genii.cli.plain``.
    """
    action.completion = kind
