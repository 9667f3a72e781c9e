"""Which hosts switch when, and when it is over: canary, batches, how many must get there. No I/O.

Shares are numbers of hosts, or per cents written as negative numbers (``genii.config.deploy``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

__all__ = ["batches", "count", "enough"]


def count(share: int, total: int) -> int:
    """Return how many hosts a share of them is: at least one, at most all, per cents rounded up."""
    wanted = share if share > 0 else -(share * total // 100)
    return max(1, min(total, wanted))


def batches(hosts: Sequence[str], shares: Sequence[int]) -> list[tuple[str, ...]]:
    """Return the hosts in portions, in their order; the last share is repeated, none at all is one portion."""
    found: list[tuple[str, ...]] = []
    rest = list(hosts)
    for number in range(len(hosts)):
        if not rest:
            break
        size = count(shares[min(number, len(shares) - 1)], len(hosts)) if shares else len(rest)
        found.append(tuple(rest[:size]))
        rest = rest[size:]
    return found


def enough(ready: Collection[str], hosts: Collection[str], min_ok: int) -> bool:
    """Say whether so many hosts are ready to switch that the others may be left behind."""
    return bool(ready) and len(ready) >= count(min_ok, len(hosts))
