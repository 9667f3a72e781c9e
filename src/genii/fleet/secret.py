"""Texts that people and files must not get to see, and how they are kept from them. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Mask", "Secret"]

_HIDDEN = "******"


class Secret:
    """A text that shows itself only to who asks: a password, a token; ``str()`` and ``repr()`` hide it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text itself."""
        return self._text

    def __repr__(self) -> str:
        return f"Secret({_HIDDEN!r})"

    def __str__(self) -> str:
        return _HIDDEN

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


class Mask:
    """Hide secrets in texts that people or files get to see."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: list[str] = []
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> None:
        """Hide one more text; an empty one is ignored."""
        if secret and secret not in self._secrets:
            self._secrets.append(secret)
            self._secrets.sort(key=len, reverse=True)  # one that contains another goes first

    def __call__(self, text: str) -> str:
        """Return the text with each secret replaced by stars."""
        for secret in self._secrets:
            text = text.replace(secret, _HIDDEN)
        return text
