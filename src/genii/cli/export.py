"""``genii export KIND``: write what other tools want to have."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from genii.errors import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

__all__ = ["configure", "run"]

_EPILOG = """\
examples:
  genii export schema > genii.schema.json     then, in the first line of genii.toml: #:schema ./genii.schema.json
  genii export completion bash > ~/.local/share/bash-completion/completions/genii
  genii export completion zsh  > ~/.zfunc/_genii        (a directory of $fpath)
  genii export completion fish > ~/.config/fish/completions/genii.fish
  genii export toml -c supervisord.conf > genii.toml"""


_SHELLS = ("bash", "zsh", "fish")


def _schema(options: argparse.Namespace) -> str:  # noqa: ARG001 -- every kind gets the options
    import msgspec

    from genii.config.json_schema import json_schema

    return msgspec.json.format(msgspec.json.encode(json_schema()), indent=2).decode() + "\n"


def _completion(options: argparse.Namespace) -> str:
    from genii.cli.completion import known_commands
    from genii.cli.shells import render

    shell = options.shell or os.path.basename(os.environ.get("SHELL", "bash"))
    if shell not in _SHELLS:
        raise UsageError(f"there is no completion for {shell}; name one of {', '.join(_SHELLS)}")
    return render(shell, list(known_commands()))


def _toml(options: argparse.Namespace) -> str:
    from genii.cli.supervisord import find_ini
    from genii.config.ini.convert import convert

    return convert(os.path.abspath(getattr(options, "config", None) or find_ini()))


_KINDS: dict[str, tuple[Callable[[argparse.Namespace], str], str]] = {
    "completion": (_completion, "completion of commands, options and names for a shell"),
    "schema": (_schema, "the JSON Schema of genii.toml, for editors"),
    "toml": (_toml, "the genii.toml for a supervisord.conf (-c FILE)"),
}
"""Kind -> the function that makes the text, and what it is."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.description = "Write to standard output: " + "; ".join(
        f"{kind}: {text}" for kind, (_, text) in _KINDS.items()
    )
    parser.epilog = _EPILOG
    parser.add_argument("kind", metavar="KIND", choices=sorted(_KINDS), help=" | ".join(sorted(_KINDS)))
    parser.add_argument("shell", nargs="?", choices=_SHELLS, help="for completion (default: yours)")


def run(options: argparse.Namespace) -> int:
    """Write the text; return the exit code."""
    if options.shell and options.kind != "completion":
        raise UsageError(f"'export {options.kind}' takes no shell")
    make, _ = _KINDS[options.kind]
    sys.stdout.write(make(options))
    return 0
