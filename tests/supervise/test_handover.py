from __future__ import annotations

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genii.supervise.handover import (
    FORMATS,
    Envelope,
    Handover,
    HandoverError,
    Listener,
    Slot,
    Stream,
    agree,
    decode,
    encode,
    open_envelope,
)
from genii.supervise.model import Log, Logs, Program, Settings
from genii.supervise.origin import Origin

ORIGIN = Origin(executable="/bin/python", script="/lib/genii/control/bootstrap.py", path="/lib")
STATE = Handover(
    settings=Settings(programs={"web": Program(name="web", command=("web",), logs=Logs(stdout=Log(path="/log")))}),
    pid_file=3,
    keeper=4,
    keeper_pid=77,
    keeper_listener=5,
    notify=6,
    streams=[Stream(key="web/stdout", name="web", descriptor=7, log=["/log", 1, 2, 0.0, False])],
    sockets=[Listener(url="tcp://127.0.0.1:80", descriptor=8)],
    servers={"unix": ([9], [10, 11])},
    slots=[Slot(name="web", program="web", number=0, state="RUNNING", pid=5, started=1.5, reason="\N{SNOWMAN}")],
    runs={"report": 5.0},
)


def envelope(number: int = FORMATS[-1]) -> Envelope:
    return Envelope(format=number, version="1.2", origin=ORIGIN, words="{}", descriptors=list(STATE.descriptors()))


def test_is_read_as_it_was_written() -> None:
    data = encode(STATE, envelope())
    assert decode(data) == STATE
    assert open_envelope(data).origin == ORIGIN


def test_names_each_descriptor_once() -> None:
    assert sorted(STATE.descriptors()) == [3, 4, 5, 6, 7, 8, 9, 10, 11]


def test_leaves_out_what_it_does_not_know_and_fills_in_what_is_missing() -> None:
    content = msgspec.json.decode(encode(STATE, envelope()))
    content["novelty"] = content["state"]["novelty"] = {"a": [1]}
    content["state"]["slots"][0]["novelty"] = 5
    content["state"]["settings"]["programs"]["web"]["novelty"] = True
    del content["state"]["runs"]
    found = decode(msgspec.json.encode(content))
    assert found.slots == STATE.slots
    assert found.settings == STATE.settings
    assert found.runs == {}


def test_refuses_another_format_but_knows_whom_it_came_from() -> None:
    data = encode(STATE, envelope(999))
    with pytest.raises(HandoverError, match=r"the state of genii 1\.2 is of format 999; this version reads 1"):
        decode(data)
    assert open_envelope(data).origin == ORIGIN


def test_agrees_on_the_newest_format_that_both_know() -> None:
    assert agree((0, FORMATS[-1], 999)) == FORMATS[-1]
    assert agree((999,)) == 0


@given(st.binary() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(msgspec.json.encode))
def test_garbage_is_refused_in_words(data: bytes) -> None:
    with pytest.raises(HandoverError):
        decode(data)


@given(st.data())
def test_damage_is_refused_in_words_or_harmless(data: st.DataObject) -> None:
    good = bytearray(encode(STATE, envelope()))
    at = data.draw(st.integers(0, len(good) - 1))
    good[at : at + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8))
    with contextlib.suppress(HandoverError):
        assert isinstance(decode(bytes(good)), Handover)
