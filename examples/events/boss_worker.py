"""Boss and workers: 5,000 items through 20 workers, each with a time-out and two more attempts.

python boss_worker.py
"""

from __future__ import annotations

import asyncio
import sys

from genii.patterns import Progress, boss_worker

HOSTS = [f"host{number:04d}.example" for number in range(1, 5001)]


async def visit(host: str) -> str:
    """Stand for a request to a host; every thousandth is down."""
    await asyncio.sleep(0.002)
    if host.endswith("000.example"):
        raise ConnectionRefusedError(f"{host} refuses")
    return f"{host} is well"


def show(progress: Progress) -> None:
    if progress.done % 500 == 0:
        print(f"{progress.done} of {progress.total}, {progress.failed} failed", flush=True)


async def main() -> int:
    outcomes = boss_worker(visit, HOSTS, workers=20, timeout=5, retries=2, progress=show)
    failed = [outcome.item async for outcome in outcomes if not outcome.ok]
    print("to be looked at:", *sorted(failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
