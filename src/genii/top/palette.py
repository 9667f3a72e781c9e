"""What can be said in words after ``:``: the actions, the pages, and how words are completed. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ACTIONS", "PAGES", "Order", "bounds", "complete", "read"]

PAGES = ("processes", "pools", "jobs", "schedules", "events")
"""Those that the keys 1 to 5 show."""
ACTIONS = ("start", "stop", "restart", "reload", "pause", "resume", "drain")
_OTHERS = ("log", "attach", "signal", "scale", "filter", "help", "quit")


class Order(NamedTuple):
    """What was said: a verb and its words; ``problem`` says what is wrong with it."""

    verb: str = ""
    names: tuple[str, ...] = ()
    value: str = ""
    """The signal, the number, the text of a filter."""
    problem: str = ""


def read(text: str, names: Iterable[str]) -> Order:
    """Return what a line means; a verb may be shortened as long as it is one, names must be whole."""
    verb, _, rest = text.strip().partition(" ")
    found = _verb(verb)
    if not found:
        return Order(problem=f"{verb!r} is nothing that can be done here: {' '.join((*ACTIONS, *_OTHERS, *PAGES))}")
    words = rest.split()
    if found == "filter":
        return Order(found, value=rest.strip())
    if found in PAGES or found in ("help", "quit"):
        return Order(found)
    value = ""
    if found == "signal":
        value, *words = words or [""]
    elif found == "scale" and words:
        name, _, value = words[-1].partition("=")
        words[-1:] = [name]
    known = set(names)
    wrong = [word for word in words if word not in known]
    if wrong:
        return Order(problem=f"there is no {wrong[0]!r}")
    if not words or (found in ("scale", "signal") and not value):
        usage = {"scale": "scale NAME=4 or NAME=2..8", "signal": "signal HUP NAME…"}.get(found, f"{found} NAME…")
        return Order(problem=f"say which: {usage}")
    return Order(found, tuple(words), value)


def bounds(text: str) -> tuple[int, int] | None:
    """Read ``4`` or ``2..8``; None: it is neither."""
    low, _, high = text.strip().partition("..")
    if not (low.isascii() and low.isdigit()) or (high and not (high.isascii() and high.isdigit())):
        return None
    return int(low), int(high or low)


def complete(text: str, names: Iterable[str]) -> str:
    """Return a line with its last word completed as far as there is one way to go on."""
    before, space, word = text.rpartition(" ")
    choices = [*names] if space else [*ACTIONS, *_OTHERS, *PAGES]
    found = sorted(choice for choice in choices if choice.startswith(word))
    if not found:
        return text
    shared = found[0]
    for choice in found[1:]:
        while not choice.startswith(shared):
            shared = shared[:-1]
    end = " " if len(found) == 1 and not (space and before.startswith("sc")) else ""
    return f"{before}{space}{shared}{end}"


def _verb(word: str) -> str:
    choices = (*ACTIONS, *_OTHERS, *PAGES)
    if word in choices:
        return word
    found = [choice for choice in choices if word and choice.startswith(word)]
    return found[0] if len(found) == 1 else ""
