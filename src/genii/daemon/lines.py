"""The lines a control program prints, in Daemon::Control's columns. No I/O."""

from __future__ import annotations

TYPE_CHECKING = False  # typing costs more to import than the rest of this module
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["COLOURS", "is_coloured", "status_line"]

COLOURS = {"red": 31, "green": 32, "yellow": 33, "blue": 34, "magenta": 35, "cyan": 36}
"""Name of a colour -> its number for the terminal (SGR)."""

_NAME_WIDTH = 49
_MESSAGE_WIDTH = 21


def status_line(name: str, message: str, colour: str = "", colours: Mapping[str, int] = COLOURS) -> str:
    """Return ``name`` and, right-aligned at column 71, ``[message]``, coloured where ``colour`` is given.

    A name or message that is too long pushes the rest to the right; nothing is cut.
    """
    text = f"[{message}]"
    padding = " " * max(0, _MESSAGE_WIDTH - len(text))
    if colour:
        text = f"\033[{colours.get(colour, COLOURS['green'])}m{text}\033[0m"
    return f"{name:<{_NAME_WIDTH}} {padding}{text}"


def is_coloured(*, terminal: bool, environment: Mapping[str, str]) -> bool:
    """Decide whether to colour: on a terminal, unless NO_COLOR; elsewhere only with FORCE_COLOR (no-color.org)."""
    if environment.get("NO_COLOR"):
        return False
    if environment.get("FORCE_COLOR"):
        return True
    return terminal and environment.get("TERM", "") != "dumb"
