"""Which of several job servers to use, and when to try one again that failed. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zlib import crc32

from genii.backoff import Backoff
from genii.system.listen import Address, parse_address

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["DEFAULT_PORT", "Pool", "read_servers"]

DEFAULT_PORT = 4730


def read_servers(servers: str | Iterable[str]) -> list[Address]:
    """Read addresses (``host``, ``host:port``, ``unix:/path``), in a list or separated by commas.

    Raises UsageError for what is none.
    """
    texts = servers.split(",") if isinstance(servers, str) else list(servers)
    found = []
    for text in (text.strip() for text in texts):
        bare = ":" not in text and not text.isdigit()
        found.append(parse_address(f"{text}:{DEFAULT_PORT}" if bare and text else text, default_host="127.0.0.1"))
    return list(dict.fromkeys(found)) or [Address("127.0.0.1", DEFAULT_PORT)]


class Pool:
    """The servers of a client: one of them is used until it fails, then the next; failed ones rest for a while.

    Jobs with a unique id go to the server that its hash names, so that equal ones of several clients meet.
    """

    def __init__(self, servers: list[Address], first: int = 0, backoff: Backoff | None = None) -> None:
        self.servers = servers
        self._current = first % len(servers)
        self._backoff = backoff or Backoff(initial=0.1, cap=30.0)
        self._failures: dict[Address, int] = {}
        self._rests_until: dict[Address, float] = {}

    def order(self, now: float, unique: bytes = b"") -> list[Address]:
        """Return the servers to try, the best first; those that rest come last rather than never."""
        start = crc32(unique) % len(self.servers) if unique and unique != b"-" else self._current
        turned = self.servers[start:] + self.servers[:start]
        return sorted(turned, key=lambda server: self._rests_until.get(server, 0.0) > now)

    def succeeded(self, server: Address, *, keep: bool = True) -> None:
        """Note that a server answered; ``keep`` it for the next requests."""
        self._failures.pop(server, None)
        self._rests_until.pop(server, None)
        if keep:
            self._current = self.servers.index(server)

    def failed(self, server: Address, now: float, chance: float = 0.5) -> float:
        """Note that a server failed; return the seconds for which it rests. ``chance`` is random, in [0, 1)."""
        failures = self._failures[server] = self._failures.get(server, 0) + 1
        delay = self._backoff.delay(failures, chance)
        self._rests_until[server] = now + delay
        return delay
