"""Secrets taken out of what is shown and recorded. No I/O."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Mask"]

_SHORTEST = 4
"""Characters: what is shorter is no secret, and would mangle everything."""
_LONGEST_LINE = 64 * 1024
SHOWN = b"[secret]"


class Mask:
    """Mask the output of one stream, line by line, so that a secret is found even where it came in two pieces."""

    def __init__(self, secrets: Iterable[str]) -> None:
        words = {line.strip().encode() for secret in secrets for line in secret.splitlines()}
        longest_first = sorted((word for word in words if len(word) >= _SHORTEST), key=len, reverse=True)
        self._secrets = re.compile(b"|".join(map(re.escape, longest_first))) if longest_first else None
        self._longest = len(longest_first[0]) if longest_first else 0
        self._rest = b""

    def text(self, text: str) -> str:
        """Return a whole text without the secrets."""
        return self._masked(text.encode(errors="surrogateescape")).decode(errors="replace")

    def feed(self, data: bytes) -> bytes:
        """Return what may be shown now; a line that has not ended waits for its rest."""
        data = self._rest + data
        cut = data.rfind(b"\n") + 1
        if len(data) - cut > _LONGEST_LINE:
            cut = self._safe_cut(data)
        self._rest = data[cut:]
        return self._masked(data[:cut])

    def _safe_cut(self, data: bytes) -> int:
        """Return a place in an endless line that no secret spans."""
        cut = len(data) - self._longest
        for match in self._secrets.finditer(data) if self._secrets else ():
            if match.start() < cut < match.end():
                return match.start()
        return cut

    def end(self) -> bytes:
        """Return what is left when nothing more comes."""
        data, self._rest = self._rest, b""
        return self._masked(data)

    def _masked(self, data: bytes) -> bytes:
        return self._secrets.sub(SHOWN, data) if self._secrets else data
