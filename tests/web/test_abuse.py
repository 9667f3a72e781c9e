"""What a dashboard has to bear: many tabs, thieves of tokens, pages of others, supervisors that come and go."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import select
import socket
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

import pytest
from playwright.sync_api import expect
from tests.web.conftest import PASSWORD, PATIENCE, url_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page
    from tests.real.harness import Site

pytestmark = [pytest.mark.slow, pytest.mark.compat, pytest.mark.xdist_group("browser"), pytest.mark.timeout(180)]

expect.set_options(timeout=PATIENCE)

TABS = 100


class Session(NamedTuple):
    """What a login gave."""

    cookie: str
    token: str


def ask(
    site: Site, method: str, path: str, body: object = None, **headers: str
) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection = http.client.HTTPConnection(url_of(site).removeprefix("http://"), timeout=PATIENCE / 1000)
    try:
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        if body is not None:
            named["Content-Type"] = "application/json"
        connection.request(method, path, json.dumps(body) if body is not None else None, named)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def log_in(site: Site, user: str = "me", password: str = PASSWORD) -> Session:
    status, headers, body = ask(site, "POST", "/api/v1/login", {"user": user, "password": password}, X_Genii_Page="1")
    assert status == 200, body
    return Session(headers["Set-Cookie"].partition(";")[0], json.loads(body)["token"])


class Tab:
    """An event stream as a tab has it open."""

    def __init__(self, site: Site, session: Session) -> None:
        address = url_of(site).removeprefix("http://")
        host, _, port = address.partition(":")
        self.socket = socket.create_connection((host, int(port)), PATIENCE / 1000)
        head = f"GET /api/v1/live HTTP/1.1\r\nHost: {address}\r\nCookie: {session.cookie}\r\nX-Genii-Page: 1\r\n\r\n"
        self.socket.sendall(head.encode())
        self.heard = b""

    def hears(self, text: bytes) -> bool:
        return text in self.heard


def listen(tabs: list[Tab], text: bytes) -> None:
    """Read from all until each has heard a text."""
    end = time.monotonic() + PATIENCE / 1000
    waiting = {tab.socket: tab for tab in tabs if not tab.hears(text)}
    while waiting:
        ready, _, _ = select.select(list(waiting), [], [], max(0.0, end - time.monotonic()))
        assert ready, f"{len(waiting)} tabs never heard {text!r}"
        for each in ready:
            data = each.recv(1 << 20)
            assert data, "the supervisor hung up"
            waiting[each].heard += data
            if waiting[each].hears(text):
                del waiting[each]


def test_a_hundred_tabs_hear_what_happens_and_a_sleeping_one_holds_nobody_up(site: Site) -> None:
    session = log_in(site)
    with contextlib.ExitStack() as stack:
        tabs = [Tab(site, session) for _ in range(TABS)]
        for tab in tabs:
            stack.callback(tab.socket.close)
        sleeping, awake = tabs[0], tabs[1:]
        listen(awake, b"event: snapshot")
        for tab in awake:
            tab.heard = b""
        site.act("start", "idle")
        listen(awake, b'"name":"idle","program":"idle","state":"RUNNING"')
        begin = time.monotonic()
        assert site.status("idle")["state"] == "RUNNING"
        assert time.monotonic() - begin < PATIENCE / 1000
        site.act("stop", "idle")
        listen(awake, b'"name":"idle","program":"idle","state":"STOPPED"')
        listen([sleeping], b"event: snapshot")
    assert site.client.supervisor()["state"] == "running"


def test_windows_of_several_people_are_alive_at_once(page: Page, site: Site) -> None:
    browser = page.context.browser
    assert browser is not None
    state = page.context.storage_state()
    with contextlib.ExitStack() as stack:
        pages = []
        for _ in range(4):
            context = browser.new_context(base_url=url_of(site), storage_state=state)
            stack.callback(context.close)
            context.set_default_timeout(PATIENCE)
            pages.append(context.new_page())
            pages[-1].goto("/")
        site.act("start", "idle")
        for each in pages:
            expect(each.locator('tr[data-key="idle"]')).to_contain_text("running")
        site.act("stop", "idle")
        for each in pages:
            expect(each.locator('tr[data-key="idle"]')).to_contain_text("stopped")


def test_a_stolen_token_is_worth_nothing_without_its_cookie_nor_the_cookie_without_it(site: Site) -> None:
    mine, other = log_in(site), log_in(site)
    stop = {"names": ["web"]}
    for headers in (
        {"X_Genii_Token": mine.token},
        {"Cookie": mine.cookie},
        {"Cookie": mine.cookie, "X_Genii_Token": other.token},
        {"Cookie": mine.cookie, "X_Genii_Token": mine.token[:-1]},
        {"Cookie": mine.cookie[:-2], "X_Genii_Token": mine.token},
        {"Cookie": mine.cookie, "X_Genii_Token": mine.token, "Origin": "https://evil.example"},
        {"Cookie": mine.cookie, "X_Genii_Token": mine.token, "Sec_Fetch_Site": "cross-site"},
    ):
        status, _, body = ask(site, "POST", "/api/v1/stop", stop, **headers)
        assert status in (401, 403), (headers, body)
    right = {"Cookie": mine.cookie, "X_Genii_Token": mine.token}
    signal = {"names": ["web:0"], "signal": "CONT"}
    assert ask(site, "POST", "/api/v1/signal", signal, **right)[0] == 200, "what is right is taken"
    assert ask(site, "POST", "/api/v1/logout", {}, **right)[0] == 200
    assert ask(site, "POST", "/api/v1/signal", signal, **right)[0] in (401, 403), "and no more after a log-out"
    assert ask(site, "GET", "/api/v1/processes", Cookie=mine.cookie)[0] == 401
    assert ask(site, "GET", "/api/v1/processes", Cookie=other.cookie)[0] == 200
    assert site.status("web:0")["state"] == "RUNNING"


def test_a_reader_with_a_token_of_his_own_can_change_nothing(site: Site) -> None:
    reader = log_in(site, "eye", "look")
    headers = {"Cookie": reader.cookie, "X_Genii_Token": reader.token}
    for path, body in (
        ("stop", {"names": ["web"]}),
        ("update", {}),
        ("input", {"name": "web:0", "text": "x"}),
        ("deployments/deploy", {"name": "shop"}),
        ("deployments/rollback", {"name": "shop"}),
        ("shutdown", {}),
    ):
        assert ask(site, "POST", f"/api/v1/{path}", body, **headers)[0] == 403, path
    assert ask(site, "GET", "/api/v1/processes", Cookie=reader.cookie)[0] == 200


EVIL = """<!doctype html><title>evil</title><iframe id="frame" src="URL/"></iframe>
<form id="form" method="post" action="URL/api/v1/stop" enctype="text/plain" target="sink">
<input name='{"names":["web"],"x":"' value='"}'></form><iframe name="sink"></iframe>"""
ATTACK = """async url => {
  const body = JSON.stringify({names: ['web']});
  const tries = await Promise.allSettled([
    fetch(url + '/api/v1/stop', {method: 'POST', mode: 'no-cors', credentials: 'include', body}),
    fetch(url + '/api/v1/stop', {method: 'POST', credentials: 'include', body,
                                 headers: {'Content-Type': 'application/json', 'X-Genii-Token': 'guess'}}),
    fetch(url + '/api/v1/processes', {credentials: 'include'}).then(answer => answer.text()),
    new Promise((resolve, reject) => {
      const source = new EventSource(url + '/api/v1/live', {withCredentials: true});
      source.addEventListener('snapshot', () => resolve('read the stream'));
      source.onerror = () => { source.close(); reject(new Error('refused')); };
    }),
  ]);
  document.getElementById('form').submit();
  return tries.map(one => one.status);
}"""


@contextlib.contextmanager
def foreign_page(site: Site) -> Iterator[str]:
    """Serve a page of somebody else, at another port of this machine, which counts as the same site for cookies."""
    text = EVIL.replace("URL", url_of(site)).encode()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()


def test_a_page_of_another_origin_can_neither_change_nor_read_nor_frame(page: Page, site: Site) -> None:
    page.goto("/")
    expect(page.locator('tr[data-key="web:0"]')).to_contain_text("running")
    pid = site.pid("web:0")
    with foreign_page(site) as url:
        attack = page.context.new_page()
        try:
            attack.goto(url)
            outcomes = attack.evaluate(ATTACK, url_of(site))
            assert outcomes[1:] == ["rejected"] * 3, "only a request whose answer can't be read goes out at all"
            frame = attack.frames[1]
            assert frame.locator("tr[data-key], form.login").count() == 0
        finally:
            attack.close()
    assert (site.status("web:0")["state"], site.pid("web:0")) == ("RUNNING", pid)


def test_a_log_goes_on_when_the_supervisor_is_replaced_under_the_page(page: Page, site: Site) -> None:
    page.goto("/#/program/web:0/log")
    log = page.get_by_role("log")
    expect(log).to_contain_text("served")
    site.kill_supervisor()
    expect(page.locator(".live")).to_contain_text("not connected")
    expect(page.get_by_role("button", name="Restart", exact=True)).to_be_visible()
    site.up("--no-wait")
    expect(page.locator(".live")).to_contain_text("live")
    last = site.lines("web:0")[-1].split()[1]
    page.wait_for_function(
        "last => [...document.querySelectorAll('.log .line')].some(line => +line.textContent.split(' ')[1] > last)",
        arg=int(last),
    )


def test_a_supervisor_that_is_upgraded_keeps_the_page_and_its_login(page: Page, site: Site) -> None:
    page.goto("/")
    expect(page.locator('tr[data-key="web:0"]')).to_contain_text("running")
    pid = site.pid("web:0")
    outcome = site.genii("upgrade")
    assert outcome.status == 0, outcome
    page.get_by_role("link", name="Activity").click()
    expect(page.get_by_role("table", name="Who did what")).to_contain_text("upgrade")
    page.get_by_role("link", name="Processes").click()
    expect(page.locator(".live")).to_contain_text("live")
    row = page.locator('tr[data-key="idle"]')
    row.get_by_role("button", name="Start idle", exact=True).click()
    expect(row).to_contain_text("running")
    assert site.pid("web:0") == pid
    site.act("stop", "idle")
