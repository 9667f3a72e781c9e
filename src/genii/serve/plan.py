"""How a generation of workers is replaced by the next without a dip in capacity. No I/O."""

from __future__ import annotations

from genii.typed import NamedTuple

__all__ = ["Replacement", "replace_generation"]


class Replacement(NamedTuple):
    """What to do now: start so many of the new generation, let so many of the old ones finish and go."""

    start: int
    retire: int


def replace_generation(target: int, old: int, starting: int, ready: int, *, at_once: int, room: int) -> Replacement:
    """Decide for ``target`` workers in the end, of which ``old`` still serve and new ones start or are ready.

    Old ones go only as new ones are ready, so that ``target`` serve all the time; a new generation that does not come
    up costs nothing but its attempts. ``at_once`` new ones start at a time (1: one after the other); there are ``room``
    places for more processes.
    """
    # One that is ready stands for one that goes; the others wait until theirs has come.
    retire = min(old, max(0, old + ready - target))
    start = max(0, min(target - starting - ready, at_once - starting, room))
    return Replacement(start, retire)
