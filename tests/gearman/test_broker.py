from __future__ import annotations

from pathlib import Path

import pytest

from genii.testing.transcript import Conversation, MemoryServer

TRANSCRIPTS = sorted((Path(__file__).parent / "transcripts").rglob("*.txt"))


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_holds_the_conversation(path: Path) -> None:
    Conversation(MemoryServer()).run(path)
