"""One command as a value: what a shell is given for it, with directory, environment and user around it. No I/O."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from genii.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Command", "SudoDialogue", "quote"]

_LONGEST_DIALOGUE = 1 << 16
quote = shlex.quote


@dataclass(frozen=True, slots=True)
class Command:
    """A shell command; ``user`` is whom sudo(8) shall become for it, empty: nobody else."""

    text: str
    cwd: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    user: str = ""

    def __post_init__(self) -> None:
        """Refuse what no shell can be told.

        Raises:
            UsageError: a NUL byte, or a name that no variable can have.
        """
        for text in (self.text, self.cwd, self.user, *self.env.values()):
            if "\0" in text:
                raise UsageError(f"a command can't contain a NUL byte: {text!r}")
        for name in self.env:
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
                raise UsageError(f"{name!r} can't be the name of an environment variable")

    def script(self) -> str:
        """Return what sh(1) shall run, without sudo."""
        lines = [f"cd -- {quote(self.cwd)} || exit"] if self.cwd else []
        lines += [f"export {name}={quote(value)}" for name, value in self.env.items()]
        return "\n".join([*lines, self.text])

    def line(self, token: str, *, password: bool = False, root: bool = False) -> str:
        """Return the command line for the login shell of the host, whichever shell that is.

        With ``user`` set, a ``SudoDialogue`` of the same ``token`` reads its standard error; without a ``password``
        to answer with, sudo is told not to ask. Who is ``root`` already needs no sudo, which may not be installed.
        """
        if not self.user or (root and self.user == "root"):
            return f"sh -c {quote(self.script())}"
        if root:
            return f"su -s /bin/sh -c {quote(self.script())} {quote(self.user)}"
        asking = f"-S -p {prompt(token)}" if password else "-n"
        begun = f"echo {begin(token)} >&2\n"
        return f"sudo -H {asking} -u {quote(self.user)} -- sh -c {quote(begun + self.script())}"


def prompt(token: str) -> str:
    """Return how sudo shall ask for the password."""
    return f"genii-password-{token}:"


def begin(token: str) -> str:
    """Return the line that tells that sudo let us in."""
    return f"genii-begin-{token}"


class SudoDialogue:
    """Tell sudo's own words on standard error from those of the command.

    A password is sent only when sudo asks for it: else it would become the command's input.
    """

    def __init__(self, token: str) -> None:
        self._prompt = prompt(token).encode()
        self._begin = begin(token).encode() + b"\n"
        self._held = b""
        self.begun = False
        """Whether sudo let us in."""
        self.asked = 0
        """How often sudo has asked for the password."""

    def feed(self, data: bytes) -> bytes:
        """Take what came; return what of it is the command's."""
        if self.begun:
            return data
        self._held = (self._held + data)[-_LONGEST_DIALOGUE:]
        before, found, after = self._held.partition(self._begin)
        self.asked += before.count(self._prompt)
        self._held = before.replace(self._prompt, b"")
        if not found:
            return b""
        self.begun = True
        return after

    @property
    def words(self) -> str:
        """What sudo has said so far, for an error message."""
        lines = self._held.decode(errors="replace").splitlines()
        return "\n".join(line.strip() for line in lines if line.strip())
