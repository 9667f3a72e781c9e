from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from genii.deploy.mask import Mask

SECRET = "tr0ub4dor&3"


@given(st.lists(st.integers(0, 200), max_size=10), st.text("abc\n", max_size=40), st.text("abc\n", max_size=40))
def test_a_secret_is_found_in_whatever_pieces_it_comes(cuts: list[int], before: str, after: str) -> None:
    data = f"{before}{SECRET}{after}{SECRET}".encode()
    mask, shown, start = Mask([SECRET]), b"", 0
    for cut in [*sorted(min(cut, len(data)) for cut in cuts), len(data)]:
        shown += mask.feed(data[start:cut])
        start = cut
    shown += mask.end()
    assert shown.decode() == f"{before}[secret]{after}[secret]"


def test_each_line_of_a_secret_is_one() -> None:
    key = "-----BEGIN-----\nMIIEvQ\n-----END-----\n"
    assert Mask([key]).text("key: MIIEvQ, -----END-----") == "key: [secret], [secret]"


def test_short_words_are_no_secrets() -> None:
    assert Mask(["a", "", "yes"]).text("a yes") == "a yes"


def test_a_longer_secret_goes_before_its_beginning() -> None:
    assert Mask(["pass", "password"]).text("password") == "[secret]"


def test_an_endless_line_does_not_pile_up() -> None:
    mask, shown = Mask([SECRET]), b""
    for _ in range(100):
        shown += mask.feed(b"x" * 4000 + SECRET.encode())
        assert len(mask.feed(b"")) == 0
    shown += mask.end()
    assert SECRET.encode() not in shown
    assert shown.count(b"[secret]") == 100
