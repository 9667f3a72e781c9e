"""A real Chromium and a real `genii up`, shared by the tests of a file."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, sync_playwright
from tests.compat.conftest import debian, install  # noqa: F401 -- fixtures that the one below asks for
from tests.ports import free_port
from tests.real.harness import Site

from genii.control.password import hash_password

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage

PATIENCE = 30_000
"""Milliseconds that anything may take on a loaded machine."""
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
          "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"]  # fmt: skip
PASSWORD = "open sesame"
NASTY = "<img src=x onerror=window.hacked=1>"

PROGRAMS = f"""
[http]
listen = "127.0.0.1:PORT"
username = "me"
password = "{hash_password(PASSWORD, b"0123456789abcdef")}"
readonly_username = "eye"
readonly_password = "look"

[jobs]
listen = "127.0.0.1:JOBS"

[program.web]
command = "PYTHON web.py"
processes = 2
environment = {{ API_TOKEN = "hunter2", MODE = "fast" }}
limits = {{ nofile = 256 }}

[program.front]
command = "sleep 1000"
depends_on = ["web"]
description = "{NASTY}"

[program.broken]
command = "sh -c 'echo starting; exit 3'"
startsecs = "10s"
retries = 0

[program.flood]
command = "PYTHON flood.py"
autostart = false

[program.nasty]
command = "PYTHON nasty.py"

[program.report]
command = "echo reported"
schedule = "0 3 * * *"

[program.assets]
command = "echo built"
watch = ["assets"]
restart = "never"

[program.parrot]
command = "sed -u s/^/got:/"
stdin = "pipe"

[program.idle]
command = "sleep 1000"
autostart = false

[hosts]
db1 = {{ address = "127.0.0.1", user = "admin", port = 1 }}

[groups]
web = ["web[01-02].example"]

[deploy.shop]
repository = "{{here}}/shop.git"
to = "/srv/shop"
hosts = ["db1"]
"""

WEB = r"""
import time
print("\x1b[31mred\x1b[0m and \x1b[1;32mgreen\x1b[0m plain", flush=True)
number = 0
while True:
    number += 1
    print(f"request {number} served", flush=True)
    time.sleep(0.2)
"""

FLOOD = r"""
import time
number = 0
while True:
    begin = time.monotonic()
    print("\n".join(f"{number + one:09d} {'x' * 90}" for one in range(1000)), flush=True)
    number += 1000
    time.sleep(max(0.0, 0.1 - (time.monotonic() - begin)))
"""

NASTY_PROGRAM = r"""
import os, socket, sys, time
out = sys.stdout.buffer
out.write(b"<img src=x onerror=window.hacked=1><script>window.hacked=1</script>\n")
out.write(b"bell \x07 null \x00 clear \x1b[2J title \x1b]0;owned\x07 bytes \xff\xfe end\n")
out.write("right-to-left \u202egnp.exe\n".encode())
out.write(b"y" * (1 << 20) + b"\n")
out.write(b"last line\n")
out.flush()
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
    notify.connect(os.environ["NOTIFY_SOCKET"])
    notify.send(b"STATUS=<img src=x onerror=window.hacked=1>\x1b[31m")
time.sleep(1000)
"""


@pytest.fixture(scope="module")
def browser(debian: Callable[[str, str], str]) -> Iterator[Browser]:  # noqa: F811
    """One Chromium for all tests of a file."""
    path = debian("chromium", "chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One genii with programs of every kind."""
    site = Site(tmp_path_factory.mktemp("site"))
    for name, text in (("web.py", WEB), ("flood.py", FLOOD), ("nasty.py", NASTY_PROGRAM)):
        (site.path / name).write_text(text)
    (site.path / "assets").mkdir()
    try:
        for attempt in range(5):  # somebody else may take the free port first
            text = PROGRAMS.replace("PORT", str(free_port())).replace("JOBS", str(free_port()))
            site.write(text.replace("PYTHON", f"{sys.executable} -I -S"))
            outcome = site.genii("up", "-d", "--no-wait")
            if outcome.status == 0 or attempt == 4:
                break
        assert outcome.status == 0, outcome
        yield site
    finally:
        site.close()


def url_of(site: Site) -> str:
    """Return where the dashboard is."""
    found = re.search(r'listen = "(127[^"]+)"', (site.path / "genii.toml").read_text())
    assert found is not None
    return f"http://{found[1]}"


@pytest.fixture(scope="module")
def context(browser: Browser, site: Site) -> Iterator[BrowserContext]:
    """A browser in which somebody who may do everything is logged in."""
    context = browser.new_context(base_url=url_of(site), viewport={"width": 1280, "height": 800})
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.goto("/")
    page.get_by_label("User").fill("me")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("link", name="web:0", exact=True).wait_for()
    page.close()
    yield context
    context.close()


def listen_to(page: Page, complaints: list[str]) -> None:
    """Collect what a page complains about: errors in scripts, the console, whatever its policy refuses."""

    def heard(message: ConsoleMessage) -> None:
        # What the browser says of answers that are no success, the page itself shows.
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            complaints.append(message.text)

    page.on("console", heard)
    page.on("pageerror", lambda error: complaints.append(str(error)))


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A tab; whatever it complains about fails the test."""
    page = context.new_page()
    complaints: list[str] = []
    listen_to(page, complaints)
    yield page
    hacked = page.evaluate("window.hacked")
    page.close()
    assert hacked is None
    assert complaints == []
