"""One command as a value, made into what a shell on the host is given. No I/O."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from genii.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Command", "command_text", "encode"]

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SCRIPT = (
    'genii_file=$(mktemp "${{TMPDIR:-/tmp}}/genii-XXXXXXXX") || exit; trap \'rm -f "$genii_file"\' EXIT; '
    'trap "exit 143" TERM HUP INT; cat >"$genii_file" && chmod 700 "$genii_file" && "$genii_file" {arguments}'
)


def command_text(words: Sequence[str]) -> str:
    """Make the shell text of a command line: one word is shell syntax, several are passed on exactly as they are."""
    return words[0] if len(words) == 1 else shlex.join(words)


def encode(text: str) -> bytes:
    """Return a command in bytes; those of our own command line that are no UTF-8 are what they were (PEP 383)."""
    return text.encode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True)
class Command:
    """A command, and where and as whom it runs."""

    text: str
    """Shell syntax; with ``script``, its arguments."""
    script: bytes | None = None
    """A file to run there instead: sent along, run, removed."""
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: str = ""
    sudo: bool = False
    user: str = ""
    """Whom sudo becomes; empty: root."""
    input: bytes = b""

    def __post_init__(self) -> None:
        """Refuse what a shell would misunderstand.

        Raises:
            UsageError: a variable has no name, or something contains a NUL byte.
        """
        for name in self.environment:
            if not _VARIABLE.fullmatch(name):
                raise UsageError(f"{name!r} is not the name of a variable; write NAME=VALUE")
        if "\0" in "".join((self.text, self.directory, self.user, *self.environment.values())):
            raise UsageError("a command can't contain NUL bytes")

    @property
    def data(self) -> bytes:
        """What its standard input is given."""
        return self.script if self.script is not None else self.input

    def line(self, prompt: str = "", passed: str = "", *, wrapped: bool = False) -> str:
        """Return the text for the user's shell on the host; ``wrapped``: for sh, whatever that shell is.

        With sudo, ``prompt`` is what sudo asks with (empty: it must not ask), and ``passed`` is said on standard error
        when it is satisfied.
        """
        inner = _SCRIPT.format(arguments=self.text) if self.script is not None else self.text
        before = [f"cd -- {shlex.quote(self.directory)} || exit"] if self.directory else []
        before += [f"export {name}={shlex.quote(value)}" for name, value in self.environment.items()]
        if not self.sudo:
            # The user's shell may be none of the Bourne family: ours reads what is ours.
            plain = not before and self.script is None and not wrapped
            return inner if plain else shlex.join(["exec", "sh", "-c", "; ".join([*before, inner])])
        told = [*([f"echo {shlex.quote(passed)} >&2"] if prompt else []), *before, inner]
        asks = ["-S", "-p", prompt] if prompt else ["-n"]
        words = ["sudo", *asks, *(["-u", self.user] if self.user else []), "--"]
        return "exec " + shlex.join([*words, "sh", "-c", "; ".join(told)])
