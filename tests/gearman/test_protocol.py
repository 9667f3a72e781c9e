from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genii.errors import PeerError
from genii.gearman.protocol import ARGUMENTS, Kind, PacketReader, arguments, request, response

part = st.binary(max_size=30).map(lambda data: data.replace(b"\0", b"."))


@st.composite
def packets(draw: st.DrawFn) -> tuple[Kind, list[bytes]]:
    kind = draw(st.sampled_from(list(Kind)))
    count = ARGUMENTS[kind]
    parts = [draw(part) for _ in range(count - 1)]
    return kind, [*parts, draw(st.binary(max_size=100))] if count else []


@given(st.lists(packets(), max_size=8), st.lists(st.integers(1, 40), min_size=1))
def test_what_was_written_is_read_whatever_the_chunks(sent: list[tuple[Kind, list[bytes]]], sizes: list[int]) -> None:
    stream = b"".join(response(kind, *parts) for kind, parts in sent)
    reader, received, turn = PacketReader(), [], 0
    while stream:
        size = sizes[turn % len(sizes)]
        received += reader.feed(stream[:size])
        stream = stream[size:]
        turn += 1
    assert [(kind, arguments(kind, body)) for kind, body in received] == sent


def test_every_type_has_its_number_of_arguments() -> None:
    assert set(ARGUMENTS) == set(Kind)


def test_the_header_is_as_the_protocol_text_has_it() -> None:
    assert request(Kind.CAN_DO, b"reverse") == b"\0REQ\0\0\0\x01\0\0\0\x07reverse"
    assert response(Kind.NO_JOB) == b"\0RES\0\0\0\x0a\0\0\0\0"


def test_refuses_what_is_not_gearman() -> None:
    with pytest.raises(PeerError, match="expected a Gearman packet"):
        PacketReader().feed(b"HTTP/1.1 400 Bad Request\r\n")


def test_refuses_a_body_that_is_too_large_before_it_came() -> None:
    with pytest.raises(PeerError, match="larger than the 1000"):
        PacketReader(max_body=1000).feed(b"\0RES\0\0\0\x08\0\0\x04\0")


def test_names_the_packet_with_too_few_arguments() -> None:
    with pytest.raises(PeerError, match="JOB_ASSIGN has 2 arguments instead of 3"):
        arguments(Kind.JOB_ASSIGN, b"H:1\0f")
