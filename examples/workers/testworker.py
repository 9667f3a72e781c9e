"""A worker class: its public methods are jobs, ``TestWorker::reverse`` and ``TestWorker::wait``."""

from __future__ import annotations

import asyncio

import genii


class TestWorker(genii.Worker):
    """What Gearman::SlotManager's own test worker does, and an asynchronous job."""

    def reverse(self, data: bytes) -> bytes:
        """Return the data backwards."""
        return self._private(data)

    async def wait(self, data: bytes) -> bytes:
        """Return after so many seconds."""
        await asyncio.sleep(float(data or b"0"))
        return b"waited " + (data or b"0")

    def _private(self, data: bytes) -> bytes:
        """Help: names that begin with ``_`` are no jobs."""
        return data[::-1]

    def NOTVISIBLE(self, data: bytes) -> bytes:  # noqa: N802 -- that is the point
        """Help: names all in capitals are no jobs either."""
        return data
