"""Logins of browsers, as values; and what was done, as a file."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from genii.control.access import Account, Role
from genii.control.audit import Audit
from genii.control.sessions import Sessions, cookie_value, forgery_token

ME = Account("me", "scrypt$one", Role.OPERATOR)
HOUR = 3600.0


def test_a_session_is_found_by_its_token_alone() -> None:
    sessions = Sessions()
    sessions.open("token", ME, 0.0)
    assert sessions.find("token", [ME], 1.0) == ME
    for other in ("", "toke", "token ", "Token"):
        assert sessions.find(other, [ME], 1.0) is None


def test_a_session_ends_by_logging_out() -> None:
    sessions = Sessions()
    sessions.open("token", ME, 0.0)
    sessions.close("token")
    assert sessions.find("token", [ME], 1.0) is None


def test_a_session_that_is_not_used_ends() -> None:
    sessions = Sessions()
    sessions.open("token", ME, 0.0)
    assert sessions.find("token", [ME], 11 * HOUR)
    assert sessions.find("token", [ME], 22 * HOUR)
    assert sessions.find("token", [ME], 35 * HOUR) is None


def test_a_session_ends_after_a_week_in_any_case() -> None:
    sessions = Sessions()
    sessions.open("token", ME, 0.0)
    for hours in range(10, 168, 10):
        assert sessions.find("token", [ME], hours * HOUR)
    assert sessions.find("token", [ME], 169 * HOUR) is None


@pytest.mark.parametrize(
    "accounts", [[], [ME._replace(password="scrypt$two")], [ME._replace(name="you")]], ids=["gone", "password", "name"]
)
def test_a_session_ends_with_the_password_it_was_opened_with(accounts: list[Account]) -> None:
    sessions = Sessions()
    sessions.open("token", ME, 0.0)
    assert sessions.find("token", accounts, 1.0) is None


def test_the_role_is_that_of_the_account_now() -> None:
    sessions = Sessions()
    sessions.open("token", ME, 0.0)
    demoted = ME._replace(role=Role.READER)
    assert sessions.find("token", [demoted], 1.0) == demoted


def test_sessions_outlive_the_process_without_their_tokens() -> None:
    sessions = Sessions()
    sessions.open("secret-token", ME, 0.0)
    data = sessions.encode()
    assert b"secret-token" not in data
    assert b"scrypt$one" not in data
    assert Sessions(data).find("secret-token", [ME], 1.0) == ME


@given(st.binary(max_size=200))
def test_garbage_in_the_file_is_forgotten(data: bytes) -> None:
    assert Sessions(data).find("token", [ME], 1.0) is None


def test_the_session_used_longest_ago_gives_way() -> None:
    sessions = Sessions()
    for number in range(300):
        sessions.open(f"token {number}", ME, float(number))
    assert len(sessions) == 256
    assert sessions.find("token 0", [ME], 300.0) is None
    assert sessions.find("token 299", [ME], 300.0) == ME


def test_the_pages_token_tells_nothing_of_the_cookies() -> None:
    assert forgery_token("token") != "token"
    assert forgery_token("token") == forgery_token("token")
    assert forgery_token("token") != forgery_token("other")


@pytest.mark.parametrize(
    ("header", "value"),
    [("a=1", ""), ("genii=x", "x"), ("a=1; genii=x; b=2", "x"), ("xgenii=1;genii=2", "2"), ("genii", ""), ("", "")],
)
def test_a_cookie_is_found_among_others(header: str, value: str) -> None:
    assert cookie_value(header, "genii") == value


@given(
    st.binary(max_size=200)
    | st.lists(st.text() | st.floats(allow_nan=False)).map(lambda value: json.dumps(value).encode())
)
@example(b'{"a":{"x":' + b"[" * 100000)
def test_what_is_no_sessions_is_forgotten(data: bytes) -> None:
    assert len(Sessions(data)) == 0


@given(st.lists(st.binary(max_size=100), max_size=5))
@example([b'{"x":' + b"[" * 30000])
def test_an_audit_log_that_is_damaged_is_read_as_far_as_it_goes(lines: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "audit")
        path.write_bytes(b"\n".join(lines) + b"\n")
        Audit(str(path)).note("me", "here", "start", "web", "done")
        assert [entry.action for entry in Audit(str(path)).recent()] == ["start"]
