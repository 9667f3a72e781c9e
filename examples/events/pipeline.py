"""A pipeline: three stages that work at the same time, joined by bounded buffers; the slow one holds up the others.

python pipeline.py
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time

from genii.patterns import Stage, pipeline


def read(path: str) -> tuple[str, bytes]:
    with open(path, "rb") as file:
        return path, file.read()


def digest(file: tuple[str, bytes]) -> tuple[str, str]:
    path, content = file
    return path, hashlib.sha256(content).hexdigest()


async def store(entry: tuple[str, str]) -> str:
    await asyncio.sleep(0.01)  # as long as an insert into a database may take
    return f"{entry[1][:16]}  {os.path.basename(entry[0])}"


def list_files() -> list[str]:
    folder = os.path.dirname(os.path.abspath(asyncio.__file__))
    return sorted(entry.path for entry in os.scandir(folder) if entry.is_file())


async def main() -> None:
    paths = list_files()
    begin = time.monotonic()
    async for outcome in pipeline(paths, Stage(read, workers=4), Stage(digest, workers=2), store, ordered=True):
        print(outcome.value if outcome.ok else f"{outcome.item}: stage {outcome.stage}: {outcome.error}")
    print(f"{len(paths)} files in {time.monotonic() - begin:.1f} s")


if __name__ == "__main__":
    asyncio.run(main())
