"""Workers of the demo: each public method is a job, ``Words::count`` and ``Words::shout``."""

from __future__ import annotations

import time
from collections import Counter

import genii


class Words(genii.Worker):
    """Small work with text."""

    def count(self, data: bytes) -> bytes:
        """Return the three most frequent words and how often they occur."""
        time.sleep(0.2)
        found = Counter(data.decode().lower().split()).most_common(3)
        return " ".join(f"{word}:{number}" for word, number in found).encode()

    def shout(self, data: bytes) -> bytes:
        """Return the text in capitals."""
        return data.decode().upper().encode()
