"""The conversations of tests/gearman with Debian's gearmand: what is asked of our server is what that one does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from genii.testing.transcript import Conversation, SocketServer

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.compat
TRANSCRIPTS = sorted((Path(__file__).parent.parent / "gearman" / "transcripts").glob("*.txt"))


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_gearmand_holds_the_same_conversation(path: Path, gearmand: Callable[[], int]) -> None:
    Conversation(SocketServer(gearmand())).run(path)
