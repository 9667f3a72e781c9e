"""Ask job servers, genii's or C gearmand, how many jobs wait that certain workers could do.

The servers know which functions a worker offers: its client id ends in its pid, unless its class has chosen another.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

from genii.errors import PeerError
from genii.gearman.pool import read_servers

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from genii.system.listen import Address

__all__ = ["QueueDepth", "functions_of", "waiting_in"]

_PATIENCE = 2.0
"""Seconds that a server may take to answer."""
_LONGEST = 1 << 20
_MOST = 10_000
"""Workers that are remembered."""


def functions_of(lines: Iterable[str], ids: frozenset[str]) -> set[str]:
    """Return what the workers with these client ids offer, from the answer to ``workers``."""
    found: set[str] = set()
    for line in lines:
        head, _, functions = line.partition(" :")
        words = head.split(" ", 2)
        if len(words) == 3 and words[2] in ids:
            found.update(functions.split())
    return found


def waiting_in(lines: Iterable[str], functions: set[str]) -> int:
    """Return how many jobs of these functions wait, from the answer to ``status``."""
    waiting = 0
    for line in lines:
        name, *numbers = line.split("\t")
        if name in functions and len(numbers) == 3 and all(number.isdigit() for number in numbers):
            waiting += max(0, int(numbers[0]) - int(numbers[1]))
    return waiting


class QueueDepth:
    """The queues of job servers; keeps one connection to each that it was asked about."""

    def __init__(self) -> None:
        self._host = socket.gethostname()
        self._connections: dict[Address, tuple[asyncio.StreamReader, asyncio.StreamWriter]] = {}
        self._functions: dict[int, set[str]] = {}
        """What each worker offers, by its pid."""

    async def waiting(self, servers: Sequence[str], pids: Sequence[int]) -> int:
        """Return how many jobs wait on ``servers`` that the workers ``pids`` of this host could do.

        A server that does not answer counts as empty, unless none does: then OSError or PeerError is raised.
        """
        if len(self._functions) > _MOST:
            self._functions.clear()  # most of them are gone; who lives is asked about again
        total = 0
        failure: Exception | None = None
        for address in read_servers(servers):
            try:
                async with asyncio.timeout(_PATIENCE):
                    total += await self._ask(address, pids)
            except (OSError, PeerError, ValueError) as error:  # a time-out is an OSError, a line too long a ValueError
                self._forget(address)
                failure = error
                continue
        if failure is not None and not self._connections:
            raise failure
        return total

    async def _ask(self, address: Address, pids: Sequence[int]) -> int:
        if not any(pid in self._functions for pid in pids):
            ids = frozenset(f"{self._host}:{pid}" for pid in pids)
            found = functions_of(await self._list(address, b"workers"), ids)
            if not found:
                return 0
            self._functions.update(dict.fromkeys(pids, found))
        functions = set().union(*(self._functions.get(pid, ()) for pid in pids))
        return waiting_in(await self._list(address, b"status"), functions)

    async def _list(self, address: Address, command: bytes) -> list[str]:
        """Return the lines of an answer that ends with a line of a single dot."""
        reader, writer = await self._connected(address)
        writer.write(command + b"\r\n")
        lines = []
        while (line := await reader.readline()) != b".\n":
            if not line.endswith(b"\n"):
                raise PeerError(f"the job server at {address} hung up")
            lines.append(line.decode("utf-8", "backslashreplace").rstrip("\r\n"))
            if lines[-1] == ".":
                return lines[:-1]
        return lines

    async def _connected(self, address: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        known = self._connections.get(address)
        if known is not None and not known[0].at_eof():
            return known
        self._forget(address)
        if address.path:
            made = await asyncio.open_unix_connection(address.path, limit=_LONGEST)
        else:
            made = await asyncio.open_connection(address.host, address.port, limit=_LONGEST)
        self._connections[address] = made
        return made

    def _forget(self, address: Address) -> None:
        known = self._connections.pop(address, None)
        if known is not None:
            known[1].close()

    def close(self) -> None:
        """Close the connections."""
        for address in list(self._connections):
            with contextlib.suppress(RuntimeError):  # the loop may be closed already
                self._forget(address)
