"""The workers of examples/workers, on a slot manager, as their README says."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from genii.errors import TimedOut
from genii.gearman.async_client import AsyncClient
from genii.gearman.slots import SlotManager
from genii.testing.job_server import job_servers

EXAMPLES = Path(__file__).parents[2] / "examples/workers"
DOCS = Path(__file__).parents[2] / "docs"
PATIENCE = 40.0


def test_do_what_they_say() -> None:
    async def main(server: str) -> None:
        common: Any = {"job_servers": [server], "libs": [str(EXAMPLES)]}
        slots: Any = {
            "global": common,
            "testworker:TestWorker": {"min": 2, "max": 5, "workleft": 10},
            "wordcount:WordCount": {"min": 1, "max": 3, "warm": True, "follow": "queue"},
        }
        async with SlotManager(slots), AsyncClient(server, timeout=PATIENCE) as client:
            assert await client.call("TestWorker::reverse", b"hello") == b"olleh"
            assert await client.call("TestWorker::wait", b"0.01") == b"waited 0.01"
            for hidden in ("_private", "NOTVISIBLE"):
                with pytest.raises(TimedOut):  # nobody offers it
                    await client.call(f"TestWorker::{hidden}", b"x", timeout=0.3)
            await asyncio.to_thread(count_words, server)

    with job_servers() as start:
        asyncio.run(main(start().address))


def count_words(server: str) -> None:
    """Count the words of our own documentation, and compare."""
    command = [sys.executable, str(EXAMPLES / "count_words.py"), server, str(DOCS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
    words: Counter[str] = Counter()
    for path in DOCS.iterdir():
        if path.suffix in (".md", ".py"):
            words.update(re.findall(r"[^\W\d_]{2,}", path.read_text().lower()))
    assert done.stdout.startswith(f"{words.total()} words, {len(words)} different, in ")
