from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from genii.supervisord.capture import BEGIN, END, Capture, strip_ansi


def test_takes_messages_out_of_the_stream() -> None:
    log, messages = Capture(100).feed(b"before" + BEGIN + b"message" + END + b"after\n")
    assert (log, messages) == (b"beforeafter\n", [b"message"])


def test_keeps_the_newest_bytes_of_a_message() -> None:
    assert Capture(4).feed(BEGIN + b"123456" + END) == (b"", [b"3456"])


def test_gives_back_what_only_looked_like_a_tag() -> None:
    capture = Capture(100)
    assert capture.feed(b"x<!--XSUPER") == (b"x", [])
    assert capture.flush() == b"<!--XSUPER"


PIECES = st.lists(st.sampled_from([b"a", b"<", b"<!--X", BEGIN, END, b"line\n"]), max_size=10).map(b"".join)


@given(PIECES, st.lists(st.integers(0, 200), max_size=5))
def test_finds_the_same_however_the_stream_is_cut(data: bytes, cuts: list[int]) -> None:
    whole, pieces = Capture(1000), Capture(1000)
    expected_log, expected = whole.feed(data)
    log, messages = b"", []
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for start, end in pairwise(places):
        passed, found = pieces.feed(data[start:end])
        log += passed
        messages += found
    assert (log + pieces.flush(), messages) == (expected_log + whole.flush(), expected)


def test_strips_ansi_escapes() -> None:
    assert strip_ansi(b"\x1b[1;31mred\x1b[0m \x1b[2Jx") == b"red x"
