"""Count the words of a corpus on the workers: ``count_words.py SERVER [FOLDER]``.

Without a folder the corpus is the source of Python's standard library: some hundred files, half a million words.
"""

from __future__ import annotations

import sys
import sysconfig
import time
from pathlib import Path

import genii

PORTION = 10
"""Files of one job."""


def corpus(folder: Path) -> list[list[str]]:
    """Return the texts of a folder in portions."""
    paths = sorted(str(path) for path in folder.iterdir() if path.suffix in (".md", ".py", ".rst", ".txt"))
    return [paths[start : start + PORTION] for start in range(0, len(paths), PORTION)]


def main() -> int:
    server, *rest = sys.argv[1:] or ["127.0.0.1:4732"]
    folder = Path(rest[0] if rest else sysconfig.get_path("stdlib"))
    portions = corpus(folder)
    began = time.monotonic()
    with genii.Client(server, codec="json", timeout=120) as client:
        counts = client.map_reduce("WordCount::count", portions, "WordCount::total")
    seconds = time.monotonic() - began
    top = ", ".join(f"{word} {number}" for word, number in list(counts.items())[:5])
    files = sum(map(len, portions))
    print(f"{sum(counts.values())} words, {len(counts)} different, in {files} files and {seconds:.2f} s: {top}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
