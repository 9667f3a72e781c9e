"""Logging in with a browser, over real TCP: cookie, token, roles, audit."""

from __future__ import annotations

import http.client
import json
import stat
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from genii.control.password import hash_password
from genii.supervise.model import Http
from genii.testing.served import ServedTarget

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from genii.supervise.model import Settings

SECRET = hash_password("right", b"0123456789abcdef")
HTTP = Http(username="me", password=SECRET, readonly_username="eye", readonly_password="look")


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: Any


class Browser:
    """As much of one as matters here."""

    def __init__(self, served: ServedTarget) -> None:
        self.served = served
        self.cookie = ""
        self.token = ""

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.served.tcp.port, timeout=20)
        sent = {"X-Genii-Page": "1", **{key.replace("_", "-"): value for key, value in headers.items()}}
        if self.cookie:
            sent["Cookie"] = self.cookie
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
        if self.token:
            sent.setdefault("X-Genii-Token", self.token)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), sent)
            answer = connection.getresponse()
            found = {key.lower(): value for key, value in answer.getheaders()}
            return Answer(answer.status, found, json.loads(answer.read() or b"{}"))
        finally:
            connection.close()

    def log_in(self, user: str, password: str) -> Answer:
        answer = self.ask("POST", "/api/v1/login", {"user": user, "password": password})
        if answer.status == 200:
            self.cookie = answer.headers["set-cookie"].partition(";")[0]
            self.token = answer.body["token"]
        return answer


@pytest.fixture
def served(settings: Settings, tmp_path: Path) -> Iterator[ServedTarget]:
    from msgspec.structs import replace

    with ServedTarget(replace(settings, http=HTTP), str(tmp_path / "genii.sock"), "genii.web.front") as serving:
        yield serving


def test_a_login_hands_out_a_cookie_that_scripts_and_other_sites_do_not_get(served: ServedTarget) -> None:
    browser = Browser(served)
    assert browser.ask("GET", "/api/v1/session").status == 401
    answer = browser.log_in("me", "right")
    assert (answer.status, answer.body["user"], answer.body["role"]) == (200, "me", "operator")
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert "SameSite=Strict" in answer.headers["set-cookie"]
    assert browser.ask("GET", "/api/v1/session").body == answer.body
    assert browser.ask("POST", "/api/v1/start", {"names": ["web"]}).status == 200


def test_a_page_that_has_to_log_in_sees_no_window_of_the_browser(served: ServedTarget) -> None:
    browser = Browser(served)
    assert "www-authenticate" not in browser.ask("GET", "/api/v1/session").headers
    assert "www-authenticate" not in browser.log_in("me", "wrong").headers


def test_a_change_without_the_pages_token_is_refused(served: ServedTarget) -> None:
    browser = Browser(served)
    browser.log_in("me", "right")
    for token in ("", "0" * 32, "\N{SNOWMAN}".encode().decode("latin-1")):
        browser.token = token
        answer = browser.ask("POST", "/api/v1/stop", {"names": ["all"]})
        assert (answer.status, answer.body["error"]["code"]) == (403, "forged")
    assert browser.ask("GET", "/api/v1/processes").status == 200


def test_a_foreign_page_can_do_nothing_with_the_cookie_and_even_the_token(served: ServedTarget) -> None:
    browser = Browser(served)
    browser.log_in("me", "right")
    names = {"names": ["web"]}
    assert browser.ask("POST", "/api/v1/start", names, Origin="https://evil.example").status == 403
    assert browser.ask("POST", "/api/v1/start", names, Sec_Fetch_Site="cross-site").status == 403
    assert browser.ask("POST", "/api/v1/start", names, Content_Type="text/plain").status == 415
    assert browser.ask("POST", "/api/v1/login", {"user": "me", "password": "right"}, Origin="null").status == 403


def test_a_stolen_cookie_is_worth_nothing_after_logging_out(served: ServedTarget) -> None:
    browser, thief = Browser(served), Browser(served)
    browser.log_in("me", "right")
    thief.cookie, thief.token = browser.cookie, browser.token
    assert thief.ask("GET", "/api/v1/processes").status == 200
    assert browser.ask("POST", "/api/v1/logout", {}).status == 200
    assert thief.ask("GET", "/api/v1/processes").status == 401
    assert thief.ask("POST", "/api/v1/start", {"names": ["web"]}).status == 401


def test_a_reader_looks_and_changes_nothing(served: ServedTarget) -> None:
    browser = Browser(served)
    assert browser.log_in("eye", "look").body["role"] == "reader"
    assert browser.ask("GET", "/api/v1/configuration").status == 200
    assert browser.ask("POST", "/api/v1/start", {"names": ["web"]}).status == 403
    assert browser.ask("POST", "/api/v1/logout", {}).status == 200


def test_guessing_passwords_is_slowed_down(served: ServedTarget) -> None:
    browser = Browser(served)
    assert [browser.log_in("me", f"guess {number}").status for number in range(6)] == [401] * 5 + [429]
    assert browser.log_in("me", "right").status == 429


def test_the_page_and_its_files_are_all_that_strangers_get(served: ServedTarget) -> None:
    browser = Browser(served)
    for path in ("/api/v1/processes", "/api/v1/live", "/api/openapi.json", "/metrics", "/api/v1/audit", "/nothing"):
        assert browser.ask("GET", path).status == 401


def test_logins_outlive_the_supervisor(settings: Settings, tmp_path: Path) -> None:
    from msgspec.structs import replace

    path = str(tmp_path / "genii.sock")
    with ServedTarget(replace(settings, http=HTTP), path) as first:
        browser = Browser(first)
        browser.log_in("me", "right")
    assert stat.S_IMODE((tmp_path / "sessions").stat().st_mode) == 0o600
    with ServedTarget(replace(settings, http=HTTP), path) as second:
        browser.served = second
        assert browser.ask("GET", "/api/v1/session").body["user"] == "me"
    changed = Http(username="me", password=hash_password("other", b"0123456789abcdef"))
    with ServedTarget(replace(settings, http=changed), path) as third:
        browser.served = third
        assert browser.ask("GET", "/api/v1/session").status == 401


def test_who_did_what_is_written_down_and_no_password(served: ServedTarget, tmp_path: Path) -> None:
    browser = Browser(served)
    browser.log_in("me", "wrong-password")
    browser.log_in("me", "right")
    browser.ask("POST", "/api/v1/stop", {"names": ["nobody"]})
    browser.ask("POST", "/api/v1/start", {"names": ["web"]})
    served.client().act("stop", ["web"])
    entries = browser.ask("GET", "/api/v1/audit").body["entries"]
    assert [(entry["action"], entry.get("outcome", "done")) for entry in entries] == [
        ("login", "wrong user or password"),
        ("login", "done"),
        ("stop", "unknown-program"),
        ("start", "done"),
        ("stop", "done"),
    ]
    assert [entry["user"].partition(":")[0] for entry in entries] == ["me", "me", "me", "me", "uid"]
    text = (tmp_path / "audit").read_text()
    assert "web" in text
    assert "wrong-password" not in text


def test_where_nobody_has_to_log_in_the_page_is_told_so(settings: Settings, tmp_path: Path) -> None:
    from msgspec.structs import replace

    open_http = Http(metrics_public=True)
    with ServedTarget(replace(settings, http=open_http), str(tmp_path / "s")) as served:
        browser = Browser(served)
        answer = browser.ask("GET", "/api/v1/session")
        assert (answer.body["role"], answer.body["login"]) == ("operator", False)
        assert browser.ask("POST", "/api/v1/login", {"user": "a", "password": "b"}).status == 409
