"""A disk that is full half-way: a small tmpfs."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.deploy.harness import Site

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a file system")


@pytest.fixture
def small(site: Site) -> Iterator[Path]:
    root = site.root()
    root.mkdir(parents=True)
    words = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(root)]
    if subprocess.run(words, capture_output=True, timeout=20).returncode != 0:
        pytest.skip("this machine lets nobody mount a file system")
    yield root
    subprocess.run(["umount", "-l", str(root)], check=True, timeout=20)


def test_a_full_disk_leaves_the_old_release_and_room(site: Site, small: Path) -> None:
    (site.repository / "lib" / "some").write_bytes(os.urandom(400_000))
    site.commit("v2")
    assert site.deploy().status == "good"
    site.set(install=("head -c 1900000 /dev/zero >filler",))  # it fits by the figures, and then it doesn't
    site.commit("v3")
    result = site.deploy()
    assert result.status == "failed"
    assert "No space left" in result.hosts["h1"]
    assert site.live() == "v2"
    assert len(site.releases()) == 1
    site.set(install=())
    assert site.deploy().status == "good"
    assert site.live() == "v3"


def test_a_transfer_that_does_not_fit_is_taken_back(site: Site, small: Path) -> None:
    assert site.deploy().status == "good"
    (site.repository / "large").write_bytes(os.urandom(900_000))
    site.commit("v2")
    filler = small / "filler"
    filler.write_bytes(bytes(600_000))
    site.set(env={}, hooks={})
    result = site.deploy()
    assert result.status == "failed", result
    assert site.live() == "v1"
    filler.unlink()
    assert site.deploy().status == "good"
    assert (site.root() / "current/large").read_bytes() == (site.repository / "large").read_bytes()
