from __future__ import annotations

import io

import pytest

from genii.errors import PeerError
from genii.listener import events

HEAD = "ver:3.0 server:s serial:1 pool:p poolserial:1 eventname:{} len:{}\n"


def event(name: str, payload: str) -> str:
    return HEAD.format(name, len(payload)) + payload


def test_yields_events_and_accepts_each_when_the_next_is_asked_for() -> None:
    source = io.StringIO(event("PROCESS_LOG_STDOUT", "processname:a pid:1\nhé\n") + event("TICK_5", "when:5"))
    output = io.StringIO()
    found = [(one.name, one.data, one.body) for one in events(source, output)]
    assert found == [
        ("PROCESS_LOG_STDOUT", {"processname": "a", "pid": "1"}, "hé\n"),
        ("TICK_5", {"when": "5"}, ""),
    ]
    assert output.getvalue() == "READY\nRESULT 2\nOK" * 2 + "READY\n"


def test_puts_an_event_back_when_the_body_gives_up() -> None:
    output = io.StringIO()
    stream = events(io.StringIO(event("TICK_5", "when:5")), output)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert output.getvalue() == "READY\nRESULT 4\nFAIL"


def test_refuses_what_is_no_event() -> None:
    with pytest.raises(PeerError):
        next(events(io.StringIO("nonsense\n"), io.StringIO()))
