"""The lines of standard input, waited for in the loop: a thread that reads could not be interrupted."""

from __future__ import annotations

import asyncio
import os

__all__ = ["InputLines"]

_PIECE = 1 << 16


class InputLines:
    """Read a descriptor line by line, and not before a line is asked for."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._rest = b""
        self._ended = False

    async def next(self) -> str | None:
        """Return the next line without its end, or None at the end of all."""
        while b"\n" not in self._rest and not self._ended:
            await self._readable()
            data = os.read(self._descriptor, _PIECE)
            self._rest += data
            self._ended = not data
        if not self._rest:
            return None
        line, _, self._rest = self._rest.partition(b"\n")
        return line.removesuffix(b"\r").decode("utf-8", "surrogateescape")

    async def _readable(self) -> None:
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        try:
            loop.add_reader(self._descriptor, ready.set)
        except PermissionError:  # epoll(7) takes no files; reading one never waits for anybody
            return
        try:
            await ready.wait()
        finally:
            loop.remove_reader(self._descriptor)
