"""The two halves of every verb: a question to a host, and the steps that follow from its answer. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from genii.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Plan", "Question", "StateError", "Step", "fields", "one_line"]

T = TypeVar("T")


class StateError(UsageError):
    """Say that a wanted state makes no sense, or can't be reached on this host."""

    code = "state"


@dataclass(frozen=True, slots=True)
class Question(Generic[T]):
    """What to ask a host: a script for sh(1) that only reads and ends well, and how its answer is read."""

    script: str
    read: Callable[[bytes], T]


@dataclass(frozen=True, slots=True)
class Step:
    """One command of a plan, for sh(1), and what it gets to read."""

    command: str
    input: bytes = b""


@dataclass(frozen=True, slots=True)
class Plan:
    """What makes a host as it is wanted; no steps: it is so already."""

    steps: tuple[Step, ...] = ()
    difference: str = ""
    """What will be different, for people: lines that begin with ``+`` and ``-``, or a unified diff."""

    @property
    def changes(self) -> bool:
        """Whether anything has to be done."""
        return bool(self.steps)


def fields(answer: bytes) -> dict[str, str]:
    """Read lines of ``key=value``; a key that comes more than once keeps its last value."""
    found = {}
    for line in answer.decode(errors="replace").splitlines():
        key, equals, value = line.partition("=")
        if equals:
            found[key.strip()] = value.strip()
    return found


def one_line(what: str, text: str) -> str:
    """Return a text that goes into a line of some file or command on a host.

    Raises:
        StateError: it is empty, or would break out of its line.
    """
    if not text or any(character in text for character in "\0\n\r"):
        raise StateError(f"{text!r} can't be the {what}: it is empty, or has a line break in it")
    return text
