"""One supervisor for each state directory, even if that is removed."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from genii.control.claim import Claim
from genii.errors import AlreadyRunning

if TYPE_CHECKING:
    from pathlib import Path


def test_a_second_claim_is_refused_also_when_the_directory_was_replaced(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    with Claim(str(state)):
        with pytest.raises(AlreadyRunning, match=r"genii\.pid"), Claim(str(state)):
            pass
        shutil.rmtree(state)
        state.mkdir()
        with pytest.raises(AlreadyRunning, match="was removed or replaced") as caught, Claim(str(state)):
            pass
        assert caught.value.pid == os.getpid()
        assert list(state.iterdir()) == []
    with Claim(str(state)):
        assert int((state / "genii.pid").read_text()) == os.getpid()
    assert list(state.iterdir()) == []


def test_another_directory_is_another_place(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    with Claim(str(tmp_path / "one")), Claim(str(tmp_path / "two")):
        pass


def test_is_taken_over_with_its_descriptors(tmp_path: Path) -> None:
    with Claim(str(tmp_path)) as first:
        descriptors = [os.dup(number) for number in first.descriptors()]
        second = Claim(str(tmp_path))
        second.adopt(*descriptors)
        with second:
            assert second.descriptors() == tuple(descriptors)
