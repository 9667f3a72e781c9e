"""A work crew: one data set, a shard for each worker; here processes, so that they compute at the same time.

python crew.py
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence  # noqa: TC003 -- the processes import this file too

from genii.patterns import crew


def count_primes(numbers: Sequence[int]) -> int:
    return sum(1 for number in numbers if number > 1 and all(number % k for k in range(2, int(number**0.5) + 1)))


async def main() -> None:
    counts = await crew(count_primes, range(200_000), workers=os.cpu_count() or 1, under="processes")
    print(f"{sum(counts)} primes, found in {len(counts)} shards: {counts}")


if __name__ == "__main__":
    asyncio.run(main())
