"""Faults at random, in a suite of its own: ``make chaos``, or ``GENII_CHAOS=ROUNDS pytest tests/chaos``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.real.harness import Site

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave these tests out unless they are asked for by the variable."""
    if os.environ.get("GENII_CHAOS"):
        return
    here = Path(__file__).parent
    chaos = [item for item in items if here in item.path.parents]
    items[:] = [item for item in items if item not in chaos]
    config.hook.pytest_deselected(items=chaos)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A folder for one configuration; whatever was started in it is gone afterwards."""
    site = Site(tmp_path)
    try:
        yield site
    finally:
        site.close()
