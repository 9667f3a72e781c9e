from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.deploy.harness import Site

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def three(tmp_path: Path) -> Site:
    """A site of three hosts."""
    return Site(tmp_path, ("h1", "h2", "h3"))
