"""Count words by map and reduce: each text is a job, and putting the counts together is another one."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import genii

_WORD = re.compile(r"[^\W\d_]{2,}")


class WordCount(genii.Worker):
    """Jobs whose payloads and results are JSON."""

    def __init__(self, *servers: object, **options: object) -> None:
        super().__init__(*servers, **{**options, "codec": "json"})  # type: ignore[arg-type]

    def count(self, paths: list[str]) -> dict[str, int]:
        """Map: return how often each word occurs in some files."""
        counts: Counter[str] = Counter()
        for path in paths:
            counts.update(_WORD.findall(Path(path).read_text(errors="replace").lower()))
        return dict(counts)

    def total(self, parts: list[dict[str, int]]) -> dict[str, int]:
        """Reduce: return the sum of several counts, the most frequent word first."""
        counts: Counter[str] = Counter()
        for part in parts:
            counts.update(part)
        return dict(counts.most_common())
