"""What a version of genii says of itself when it is asked whether it can take over. No I/O."""

from __future__ import annotations

import msgspec

__all__ = ["Verdict"]


class Verdict(msgspec.Struct, kw_only=True):
    """What a version says of itself."""

    version: str
    formats: tuple[int, ...] = ()
    """The formats of a state that it reads and writes."""
    problem: str = ""
    """Why it can't take over; empty: it can."""
