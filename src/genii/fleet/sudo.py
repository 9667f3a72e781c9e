"""The conversation with sudo: the password is sent only where sudo asks for it, and never twice. No I/O.

sudo(8) is told to ask on standard error with words that nobody else says (``-S -p``), and the command says other such
words when it is through. So a sudo that needs no password leaves none in the command's input.
"""

from __future__ import annotations

from genii.errors import CommandFailed

__all__ = ["SudoTalk"]

_MOST_KEPT = 16384


class SudoTalk:
    """Read standard error up to the place where the command begins."""

    def __init__(self, word: str, password: str | None) -> None:
        """``word``: random, so that no output contains it; ``password`` None: there is none to give."""
        self.prompt = f"{word}-password:"
        self.passed = f"{word}-passed"
        self._password = password
        self._asked = 0
        self._held = b""
        self.through = False
        """Whether the command runs."""

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Take some of standard error; return what is to be shown of it, and what is to be sent.

        Raises:
            CommandFailed: sudo wants a password that we have not, or does not accept ours.
        """
        if self.through:
            return data, b""
        self._held += data
        mark = self.passed.encode() + b"\n"
        _, found, rest = self._held.partition(mark)
        if found:
            self.through, self._held = True, b""  # what came before is sudo's lecture
            return rest, b""
        before, asked, rest = self._held.partition(self.prompt.encode())
        if not asked:
            self._held = self._held[-_MOST_KEPT:]
            return b"", b""
        self._held = before + rest
        self._asked += 1
        if self._password is None:
            raise CommandFailed("sudo asks for a password, and none is given (--sudo-password)", 1)
        if self._asked > 1:
            raise CommandFailed("sudo does not accept the password", 1)
        return b"", self._password.encode() + b"\n"

    def rest(self) -> bytes:
        """Return what sudo said where the command never began."""
        held, self._held = self._held, b""
        return held
