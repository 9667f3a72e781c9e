"""The parser of one command: argparse with a help that shows examples, and errors that are ours."""

from __future__ import annotations

import argparse
import sys

from genii.cli.options import add_common
from genii.cli.terminal import Paint, table_width
from genii.errors import UsageError
from genii.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import NoReturn

__all__ = ["Parser", "build_parser", "suggest"]


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
    add_common(parser)
    return parser


def suggest(word: str, known: Iterable[str]) -> str:
    """Return ``; did you mean …?`` when something known is spelt alike, else nothing."""
    from difflib import get_close_matches

    close = get_close_matches(word, sorted(known), n=2, cutoff=0.6)
    return f"; did you mean {' or '.join(map(repr, close))}?" if close else ""
