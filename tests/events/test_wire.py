from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from genii.events.message import HttpError, Peer, Response
from genii.events.percent import parse_query, quote, unquote
from genii.events.sse import EventReader, ServerEvent, render_event
from genii.events.wire import Limits, Phase, Reader, http_date, render_head

PEER = Peer("")
TRANSCRIPT = (
    b"GET /a?x=1 HTTP/1.1\r\nHost: h\r\nX-Two: 1\r\nx-two: 2\r\n\r\n"
    b"POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
    b"POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwiki\r\n5;x=y\r\npedia\r\n0\r\nT: r\r\n\r\n"
    b"GET http://h/d HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\nGET /never HTTP/1.1\r\nHost: h\r\n\r\n"
)


@given(st.lists(st.integers(0, len(TRANSCRIPT))))
def test_requests_are_the_same_however_the_bytes_are_cut(cuts: list[int]) -> None:
    reader = Reader(Limits(), PEER)
    places = [0, *sorted(cuts), len(TRANSCRIPT)]
    for start, end in itertools.pairwise(places):
        reader.feed(TRANSCRIPT[start:end])
    seen = [(request.method, request.target, request.body) for request in reader.requests]
    assert seen == [("GET", "/a?x=1", b""), ("POST", "/b", b"hello"), ("POST", "/c", b"wikipedia"), ("GET", "/d", b"")]
    assert reader.requests[0].headers["x-two"] == "1, 2"
    assert "t" not in reader.requests[2].headers
    assert reader.finished


@given(st.binary(max_size=300), st.integers(1, 50))
def test_garbage_is_refused_or_waited_for_and_never_breaks(data: bytes, step: int) -> None:
    reader = Reader(Limits(head=100, body=50), PEER)
    faults = []
    for start in range(0, len(data), step):
        try:
            reader.feed(data[start : start + step])
        except HttpError as error:
            faults.append(error.status)
    assert len(faults) <= 1, "after a fault nothing more is read"
    assert set(faults) <= {400, 413, 414, 431}
    assert reader.finished or not faults


def test_no_more_is_read_ahead_than_the_limit_allows() -> None:
    reader = Reader(Limits(pipelined=3), PEER)
    for _ in range(10):
        reader.feed(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    assert len(reader.requests) == 3
    total = 0
    while reader.requests:
        total += len(reader.requests)
        reader.requests.clear()
        reader.feed(b"")
    assert total == 10
    assert reader.phase is Phase.IDLE


def test_another_protocol_is_not_spoken_but_the_request_is_answered() -> None:
    reader = Reader(Limits(), PEER)
    reader.feed(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nPRI * HTTP/2.0\r\n\r\n")
    assert [request.target for request in reader.requests] == ["/"]
    assert reader.finished


def test_dates_are_those_of_the_standard() -> None:
    assert http_date(784111777) == "Sun, 06 Nov 1994 08:49:37 GMT"
    assert http_date(951782400) == "Tue, 29 Feb 2000 00:00:00 GMT"


def test_a_response_without_content_says_no_length() -> None:
    assert b"Content-Length" not in render_head(Response(304), date="d", keep_alive=True)
    assert b"Content-Length: 2\r\n" in render_head(Response(200, b"ab"), date="d", keep_alive=True)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_percent_encoding_goes_there_and_back(text: str) -> None:
    assert unquote(quote(text)) == text
    assert parse_query(f"a={quote(text)}&a=2&b") == {"a": [text, "2"], "b": [""]}


def test_broken_percent_encoding_is_left_as_it_is() -> None:
    assert unquote("100%") == "100%"
    assert unquote("%zz%4") == "%zz%4"
    assert unquote("%ff") == "\ufffd"


_PRINTED = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"))


@given(st.lists(st.tuples(_PRINTED, st.text("abc."), st.text("123"))), st.integers(1, 20))
def test_events_arrive_as_they_were_sent_however_they_are_cut(events: list[tuple[str, str, str]], step: int) -> None:
    data = b"".join(render_event(*event) for event in events)
    reader = EventReader()
    seen = [event for start in range(0, len(data), step) for event in reader.feed(data[start : start + step])]
    last, expected = "", []
    for text, kind, identifier in events:
        last = identifier or last
        expected.append(ServerEvent(text, kind or "message", last))
    assert seen == expected
