from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from genii.supervise.holds import Holds

PROGRAMS = {"db": (), "jobs": ("db",), "web": ("db", "jobs"), "mail": ()}


def test_holds_back_what_is_depended_on_until_the_last_is_gone() -> None:
    holds = Holds()
    for name, depends_on in PROGRAMS.items():
        holds.add(name, depends_on)
    assert [name for name in PROGRAMS if holds.hold(name)] == ["db", "jobs"]
    assert holds.remove("web") == ["jobs"]
    assert holds.remove("mail") == []
    assert holds.remove("jobs") == ["db"]
    assert not holds.hold("db")


def test_counts_a_process_once_however_often_it_is_added() -> None:
    holds = Holds()
    holds.add("web", ("db",))
    holds.add("web", ("mail",))
    assert not holds.hold("db")
    assert holds.remove("web") == ["mail"]
    assert holds.remove("web") == []


@given(
    depends_on=st.dictionaries(st.sampled_from("abcdef"), st.sets(st.sampled_from("abcdef")), min_size=1),
    ends=st.permutations("abcdef"),
)
def test_says_what_a_look_at_all_would_say(depends_on: dict[str, set[str]], ends: list[str]) -> None:
    holds, living = Holds(), dict(depends_on)
    for name, others in depends_on.items():
        holds.add(name, sorted(others))
    for name in ends:
        before = {other for other in "abcdef" if holds.hold(other)}
        living.pop(name, None)
        freed = holds.remove(name)
        held = {other for others in living.values() for other in others}
        assert {other for other in "abcdef" if holds.hold(other)} == held
        assert set(freed) == before - held
