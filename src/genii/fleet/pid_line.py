"""A command that tells the pid of its shell first, so that it can be killed from outside.

sshd runs each command in a session of its own, whose process group has the pid of the shell. The line goes to standard
error, marked by a random word; it is the one thing that shells of the Bourne and the C family say alike enough.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["announce", "kill_command", "read_pid"]


def announce(command: str) -> tuple[str, str]:
    """Return the random word, and the command that says it before it does its work."""
    word = f"genii-{secrets.token_hex(8)}"
    return word, f"echo {word} $$ >&2; {command}"


async def read_pid(readline: Callable[[], Awaitable[bytes]], word: str) -> tuple[str, str]:
    """Return the pid, and nothing or, where standard error ends without one, what was said instead."""
    said = b""
    while line := await readline():
        _, found, pid = line.rpartition(word.encode())
        if found:
            return pid.decode("ascii", "replace").strip(), ""
        said = line
    return "", said.decode("utf-8", "replace").strip() or "the connection is broken"


def kill_command(pid: str) -> str:
    """Return the command that kills the whole process group."""
    return f"kill -9 -{int(pid)}"
