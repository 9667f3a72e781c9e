from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genii.deploy.rollout import batches, count, enough

HOSTS = [f"h{number}" for number in range(10)]


@pytest.mark.parametrize(
    ("shares", "sizes"),
    [((), [10]), ((1,), [1] * 10), ((1, -25), [1, 3, 3, 3]), ((1, -10, -100), [1, 1, 8]), ((50,), [10])],
)
def test_the_portions(shares: tuple[int, ...], sizes: list[int]) -> None:
    assert [len(batch) for batch in batches(HOSTS, shares)] == sizes


@given(st.lists(st.integers(-100, 20).filter(bool), max_size=4), st.integers(0, 40))
def test_each_host_is_in_one_portion(shares: list[int], number: int) -> None:
    hosts = [str(one) for one in range(number)]
    found = batches(hosts, shares)
    assert [host for batch in found for host in batch] == hosts
    assert all(found) or not hosts


def test_a_share_is_at_least_one_host_and_at_most_all() -> None:
    assert [count(-1, 10), count(-15, 10), count(-100, 10), count(99, 10)] == [1, 2, 10, 10]


def test_enough_is_all_unless_told_otherwise() -> None:
    assert enough(HOSTS, HOSTS, -100)
    assert not enough(HOSTS[1:], HOSTS, -100)
    assert enough(HOSTS[1:], HOSTS, -90)
    assert not enough([], HOSTS, 1)
    assert not enough([], [], 1)
