"""The parser of one command: argparse with a help that shows examples, and errors that are ours."""

from __future__ import annotations

import argparse
import sys

from genii.cli.terminal import Paint, table_width
from genii.errors import UsageError
from genii.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import NoReturn

__all__ = ["Parser", "add_names", "add_on", "add_timeout", "build_parser", "complete_with", "suggest"]


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Write headings in bold and keep the lines of the description as they are."""

    def __init__(self, prog: str) -> None:
        width = table_width(sys.stdout)
        super().__init__(prog, max_help_position=28, width=min(100, width - 2) if width else 100)

    def start_section(self, heading: str | None) -> None:
        super().start_section(Paint(sys.stdout)((heading or "").capitalize(), "bold"))


class Parser(argparse.ArgumentParser):
    """Parse the words of one command; a mistake raises ``UsageError`` and never exits."""

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print, with a hint where an option was misspelt.

        Raises:
            UsageError: always.
        """
        raise UsageError(f"{message}\nusage: {' '.join(self.format_usage().split()[1:])}")

    def parse_command(
        self, words: Sequence[str], defaults: argparse.Namespace, *, mixed: bool = False
    ) -> argparse.Namespace:
        """Parse all words; with ``mixed``, options may stand between arguments that can be left out.

        Raises:
            UsageError: they make no sense.
        """
        parse = self.parse_known_intermixed_args if mixed else self.parse_known_args
        options, unknown = parse(words, defaults)
        if unknown:
            known = [name for action in self._actions for name in action.option_strings]
            hint = suggest(unknown[0].partition("=")[0], known)
            self.error(f"there is no option or argument {unknown[0]!r} here{hint}")
        return options


def build_parser(name: str, summary: str) -> Parser:
    """Make the parser of a command with the options that all commands have."""
    parser = Parser(
        prog=f"genii {name}",
        description=summary[:1].upper() + summary[1:].rstrip(".") + ".",
        formatter_class=_Formatter,
        allow_abbrev=False,
        add_help=False,
        conflict_handler="resolve",
    )
    common = parser.add_argument_group("options of all commands")
    common.add_argument("-h", "--help", action="help", help="show this help")
    config = common.add_argument(
        "-c", "--config", metavar="FILE", default=argparse.SUPPRESS,
        help="the configuration (default: genii.toml here or above, GENII_CONFIG, /etc/genii/genii.toml)",
    )  # fmt: skip
    complete_with(config, "files")
    common.add_argument(
        "--server", metavar="ADDRESS", default=argparse.SUPPRESS,
        help="talk to the supervisor at unix:PATH or [USER@]HOST:PORT (password in GENII_PASSWORD)",
    )  # fmt: skip
    return parser


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


def complete_with(action: argparse.Action, kind: str) -> None:
    """Say what the shell completes here: ``files``, or ``names`` that ``genii __complete`` knows."""
    action.completion = kind  # type: ignore[attr-defined]


def suggest(word: str, known: Iterable[str]) -> str:
    """Return ``; did you mean …?`` when something known is spelt alike, else nothing."""
    from difflib import get_close_matches

    close = get_close_matches(word, sorted(known), n=2, cutoff=0.6)
    return f"; did you mean {' or '.join(map(repr, close))}?" if close else ""
