from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genii.deploy.facts import Holder, read_facts, read_holder

ANSWER = b"""link
/srv/shop/releases/20261121120000
1795262400
Filesystem     1024-blocks     Used Available Capacity Mounted on
tree 1 2 3          263174      421      1024      29% /srv
found
release 20261121110000
release 20261121120000
release lost+found
missing 1
tree 311c254c980578044aaf2bef4e877fe1fcad8cc7
altered lib/a b.py
record
{"release":"20261121120000","state":"good"}

==> revisions.log <==
Branch main (at abc) deployed as release 20261121110000 by alice
"""


def test_an_answer_is_read() -> None:
    facts = read_facts("/srv/shop", ANSWER, ["a", "config/settings.env"])
    assert facts.history.current == "20261121120000"
    assert facts.history.good == ("20261121110000", "20261121120000")
    assert facts.missing == ("config/settings.env",)
    assert (facts.tree[:4], facts.altered) == ("311c", ("lib/a b.py",))
    assert (facts.clock, facts.free) == (1_795_262_400, 1 << 20)


def test_a_host_that_has_nothing_is_new() -> None:
    assert not read_facts("/srv/shop", b"absent\n", []).exists


def test_a_link_to_a_release_that_is_gone_is_no_current_release() -> None:
    facts = read_facts("/srv/shop", ANSWER.replace(b"release 20261121120000\n", b""), ["a", "b"])
    assert facts.history.current == ""
    assert facts.current == "/srv/shop/releases/20261121120000"


@given(st.binary(max_size=300))
def test_garbage_is_refused_or_harmless(answer: bytes) -> None:
    with suppress(ValueError):
        assert read_facts("/srv/shop", answer, []).history.back() == ""


def test_too_many_altered_files_are_all() -> None:
    many = b"".join(b"altered f%d\n" % number for number in range(501))
    assert read_facts("/srv/shop", ANSWER.replace(b"record\n", many + b"record\n", 1), ["a", "b"]).altered is None


@pytest.mark.parametrize("text", ["", "garbage", "[]", '{"by": 7}'])
def test_a_stranger_s_lock_is_somebody_s(text: str) -> None:
    assert str(read_holder(text)) == "somebody"


def test_a_holder_is_told_with_what_is_known() -> None:
    assert str(Holder("alice", "ci-3", "noon", "deploys shop")) == "alice on ci-3 since noon (deploys shop)"
