"""What becomes of one piece of work, and of many. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Outcome", "Progress", "shards", "values"]

R = TypeVar("R")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Outcome(Generic[R]):
    """The end of one item: a value or an error."""

    index: int
    """Which item it was, counted from 0."""
    item: Any
    value: R | None = None
    error: Exception | None = None
    attempts: int = 0
    """How often the work was tried; for a pipeline in the last stage that tried."""
    stage: int = 0
    """Of a pipeline: the stage that it came from, counted from 0."""
    seconds: float = 0.0
    """From the first attempt to the end of the last one; for a pipeline the sum over the stages."""

    @property
    def ok(self) -> bool:
        """Say whether the work was done."""
        return self.error is None

    def result(self) -> R:
        """Return the value, or raise the error."""
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value] # it has the type of the work where there is no error


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the work has come."""

    done: int
    """Items that have ended, failed ones too."""
    failed: int
    total: int | None
    """None: the items can't be counted beforehand."""


def values(outcomes: Iterable[Outcome[R]]) -> list[R]:
    """Return the values of outcomes that are all good.

    Raises:
        ExceptionGroup: all the errors, each with a note of its item.
    """
    found: list[R] = []
    errors: list[Exception] = []
    for outcome in outcomes:
        if outcome.error is None:
            found.append(outcome.result())
        else:
            outcome.error.add_note(f"item {outcome.index}: {outcome.item!r:.200}")
            errors.append(outcome.error)
    if errors:
        raise ExceptionGroup(f"{len(errors)} of {len(errors) + len(found)} items failed", errors)
    return found


def shards(data: Sequence[T], count: int) -> list[Sequence[T]]:
    """Cut data into ``count`` neighbouring pieces whose lengths differ by one at most; empty ones are left out."""
    if count < 1:
        raise ValueError(f"a data set is cut into one piece or more, not {count}")
    length, longer = divmod(len(data), count)
    pieces, start = [], 0
    for number in range(min(count, len(data))):
        end = start + length + (number < longer)
        pieces.append(data[start:end])
        start = end
    return pieces
