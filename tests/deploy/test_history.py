from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genii.deploy.history import Entry, History, read_history

A, B, C, D, E = (f"2026112112000{number}" for number in range(5))


def history(current: str = "", **states: str) -> History:
    """Return a history of releases named by letters: ``history("B", A="good", B="begun")``."""
    names = {"A": A, "B": B, "C": C, "D": D, "E": E}
    record = [Entry(release=names[name], state=state).line() for name, state in states.items() if state != "unknown"]
    return read_history([names[name] for name in states], names.get(current, ""), record, ())


def test_the_last_line_of_the_record_counts() -> None:
    lines = [Entry(release=A, state="begun", revision="abc", by="alice").line(), Entry(release=A, state="good").line()]
    found = read_history([A], A, lines, ())
    assert found.state(A) == "good"
    assert (found.states[A].revision, found.states[A].by) == ("abc", "alice")


def test_a_line_that_was_cut_short_counts_for_nothing() -> None:
    whole = Entry(release=A, state="good").line()
    assert read_history([A], "", [whole, whole[:17], "\udcff garbage", "[]", ""], ()).state(A) == "good"


def test_what_capistrano_logged_is_good_and_what_is_current_too() -> None:
    log = [f"Branch main (at {'a' * 40}) deployed as release {A} by alice"]
    found = read_history([A, B, C], C, (), log)
    assert [found.state(name) for name in (A, B, C)] == ["good", "unknown", "good"]
    assert found.back() == A


def test_back_is_the_good_release_before() -> None:
    assert history("D", A="good", B="good", C="bad", D="good", E="begun").back() == B
    assert history("C", A="good", B="good", C="begun").back() == B


@pytest.mark.parametrize("states", [{"A": "good"}, {"A": "bad", "B": "good"}, {"A": "begun"}])
def test_there_is_no_way_back_without_a_good_release(states: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="no good release before"):
        history(max(states), **states).back()


@pytest.mark.parametrize("state", ["begun", "bad"])
def test_a_release_that_was_never_good_can_t_be_chosen(state: str) -> None:
    with pytest.raises(ValueError, match="never finished or is bad"):
        history("B", A=state, B="good").back(A)
    assert history("B", A="rolled-back", B="good").back(A) == A


def test_failed_releases_do_not_push_good_ones_out() -> None:
    found = history("B", A="good", B="good", C="bad", D="bad", E="begun")
    assert found.surplus(2) == (C, D, E)


def test_the_release_to_go_back_to_always_stays() -> None:
    found = history("A", A="good", B="good", C="good", D="good")
    assert found.surplus(1, E) == (A, B, C)
    assert history("E", A="good", E="good").surplus(1) == ()


def test_what_nobody_tells_of_goes_when_it_is_older_than_all_that_stays() -> None:
    assert history("E", A="unknown", B="good", C="good", D="unknown", E="good").surplus(2) == (A, B)


def test_a_current_release_that_was_never_well_goes_with_the_next() -> None:
    found = history("B", A="good", B="begun")
    assert found.unfinished
    assert found.half_made() == ()
    assert found.surplus(5, C) == (B,)


def test_one_release_that_was_rolled_back_is_kept() -> None:
    assert history("A", A="good", B="rolled-back", C="rolled-back").surplus(5) == (B,)


STATES = st.sampled_from(["good", "bad", "begun", "removed", "unknown", "rolled-back"])


@given(st.lists(STATES, min_size=1, max_size=9), st.integers(0, 8), st.integers(1, 4))
def test_never_removes_what_is_in_use_or_the_way_back(states: list[str], position: int, keep: int) -> None:
    names = [f"2026112112000{number}" for number in range(len(states))]
    lines = [Entry(release=name, state=state).line() for name, state in zip(names, states, strict=True)
             if state != "unknown"]  # fmt: skip
    current = names[position % len(names)]
    found = read_history(names, current, lines, ())
    gone = found.surplus(keep)
    assert current not in gone
    assert set(found.good[-keep:]).isdisjoint(gone)
    try:
        assert found.back() not in gone
    except ValueError:
        assert not [name for name in found.good if name < current]
    assert set(found.half_made()).isdisjoint({current, *found.good})


def test_a_line_is_one_line_of_json() -> None:
    line = Entry(release=A, state="bad", reason="it\nbroke 'so'").line()
    assert "\n" not in line
    assert msgspec.json.decode(line)["reason"] == "it\nbroke 'so'"
