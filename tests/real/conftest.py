"""The real thing in a folder of its own."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.real.harness import Site

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A folder for one configuration; whatever was started in it is gone afterwards."""
    site = Site(tmp_path)
    try:
        yield site
    finally:
        site.close()


@pytest.fixture
def public_site() -> Iterator[Site]:
    """A folder that other users may enter (those of pytest are private)."""
    path = Path(tempfile.mkdtemp())
    path.chmod(0o755)
    site = Site(path)
    try:
        yield site
    finally:
        site.close()
        shutil.rmtree(path)
