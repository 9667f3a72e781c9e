"""Where a version of genii is found. No I/O."""

from __future__ import annotations

import msgspec

__all__ = ["Origin"]


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """A version of genii: interpreter, the file it begins with, and the folders of its modules."""

    executable: str
    script: str
    path: str
    """The folders, separated as in PATH."""
