"""``genii export KIND``: write what other tools want to have."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

__all__ = ["configure", "run"]

_EPILOG = """\
examples:
  genii export schema > genii.schema.json     then, in the first line of genii.toml: #:schema ./genii.schema.json"""


def _schema(options: argparse.Namespace) -> str:  # noqa: ARG001 -- every kind gets the options
    import msgspec

    from genii.config.json_schema import json_schema

    return msgspec.json.format(msgspec.json.encode(json_schema()), indent=2).decode() + "\n"


_KINDS: dict[str, tuple[Callable[[argparse.Namespace], str], str]] = {
    "schema": (_schema, "the JSON Schema of genii.toml, for editors"),
}
"""Kind -> the function that makes the text, and what it is."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.description = "Write to standard output: " + "; ".join(
        f"{kind}: {text}" for kind, (_, text) in _KINDS.items()
    )
    parser.epilog = _EPILOG
    parser.add_argument("kind", metavar="KIND", choices=sorted(_KINDS), help=" | ".join(sorted(_KINDS)))


def run(options: argparse.Namespace) -> int:
    """Write the text; return the exit code."""
    make, _ = _KINDS[options.kind]
    sys.stdout.write(make(options))
    return 0
