from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genii.patterns.outcome import shards


@given(st.lists(st.integers(), max_size=50), st.integers(1, 60))
def test_shards_are_the_data_cut_evenly(data: list[int], count: int) -> None:
    pieces = shards(data, count)
    assert [item for piece in pieces for item in piece] == data
    assert len(pieces) == min(count, len(data))
    assert all(pieces)
    assert not pieces or max(map(len, pieces)) - min(map(len, pieces)) <= 1


def test_no_shards_are_refused() -> None:
    with pytest.raises(ValueError, match="one piece or more"):
        shards([1], 0)
