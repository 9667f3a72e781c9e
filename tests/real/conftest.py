"""The real thing in a folder of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.real.harness import Site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A folder for one configuration; whatever was started in it is gone afterwards."""
    site = Site(tmp_path)
    try:
        yield site
    finally:
        site.close()
