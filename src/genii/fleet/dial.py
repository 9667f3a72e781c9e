"""TCP connections by name: the addresses are tried in turn, the next as soon as one fails or is silent for a moment.

RFC 8305 (happy eyeballs), sections 4 and 5.
"""

from __future__ import annotations

import asyncio
import socket
from itertools import zip_longest
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["dial", "interleave"]

_PATIENCE = 0.25
"""Seconds that an address may be silent before the next one is tried beside it (RFC 8305, section 8)."""

Address = tuple[int, int, int, str, tuple[object, ...]]
"""What getaddrinfo(3) tells of an address."""


async def dial(host: str, port: int, family: int = socket.AF_UNSPEC) -> socket.socket:
    """Connect to a host by the first of its addresses that answers; return the socket, which does not block.

    Raises:
        OSError: the name does not resolve, or no address can be reached: what the last of them said.
    """
    addresses = interleave(await _resolve(host, port, family))
    return await (_race(addresses) if len(addresses) > 1 else _connect(addresses[0]))


async def _resolve(host: str, port: int, family: int) -> Sequence[Address]:
    name = host.encode() if host.isascii() else host  # text would be taken through IDNA, and that be loaded for it
    numeric = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    try:
        return socket.getaddrinfo(name, port, family, socket.SOCK_STREAM, socket.IPPROTO_TCP, numeric)
    except socket.gaierror:  # a name: that may take its time
        loop = asyncio.get_running_loop()
        return await loop.getaddrinfo(name, port, family=family, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)


def interleave(addresses: Sequence[Address]) -> list[Address]:
    """Put the two families in turn, that of the first address first, each in the order that it had (section 4)."""
    first = [address for address in addresses if address[0] == addresses[0][0]]
    others = [address for address in addresses if address[0] != addresses[0][0]]
    return [address for pair in zip_longest(first, others) for address in pair if address is not None]


async def _connect(address: Address) -> socket.socket:
    family, kind, protocol, _, place = address
    link = socket.socket(family, kind, protocol)
    try:
        link.setblocking(False)
        await asyncio.get_running_loop().sock_connect(link, place)
    except BaseException:
        link.close()
        raise
    return link


async def _race(addresses: Sequence[Address]) -> socket.socket:
    """Return the first connection that comes about; what would come later is given up."""
    waiting = list(addresses)
    trying: set[asyncio.Task[socket.socket]] = set()
    error: BaseException = OSError("no address")
    try:
        while waiting or trying:
            if waiting:
                trying.add(asyncio.create_task(_connect(waiting.pop(0))))
            patience = _PATIENCE if waiting else None
            ended, _ = await asyncio.wait(trying, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                trying.remove(task)
                failure = task.exception()
                if failure is None:
                    return task.result()
                error = failure
    finally:
        await _give_up(trying)
    raise error


async def _give_up(trying: set[asyncio.Task[socket.socket]]) -> None:
    for task in trying:
        task.cancel()
    for found in await asyncio.gather(*trying, return_exceptions=True):
        if isinstance(found, socket.socket):
            found.close()
