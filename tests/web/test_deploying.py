"""A deployment and a roll-back from the page, of a real program in a real folder."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect
from tests.ports import free_port
from tests.real.harness import Site
from tests.web.conftest import PATIENCE, listen_to, url_of

from genii.deploy.record import Record, record_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.slow, pytest.mark.compat, pytest.mark.xdist_group("browser"), pytest.mark.timeout(180)]

expect.set_options(timeout=PATIENCE)

DECLARED = """
[program.idle]
command = "sleep 1000"

[http]
listen = "127.0.0.1:PORT"
username = "ann"
password = "right"

[fleet]
transport = "local"

[deploy.shop]
directory = "source"
to = "{here}/srv"
hosts = ["here"]
check = "cat page.txt && grep good {here}/gate"
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "page.txt").write_text("the first <b>page</b>\n")
    os.mkfifo(tmp_path / "gate")
    text = DECLARED.replace("{here}", str(tmp_path))
    for _ in range(5):  # somebody else may take the free port first
        site.write(text.replace("PORT", str(free_port())))
        outcome = site.genii("up", "-d")
        if outcome.status == 0:
            break
    assert outcome.status == 0, outcome
    yield site
    site.close()


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    context = browser.new_context(base_url=url_of(site))
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    complaints: list[str] = []
    listen_to(page, complaints)
    page.goto("/#/deployments")
    page.get_by_label("User").fill("ann")
    page.get_by_label("Password").fill("right")
    page.get_by_role("button", name="Log in").click()
    yield page
    context.close()
    assert complaints == []


def begin(page: Page) -> None:
    page.get_by_role("button", name="Deploy shop…").click()
    page.get_by_role("dialog").get_by_role("button", name="Deploy").click()


def test_a_release_is_deployed_watched_and_rolled_back(page: Page, site: Site) -> None:
    gate, current = site.path / "gate", site.path / "srv" / "current"
    begin(page)
    log = page.get_by_role("log")
    expect(log).to_contain_text("the first <b>page</b>")
    expect(page.locator("main")).to_contain_text("running")
    assert not current.exists(), "its check still goes on"
    gate.write_text("it is good\n")
    expect(log).to_contain_text("it is good")
    expect(page.locator(".facts")).to_contain_text("good")
    first = os.readlink(current)

    (site.path / "source" / "page.txt").write_text("the second page\n")
    page.get_by_role("link", name="Back to all deployments").click()
    begin(page)
    expect(log).to_contain_text("the second page")
    gate.write_text("good\n")
    expect(page.locator(".facts")).to_contain_text("good")
    assert (current / "page.txt").read_text() == "the second page\n"

    page.get_by_role("link", name="Back to all deployments").click()
    page.get_by_role("button", name="Roll back…").click()
    expect(page.get_by_role("dialog")).to_contain_text("The last good release before is")
    page.get_by_role("dialog").get_by_role("button", name="Roll back").click()
    expect(page.get_by_role("table", name="Deployments")).to_contain_text("roll-back")
    newest = page.get_by_role("table", name="Deployments").get_by_role("row").nth(1)
    expect(newest).to_contain_text("roll-back")
    expect(newest).to_contain_text("good")
    expect(newest).to_contain_text("ann")
    assert os.readlink(current) == first
    assert (current / "page.txt").read_text() == "the first <b>page</b>\n"

    rows = Record(record_path(str(site.state_dir))).deployments()
    assert [(row.action, row.status, row.by) for row in rows] == [
        ("rollback", "good", "ann"), ("deploy", "good", "ann"), ("deploy", "good", "ann")
    ]  # fmt: skip
    page.goto("/#/activity")
    table = page.get_by_role("table", name="Who did what")
    expect(table).to_contain_text("deployments/deploy")
    expect(table).to_contain_text("deployments/rollback")


def test_a_check_that_fails_is_told_and_nothing_is_switched(page: Page, site: Site) -> None:
    begin(page)
    expect(page.get_by_role("log")).to_contain_text("the first <b>page</b>")
    (site.path / "gate").write_text("bad\n")
    expect(page.get_by_role("log")).to_contain_text("failed with")
    expect(page.locator(".facts .bad").first).to_be_visible()
    assert not (site.path / "srv" / "current").exists()
