"""The page of jobs over a farm that is not genii's: the C gearmand, and a server that is not there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect
from tests.compat.conftest import gearmand  # noqa: F401 -- a fixture
from tests.ports import free_port
from tests.real.harness import Site
from tests.web.conftest import PATIENCE, listen_to, url_of

from genii.gearman.client import Client as JobClient
from genii.gearman.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Browser

pytestmark = [pytest.mark.slow, pytest.mark.compat, pytest.mark.xdist_group("browser"), pytest.mark.timeout(180)]

expect.set_options(timeout=PATIENCE)

FARM = """
[http]
listen = "127.0.0.1:PORT"

[jobs]
servers = ["127.0.0.1:GEARMAND", "127.0.0.1:1"]

[program.idle]
command = "sleep 1000"
"""


def test_a_farm_of_gearmand_is_shown_with_what_it_tells(
    browser: Browser,
    gearmand: Callable[..., int],  # noqa: F811
    tmp_path: Path,
) -> None:
    farm = gearmand()
    site = Site(tmp_path)
    with JobClient([f"127.0.0.1:{farm}"]) as client:
        handles = [str(client.submit("resize", payload)) for payload in (b"one", b"two")]
    context = browser.new_context()
    try:
        for _ in range(5):  # somebody else may take the free port first
            site.write(FARM.replace("PORT", str(free_port())).replace("GEARMAND", str(farm)))
            outcome = site.genii("up", "-d")
            if outcome.status == 0:
                break
        assert outcome.status == 0, outcome
        page = context.new_page()
        complaints: list[str] = []
        listen_to(page, complaints)
        page.goto(f"{url_of(site)}/#/jobs")
        there = page.get_by_role("region", name=f"Job server 127.0.0.1:{farm}")
        row = there.get_by_role("table", name="Functions").get_by_role("row").filter(has_text="resize")
        expect(row.get_by_role("cell").nth(1)).to_have_text("2")
        expect(row.get_by_role("cell").nth(7)).to_have_text("–")
        expect(there).to_contain_text("No worker takes resize")
        expect(page.get_by_role("region", name="Job server 127.0.0.1:1")).to_contain_text("no job server answers")
        there.get_by_role("button", name="Jobs…").click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text(handles[1])
        dialog.get_by_role("row").filter(has_text=handles[0]).get_by_role("button", name="Cancel").click()
        expect(page.locator("#notices")).to_contain_text(f"{handles[0]}: cancelled")
        done: list[bytes] = []
        worker = Worker([f"127.0.0.1:{farm}"], max_jobs=1)
        worker.register(done.append, "resize")
        worker.run()
        assert done == [b"two"]
        dialog.get_by_role("button", name="Again").click()
        expect(dialog).to_contain_text("None waits")
        dialog.get_by_role("button", name="Close").click()
        there.get_by_role("button", name="Drain…").click()
        page.get_by_role("dialog").get_by_role("button", name="Drain").click()
        expect(page.get_by_role("alert")).to_contain_text("gearmand")
        assert complaints == []
    finally:
        context.close()
        site.close()
