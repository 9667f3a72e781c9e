"""The difference between two contents of a file, as people read it. No I/O."""

from __future__ import annotations

import difflib

__all__ = ["LARGEST_SHOWN", "unified"]

LARGEST_SHOWN = 256 << 10
"""Bytes of a file whose difference is computed: the time grows with the square of the lines."""
_NO_NEWLINE = "\\ No newline at end of file\n"


def unified(path: str, old: bytes | None, new: bytes | None) -> str:
    """Return a unified diff; None is a file that is not there, and binary or huge ones are only named."""
    before, after = "/dev/null" if old is None else path, "/dev/null" if new is None else path
    old, new = old or b"", new or b""
    if old == new and before == after:
        return ""
    if max(len(old), len(new)) > LARGEST_SHOWN or b"\0" in old or b"\0" in new:
        return f"--- {before}\n+++ {after}\n# {len(old)} bytes become {len(new)} bytes\n"
    lines = list(difflib.unified_diff(_lines(old), _lines(new), before, after))
    if not lines:  # an empty file comes or goes
        return f"--- {before}\n+++ {after}\n"
    return "".join(line if line.endswith("\n") else f"{line}\n{_NO_NEWLINE}" for line in lines)


def _lines(content: bytes) -> list[str]:
    return content.decode(errors="replace").splitlines(keepends=True)
