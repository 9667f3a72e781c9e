"""Jobs: a server, a worker and a client in one process; see docs/jobs.md for how they run apart."""

from __future__ import annotations

import asyncio

import genii


class Text(genii.Worker):
    """Each public method is a job: ``Text::reverse``, ``Text::count``."""

    def reverse(self, text: str) -> str:
        return text[::-1]

    async def count(self, text: str) -> int:
        await asyncio.sleep(0.01)
        return len(text.split())


async def main(server: str) -> None:
    worker = Text(server, codec="json")
    worker.register(sum, "sum")
    working = asyncio.create_task(worker.serve(concurrency=10))
    async with genii.AsyncClient(server, codec="json", timeout=10) as client:
        print(await client.call("Text::reverse", "olleh"))
        texts = ["one two three", "four five", "six"]
        print(await client.map_reduce("Text::count", texts, "sum"), "words")
    worker.stop()
    await working


if __name__ == "__main__":
    from genii.testing.job_server import job_servers

    with job_servers() as start:
        asyncio.run(main(start().address))
