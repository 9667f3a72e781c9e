"""Starts that happen together: some are prepared, then spawned one right after the other, then taken note of.

Each spawn hands the processor to the new process and back; what is done between two of them is done with cold caches,
and takes three times as long as in a row.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from genii.supervise.process import Process
    from genii.system.spawn import Command

__all__ = ["Launches"]

_log = logging.getLogger(__name__)
_TOGETHER = 32
"""Starts that are prepared at the most: each may hold a descriptor, and the first is not to wait long."""


class Launches:
    """Spawn processes: each at once, or within ``with`` many in a row."""

    def __init__(self) -> None:
        self._gathering = False
        self._prepared: list[tuple[Process, Command]] = []

    @property
    def waiting(self) -> int:
        """How many are prepared."""
        return len(self._prepared)

    def __enter__(self) -> None:
        self._gathering = True

    def __exit__(self, *_: object) -> None:
        self._gathering = False
        self._carry_out()

    def add(self, process: Process, command: Command) -> None:
        """Spawn a process, now or before ``with`` is left; it is told how that went."""
        self._prepared.append((process, command))
        if not self._gathering or len(self._prepared) >= _TOGETHER:
            self._carry_out()

    def _carry_out(self) -> None:
        prepared, self._prepared = self._prepared, []
        results = [process.launch(command) for process, command in prepared]
        for (process, _), result in zip(prepared, results, strict=True):
            try:
                process.launched(result)
            except Exception:  # the others were started, too
                _log.exception("the start of %s", process.name)
