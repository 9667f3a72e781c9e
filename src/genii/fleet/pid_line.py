"""A command that tells the pid of its shell first, so that it can be killed from outside.

sshd runs each command in a session of its own, whose process group has the pid of the shell. The line goes to standard
error, marked by a random word; it is the one thing that shells of the Bourne and the C family say alike enough.
"""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["announce", "kill_command", "read_pid"]

_PIECE = 4096
_MOST = 1 << 16
"""Bytes that a login shell may say before; who says more is none, and runs something else."""


def announce(command: str) -> tuple[str, str]:
    """Return the random word, and the command that says it before it does its work."""
    word = f"genii-{secrets.token_hex(8)}"
    return word, f"echo {word} $$ >&2; {command}"


async def read_pid(read: Callable[[int], Awaitable[bytes]], word: str) -> tuple[str, bytes]:
    """Return the pid, and what else has come of standard error; no pid where the shell could not read the command."""
    line = re.compile(rb"%s ([0-9]+)\s*?\n" % word.encode())
    said = b""
    while len(said) < _MOST and (piece := await read(_PIECE)):
        said += piece
        if found := line.search(said):
            return found[1].decode(), said[: found.start()] + said[found.end() :]
    return "", said


def kill_command(pid: str) -> str:
    """Return the command that kills the whole process group."""
    return f"kill -9 -{int(pid)}"
