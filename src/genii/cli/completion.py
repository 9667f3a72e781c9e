"""What the parsers of the commands know, for the completion scripts of shells and the manual page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genii.cli.options import add_on
from genii.cli.parser import build_parser
from genii.cli.shells import Known, Option
from genii.cli.table import COMMANDS

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

__all__ = ["known_commands", "parsers"]


def parsers() -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    """Yield name, group and parser of each command."""
    from importlib import import_module

    for name, command in COMMANDS.items():
        parser = build_parser(name, command.help)
        import_module(f"genii.cli.{command.module}").configure(parser)
        if command.on_hosts:
            add_on(parser)
        yield name, command.group, parser


def known_commands() -> Iterator[Known]:
    """Yield each command with what its parser takes."""
    for name, _, parser in parsers():
        yield Known(name, COMMANDS[name].help, tuple(_options(parser)), _arguments(parser), _subcommands(parser))


def _options(parser: argparse.ArgumentParser) -> Iterator[Option]:
    for action in parser._actions:
        if action.option_strings and action.help != "==SUPPRESS==":
            choices = tuple(str(choice) for choice in action.choices or ())
            takes_value = action.nargs != 0
            yield Option(tuple(action.option_strings), action.help or "", takes_value, choices, _kind(action))


def _arguments(parser: argparse.ArgumentParser) -> str:
    """Return what the positional arguments are: ``names``, ``files``, or nothing that is known."""
    kinds = [_kind(action) for action in parser._actions if not action.option_strings]
    return next((kind for kind in kinds if kind), "")


def _kind(action: argparse.Action) -> str:
    return str(getattr(action, "completion", ""))


def _subcommands(parser: argparse.ArgumentParser) -> tuple[str, ...]:
    """Return the words that the first positional argument can be."""
    for action in parser._actions:
        if not action.option_strings and action.choices:
            return tuple(str(choice) for choice in action.choices)
    return ()
