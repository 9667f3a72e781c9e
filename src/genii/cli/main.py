"""The ``genii`` command."""

from __future__ import annotations

import sys

from genii.version import __version__

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    print(f"genii {__version__}")
    return 0 if words else 2
