from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.deploy.harness import Site
from tests.fleet.conftest import sshd, sshd_program, start_server

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["sshd", "sshd_program", "start_server"]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def three(tmp_path: Path) -> Site:
    """A site of three hosts."""
    return Site(tmp_path, ("h1", "h2", "h3"))
