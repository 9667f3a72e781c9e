from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genii.top.keys import KeyReader


@pytest.mark.parametrize(
    ("data", "keys"),
    [
        (b"jk", ["j", "k"]),
        (b"\x1b[A\x1bOB", ["up", "down"]),
        (b"\x1b[5~ \r\x7f", ["page-up", "space", "enter", "backspace"]),
        (b"\x1b", ["escape"]),
        (b"\x1bq", ["escape", "q"]),
        ("ä\N{SNOWMAN}".encode(), ["ä", "\N{SNOWMAN}"]),
        (b"\x1b[200~x", ["x"]),
        (b"\x01\x02", []),
    ],
)
def test_bytes_become_keys(data: bytes, keys: list[str]) -> None:
    assert KeyReader().feed(data) == keys


def test_a_sequence_may_come_in_pieces() -> None:
    reader = KeyReader()
    assert reader.feed(b"\x1b[") == []
    assert reader.feed(b"5") == []
    assert reader.feed(b"~j") == ["page-up", "j"]
    snowman = "\N{SNOWMAN}".encode()
    assert reader.feed(snowman[:1]) == []
    assert reader.feed(snowman[1:]) == ["\N{SNOWMAN}"]


@given(st.lists(st.binary(max_size=12)))
def test_whatever_comes_is_survived_and_keys_are_names_or_printable(pieces: list[bytes]) -> None:
    reader = KeyReader()
    for piece in pieces:
        for key in reader.feed(piece):
            assert key.isprintable()
            assert key
