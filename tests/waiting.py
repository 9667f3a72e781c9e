"""Waiting for what comes: for the end of a process, and for what tells nobody of itself."""

from __future__ import annotations

import os
import select
import time
from typing import TYPE_CHECKING, Literal, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["wait_ended", "wait_gone", "wait_until"]

T = TypeVar("T")

_PATIENCE = 40.0
"""Seconds; a loaded machine takes its time."""


def wait_until(condition: Callable[[], T | Literal[False]], what: str = "what is waited for") -> T:
    """Return the first true answer of a question that nobody answers by an event."""
    deadline = time.monotonic() + _PATIENCE
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"{what} did not come in time"
        time.sleep(0.01)
    return answer


def wait_gone(pid: int) -> None:
    """Wait until a process, whoever's child, has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        wait_ended(descriptor)
    finally:
        os.close(descriptor)


def wait_ended(descriptor: int) -> None:
    """Wait until the process behind a pidfd has ended."""
    waiter = select.poll()
    waiter.register(descriptor, select.POLLIN)
    assert waiter.poll(_PATIENCE * 1000), "a process does not end"
