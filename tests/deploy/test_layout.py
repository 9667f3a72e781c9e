from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genii.deploy.layout import Layout, deployed_line, is_release, logged_releases, name_release, rolled_back_line

NOON = 1_795_262_400.0  # 2026-11-21 12:00:00 UTC


def test_a_release_is_named_by_the_time_in_utc() -> None:
    assert name_release(NOON, ()) == "20261121120000"


@pytest.mark.parametrize(
    ("newest", "name"),
    [
        ("20261121115959", "20261121120000"),
        ("20261121120000", "20261121120001"),
        ("20991231235959", "21000101000000"),
        ("99999999999998", "99999999999999"),  # no date at all
        ("not-a-release", "20261121120000"),
    ],
)
def test_a_release_is_later_than_all_that_exist(newest: str, name: str) -> None:
    assert name_release(NOON, ["20200101000000", newest]) == name


@given(st.floats(0, 4e9), st.lists(st.integers(10**13, 9 * 10**13).map(str), max_size=5))
def test_names_are_new_and_sorted(now: float, existing: list[str]) -> None:
    name = name_release(now, existing)
    assert is_release(name)
    assert all(name > other for other in existing)


def test_only_a_link_into_releases_is_one_of_ours() -> None:
    layout = Layout("/srv/shop")
    assert layout.release_of("/srv/shop/releases/20261121120000") == "20261121120000"
    assert layout.release_of("releases/20261121120000/") == "20261121120000"
    assert layout.release_of("/srv/other/releases/20261121120000") == ""
    assert layout.release_of("/srv/shop/releases/../shared") == ""
    assert layout.release_of("") == ""


def test_the_lines_of_the_log_are_read_back() -> None:
    lines = [
        deployed_line("main", "a" * 40, "20261121120000", "alice"),
        rolled_back_line("20261121110000", "bob"),
        "Branch odd name (at deadbeef) deployed as release 20261121130000 by ",
        "something else",
    ]
    assert logged_releases(lines) == ["20261121120000", "20261121130000"]
