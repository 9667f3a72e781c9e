from __future__ import annotations

import xmlrpc.client
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genii.supervisord.xmlrpc import BadCall, parse_call, parse_response, render_call, render_fault, render_result

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20) | st.sampled_from(["\r\n\t", " a ", "]]>"])
VALUES = st.recursive(
    TEXT | st.integers(-(1 << 31), (1 << 31) - 1) | st.booleans(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT.map(str.strip), inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(VALUES, max_size=4))
def test_reads_what_the_library_writes(params: list[Any]) -> None:
    body = xmlrpc.client.dumps(tuple(params), "a.b").encode()
    # The library writes a bare carriage return, of which every parser makes a line feed.
    assert parse_call(body) == ("a.b", _without_returns(params))


def _without_returns(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\r\n", "\n").replace("\r", "\n")
    if isinstance(value, list):
        return [_without_returns(item) for item in value]
    if isinstance(value, dict):
        return {_without_returns(key): _without_returns(item) for key, item in value.items()}
    return value


@given(VALUES)
def test_writes_what_the_library_reads(value: Any) -> None:
    (found,), _ = xmlrpc.client.loads(render_result(value).decode())
    assert found == value
    assert parse_response(render_result(value)) == (value, False)
    assert parse_call(render_call("x.y", (value,))) == ("x.y", [value])


def test_writes_faults() -> None:
    with pytest.raises(xmlrpc.client.Fault) as caught:
        xmlrpc.client.loads(render_fault(10, "BAD_NAME: <x>").decode())
    assert (caught.value.faultCode, caught.value.faultString) == (10, "BAD_NAME: <x>")
    assert parse_response(render_fault(10, "x")) == ({"faultCode": 10, "faultString": "x"}, True)


def test_replaces_what_xml_can_not_carry() -> None:
    (found,), _ = xmlrpc.client.loads(render_result("a\x00b\x1b[1mc").decode())
    assert found == "a\ufffdb\ufffd[1mc"


def test_reads_values_without_a_type_as_text() -> None:
    body = b"<methodCall><methodName>m</methodName><params><param><value>x</value></param></params></methodCall>"
    assert parse_call(body) == ("m", ["x"])


def test_params_may_be_missing() -> None:
    assert parse_call(b"<methodCall><methodName>m</methodName></methodCall>") == ("m", [])


BOMB = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><methodCall><methodName>&b;</methodName></methodCall>'
CALL = b"<methodCall><methodName>m</methodName><params><param><value>%s</value></param></params></methodCall>"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not xml",
        b"<methodCall>",
        b"<methodCall></methodCall>",
        b"<html/>",
        BOMB,
        CALL % (b"<array><data><value>" * 100 + b"</value></data></array>" * 100),
        CALL % b"<int>x</int>",
        CALL % b"<int>99999999999</int>",
        CALL % b"<boolean>yes</boolean>",
        CALL % b"<nil/>",
        CALL % b"<i8>1</i8>",
        CALL % b"<int>1</int><int>2</int>",
        CALL % b"<struct><member><value>1</value></member></struct>",
        CALL % b"<array><data>" + b"<value/>" * 200_000,
        b"\xff\xfe<methodCall/>",
    ],
)
def test_refuses_what_is_no_call(body: bytes) -> None:
    with pytest.raises(BadCall):
        parse_call(body)


@given(st.binary(max_size=200))
def test_survives_garbage(body: bytes) -> None:
    with pytest.raises(BadCall):
        parse_call(CALL[:60] + body)
