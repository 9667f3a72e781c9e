"""``genii completion``: a script for the shell, made from the parsers of the commands."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from genii.cli.parser import build_parser
from genii.cli.shells import Known, Option, render
from genii.cli.table import COMMANDS

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

__all__ = ["configure", "known_commands", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), help="which shell the script is for")
    parser.epilog = """Examples:
  genii completion bash > ~/.local/share/bash-completion/completions/genii
  genii completion zsh  > ~/.zfunc/_genii        (a directory of $fpath)
  genii completion fish > ~/.config/fish/completions/genii.fish"""


def run(options: argparse.Namespace) -> int:
    """Print the script."""
    sys.stdout.write(render(options.shell, list(known_commands())))
    return 0


def known_commands() -> Iterator[Known]:
    """Yield each command with what its parser takes."""
    from importlib import import_module

    for name, command in COMMANDS.items():
        parser = build_parser(name, command.help)
        import_module(f"genii.cli.{command.module}").configure(parser)
        yield Known(name, command.help, tuple(_options(parser)), _arguments(parser), _subcommands(parser))


def _options(parser: argparse.ArgumentParser) -> Iterator[Option]:
    for action in parser._actions:
        if action.option_strings and action.help != "==SUPPRESS==":
            choices = tuple(str(choice) for choice in action.choices or ())
            takes_value = action.nargs != 0
            kind = "files" if getattr(action, "completion", "") == "files" else ""
            yield Option(tuple(action.option_strings), action.help or "", takes_value, choices, kind)


def _arguments(parser: argparse.ArgumentParser) -> str:
    """Return what the positional arguments are: ``programs``, ``files``, or nothing that is known."""
    kinds = [getattr(action, "completion", "") for action in parser._actions if not action.option_strings]
    return next((kind for kind in kinds if kind), "")


def _subcommands(parser: argparse.ArgumentParser) -> tuple[str, ...]:
    """Return the words that the first positional argument can be."""
    for action in parser._actions:
        if not action.option_strings and action.choices:
            return tuple(str(choice) for choice in action.choices)
    return ()
