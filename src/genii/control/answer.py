"""What became of a start, for whoever waits for it."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from genii.control.options import Options

__all__ = ["answer"]


def answer(options: Options, status: int, message: str) -> int:
    """Say what became of the start: to the command that waits for it, or on standard error."""
    if options.report >= 0:
        with contextlib.suppress(BrokenPipeError):
            os.write(options.report, f"{status} {message}".encode())
    elif message:
        print(message, file=sys.stderr)
    return status
