"""Each page in a real browser, clicked through against a running genii."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest
from axe_core_python.sync_playwright import Axe
from playwright.sync_api import expect
from tests.web.conftest import NASTY, PASSWORD, PATIENCE, listen_to, url_of

from genii.deploy.record import Record, record_path
from genii.errors import JobFailed
from genii.gearman.client import Client as JobClient
from genii.gearman.worker import Worker

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, Locator, Page
    from tests.real.harness import Site

pytestmark = [pytest.mark.slow, pytest.mark.compat, pytest.mark.xdist_group("browser"), pytest.mark.timeout(180)]

expect.set_options(timeout=PATIENCE)

PAGES = (
    *("", "logs", "pools", "jobs", "schedules", "watches", "deployments", "hosts", "configuration", "activity"),
    *(f"program/web:0{tab}" for tab in ("", "/log", "/events", "/environment", "/declaration")),
)


def row(page: Page, name: str) -> Locator:
    return page.locator(f'tr[data-key="{name}"]')


def notices(page: Page) -> Locator:
    return page.locator("#notices")


def test_the_overview_tells_what_runs_and_why_something_does_not(page: Page) -> None:
    page.goto("/")
    expect(row(page, "web:0")).to_contain_text("running")
    expect(row(page, "broken")).to_contain_text("fatal")
    expect(row(page, "report")).to_contain_text("next run in")
    expect(page.locator(".banner")).to_contain_text("broken fatal")
    expect(page).to_have_title(re.compile(r"^\(1\) Processes"))
    expect(row(page, "web:0").locator(".c-mem")).to_contain_text("MiB")
    expect(row(page, "group web")).to_contain_text("2/2 running")


def test_the_overview_is_filtered_sorted_and_folded_and_its_address_remembers(page: Page) -> None:
    page.goto("/")
    page.get_by_label("Filter by name").fill("web")
    expect(row(page, "broken")).to_have_count(0)
    page.get_by_role("button", name="Show the processes of web").click()
    expect(row(page, "web:1")).to_have_count(0)
    page.get_by_role("button", name="Name").click()
    expect(page.get_by_role("columnheader", name="Name")).to_have_attribute("aria-sort", "ascending")
    expect(page.locator("tr[data-key]").first).to_have_attribute("data-key", "web:0")
    page.reload()
    expect(page.get_by_label("Filter by name")).to_have_value("web")
    expect(page.get_by_role("columnheader", name="Name")).to_have_attribute("aria-sort", "ascending")
    page.goto("/#/?show=attention")
    page.reload()
    expect(page.locator("tr[data-key]")).to_have_count(1)


def test_a_program_is_started_and_stopped_after_a_question(page: Page, site: Site) -> None:
    page.goto("/")
    row(page, "idle").get_by_role("button", name="Start idle", exact=True).click()
    expect(row(page, "idle")).to_contain_text("running")
    expect(notices(page)).to_contain_text("idle: ")
    row(page, "idle").get_by_role("button", name="Stop idle").click()
    expect(page.get_by_role("dialog")).to_contain_text("Stop idle?")
    expect(page.get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert site.status("idle")["state"] == "RUNNING"
    row(page, "idle").get_by_role("button", name="Stop idle").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop").click()
    expect(row(page, "idle")).to_contain_text("stopped")


def test_what_others_need_is_said_before_it_is_stopped(page: Page) -> None:
    page.goto("/")
    page.get_by_role("button", name="Stop all of web").click()
    expect(page.get_by_role("dialog")).to_contain_text("Needed by front")
    page.keyboard.press("Escape")


def test_several_are_selected_and_restarted_at_once(page: Page, site: Site) -> None:
    before = {site.pid("web:0"), site.pid("web:1")}
    page.goto("/")
    page.get_by_label("Select web:0").check()
    page.get_by_label("Select web:1").check()
    page.get_by_role("button", name="Restart", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Restart").click()
    expect(notices(page)).to_contain_text("restarted")
    assert not before & {site.pid("web:0"), site.pid("web:1")}


def test_what_fails_is_told_with_its_reason_and_stays(page: Page) -> None:
    page.goto("/#/program/broken")
    page.get_by_role("button", name="Start", exact=True).click()
    notice = page.get_by_role("alert")
    expect(notice).to_contain_text("broken")
    notice.get_by_role("button").click()
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_signal_is_sent(page: Page) -> None:
    page.goto("/#/program/front")
    page.get_by_role("button", name="Signal…").click()
    page.get_by_role("combobox", name="Signal").select_option("CONT")
    page.get_by_role("button", name="Send").click()
    expect(notices(page)).to_contain_text("sent CONT")


def test_the_page_of_a_program_shows_its_limits_and_masks_its_secrets(page: Page) -> None:
    page.goto("/#/program/web:0")
    expect(page.locator("main")).to_contain_text("256")
    expect(page.get_by_role("img", name="Memory of web:0 over time")).to_contain_text("MiB")
    page.get_by_role("link", name="Environment").click()
    expect(page.locator("main")).to_contain_text("MODE")
    expect(page.locator("main")).to_contain_text("****")
    assert "hunter2" not in page.content()
    page.get_by_role("link", name="Events").click()
    expect(page.locator("main")).to_contain_text("running")
    page.get_by_role("link", name="Declaration").click()
    expect(page.locator("main")).to_contain_text("on-failure")


def test_the_processes_of_a_program_lead_to_one_another_and_its_name_to_the_first(page: Page) -> None:
    page.goto("/#/program/web")
    expect(page.get_by_role("heading", name="web:0")).to_be_visible()
    page.get_by_role("navigation", name="Processes of this program").get_by_role("link", name="web:1").click()
    expect(page.get_by_role("heading", name="web:1")).to_be_visible()
    page.goto("/#/program/nobody")
    expect(page.locator("main")).to_contain_text("there is no such process now")
    expect(page.get_by_role("button", name="Restart", exact=True)).to_be_hidden()


def test_a_log_is_shown_in_colour_searched_paused_and_saved(page: Page, tmp_path: Path) -> None:
    page.goto("/#/program/web:1/log")
    log = page.get_by_role("log")
    expect(log).to_contain_text("served")
    page.get_by_label("Show only lines with this text").fill(" and green")
    expect(log.locator(".f1", has_text="red").first).to_be_visible()
    expect(log.locator("mark").first).to_have_text(" and ")
    expect(page.locator(".logbox")).to_contain_text("lines")
    page.get_by_label("Show only lines with this text").fill("")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator(".logbox")).to_contain_text(re.compile(r"paused, [1-9]\d* new line"))
    page.get_by_role("button", name="Go on").click()
    expect(page.locator(".logbox")).not_to_contain_text("paused")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    download.value.save_as(tmp_path / "web.log")
    assert "request 1 served" in (tmp_path / "web.log").read_text()


def test_nothing_that_a_program_writes_gets_to_be_more_than_text(page: Page) -> None:
    page.goto("/#/program/nasty/log")
    log = page.get_by_role("log")
    expect(log).to_contain_text("last line")
    expect(log).to_contain_text("more characters")
    page.get_by_label("Show only lines with this text").fill("script")
    expect(log).to_contain_text("<script>window.hacked=1</script>")
    page.get_by_label("Show only lines with this text").fill("bell")
    expect(log).to_contain_text("bell · null · clear  title  bytes \ufffd\ufffd end")
    page.goto("/")
    expect(row(page, "nasty")).to_contain_text(NASTY)
    assert "\x1b" not in page.content()
    page.goto("/#/program/front/declaration")
    expect(page.locator("main")).to_contain_text(NASTY)
    assert page.locator("main img").count() == 0


def test_ten_thousand_lines_a_second_freeze_neither_page_nor_supervisor(page: Page, site: Site) -> None:
    site.act("start", "flood")
    try:
        page.goto("/#/program/flood/log")
        expect(page.locator(".logbox")).to_contain_text("left out")
        begin = time.monotonic()
        for _ in range(5):
            site.client.statuses()
        assert (time.monotonic() - begin) / 5 < 2.0
        frames = page.evaluate(
            "new Promise(done => {let n = 0; const f = () => ++n < 5 ? requestAnimationFrame(f) : done(n);"
            "requestAnimationFrame(f)})"
        )
        assert frames == 5
        assert page.locator(".log .line").count() < 200
    finally:
        site.act("stop", "flood")


def test_a_program_that_reads_is_written_to(page: Page) -> None:
    page.goto("/")
    expect(row(page, "parrot")).to_contain_text("running")
    row(page, "parrot").focus()
    page.keyboard.press("a")
    line = page.get_by_label("Send a line to parrot")
    expect(line).to_be_focused()
    page.keyboard.type("hello <b>there</b>")
    page.keyboard.press("Enter")
    expect(page.get_by_role("log")).to_contain_text("got:hello <b>there</b>")
    expect(line).to_have_value("")
    page.goto("/#/program/web:0/log")
    expect(page.get_by_role("log")).to_contain_text("served")
    page.keyboard.press("a")
    expect(page.get_by_role("alert")).to_contain_text('with stdin = "pipe"')


def test_anything_is_found_by_its_name(page: Page, site: Site) -> None:
    page.goto("/")
    expect(row(page, "idle")).to_be_visible()
    page.keyboard.press("Control+k")
    expect(page.get_by_role("combobox", name="Find")).to_be_focused()
    page.keyboard.type("start idle")
    options = page.get_by_role("dialog").get_by_role("option")
    expect(options).to_have_text(["Start idle", "Restart idle"])
    page.evaluate(Axe().axe_script)
    assert page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"] == []
    page.keyboard.press("Enter")
    expect(row(page, "idle")).to_contain_text("running")
    page.keyboard.press(":")
    page.keyboard.type("zzz")
    expect(options).to_have_text(["Nothing has this name."])
    for _ in "zzz":
        page.keyboard.press("Backspace")
    page.keyboard.type("go to ")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Pools")).to_be_visible()
    page.keyboard.press("0")
    expect(page.get_by_role("heading", name="Activity")).to_be_visible()
    site.act("stop", "idle")


def test_the_job_server_is_looked_into_and_a_job_cancelled(page: Page, site: Site) -> None:
    found = re.search(r'\[jobs\]\nlisten = "([^"]+)"', (site.path / "genii.toml").read_text())
    assert found is not None
    with JobClient([found[1]]) as client:
        client.submit("resize", b"<b>picture</b>")
    page.goto("/#/jobs")
    expect(page.get_by_role("table", name="Functions")).to_contain_text("resize")
    expect(page.locator("main")).to_contain_text("No worker takes resize")
    page.get_by_role("button", name="Look").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("<b>picture</b>")
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_contain_text("None waits")
    page.get_by_role("button", name="Close", exact=True).click()


def test_what_a_function_did_and_how_long_it_took_is_told(page: Page, site: Site) -> None:
    (address,) = (server["address"] for server in site.client.job_servers())

    def broken(payload: bytes) -> bytes:
        raise JobFailed(payload.decode())

    worker = Worker([address], max_jobs=21)
    worker.register(lambda payload: payload, "quick")
    worker.register(broken, "broken")
    with JobClient([address]) as client:
        for name in ["quick"] * 20 + ["broken"]:
            client.submit(name, b"x")
    worker.run()
    page.goto("/#/jobs")
    quick = page.get_by_role("table", name="Functions").get_by_role("row").filter(has_text="quick")
    expect(quick.get_by_role("cell").nth(8)).to_contain_text("ms")
    expect(quick.get_by_role("cell").nth(9)).to_contain_text("ms")
    expect(quick.get_by_role("cell").nth(10)).to_have_text("0")
    failing = page.get_by_role("table", name="Functions").get_by_role("row").filter(has_text="broken")
    expect(failing.get_by_role("cell").nth(10)).to_have_text("1")


def test_a_pool_is_scaled(page: Page, site: Site) -> None:
    page.goto("/#/pools")
    pool = page.get_by_role("region", name="web")
    expect(pool).to_contain_text("2 of 2")
    pool.get_by_role("button", name="Scale…").click()
    page.get_by_label("Processes").fill("3")
    page.get_by_role("button", name="Scale", exact=True).click()
    expect(pool.locator(".slot")).to_have_count(3)
    site.act("scale", "web", minimum=2, maximum=2)
    expect(pool.locator(".slot")).to_have_count(2)


def test_a_schedule_tells_its_next_runs_and_is_run_now(page: Page) -> None:
    page.goto("/#/schedules")
    table = page.get_by_role("table", name="Schedules")
    expect(table).to_contain_text("0 3 * * *")
    expect(table).to_contain_text("not yet")
    page.get_by_role("button", name="Run now").click()
    expect(table).to_contain_text("exit 0 at")


def test_a_watch_shows_what_a_change_has_brought(page: Page, site: Site) -> None:
    page.goto("/#/watches")
    table = page.get_by_role("table", name="Watches")
    expect(table).to_contain_text("assets")
    (site.path / "assets" / "new.css").write_text("a")
    expect(table).to_contain_text("exit 0 at")


def test_deployments_are_told_with_their_log_and_rolled_back(page: Page, site: Site) -> None:
    record = Record(record_path(str(site.state_dir)))
    numbers = []
    for release, status in (("20261120080000", "good"), ("20261121080000", "failed")):
        number = record.begin(
            name="shop", action="deploy", release=release, revision="0123456789abcdef", branch="main", by="<b>ann</b>",
            control="here", started=time.time(), hosts=["db1"],
        )  # fmt: skip
        record.add(
            number,
            [
                (1.0, "db1", "check", "output", "\x1b[32mchecked\x1b[0m <i>", 0, 0.0),
                (2.0, "db1", "check", "end", "", 3, 1.5),
            ],
        )
        record.end(number, time.time(), status, "", {"db1": status})
        numbers.append(number)
    page.goto("/#/deployments")
    table = page.get_by_role("table", name="Deployments")
    expect(table).to_contain_text("20261121080000")
    expect(table).to_contain_text("<b>ann</b>")
    page.get_by_role("link", name=f"#{numbers[1]}").click()
    expect(page.get_by_role("log")).to_contain_text("db1 check │ checked <i>")
    expect(page.get_by_role("log")).to_contain_text("failed with 3 in 1.5 s")
    page.goto("/#/hosts")
    expect(page.get_by_role("table", name="Hosts")).to_contain_text("admin@127.0.0.1:1")
    expect(page.get_by_role("table", name="Hosts")).to_contain_text("web02.example")
    page.goto("/#/deployments")
    page.get_by_role("button", name="Roll back…").click()
    expect(page.get_by_role("dialog")).to_contain_text("The last good release before is 20261120080000")
    page.get_by_role("dialog").get_by_role("button", name="Roll back").click()
    # The host refuses connections, which the record tells, or the command itself where it does not come that far.
    expect(page.locator("body")).to_contain_text(re.compile(r"The roll-back said|roll-back"))
    expect(page.locator("main")).not_to_contain_text("is going on", timeout=PATIENCE)


def test_the_pending_difference_is_shown_and_applied(page: Page, site: Site) -> None:
    file = site.path / "genii.toml"
    text = file.read_text()
    page.goto("/#/configuration")
    expect(page.locator("main")).to_contain_text("What runs is what the files say.")
    file.write_text(text + '\n[program.fresh]\ncommand = "sleep 1000"\n')
    page.get_by_role("button", name="Compare again").click()
    expect(page.locator("main")).to_contain_text("fresh is added")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator("main")).to_contain_text("What runs is what the files say.")
    assert site.state_of("fresh", "RUNNING")
    file.write_text(text + "\n[program.fresh]\ncommand = 3\n")
    page.get_by_role("button", name="Compare again").click()
    expect(page.locator("main")).to_contain_text("genii.toml:")
    file.write_text(text)
    page.get_by_role("button", name="Compare again").click()
    page.get_by_role("button", name="Apply").click()
    page.get_by_role("dialog").get_by_role("button", name="Apply").click()
    expect(page.locator("main")).to_contain_text("What runs is what the files say.")
    assert "hunter2" not in page.content()


def test_who_did_what_is_told(page: Page, site: Site) -> None:
    page.goto("/#/activity")
    table = page.get_by_role("table", name="Who did what")
    expect(table).to_contain_text("login")
    expect(page.locator("main")).to_contain_text("web:0")
    site.act("signal", "front", signal="CONT")
    page.reload()
    expect(table).to_contain_text("front signal=CONT")


def test_the_keyboard_alone_is_enough(page: Page, site: Site) -> None:
    page.goto("/")
    expect(row(page, "web:0")).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type("idle")
    expect(page.locator("tr[data-key]")).to_have_count(1)
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    expect(row(page, "idle")).to_be_focused()
    page.keyboard.press("s")
    expect(row(page, "idle")).to_contain_text("running")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="idle")).to_be_visible()
    page.keyboard.press("l")
    expect(page.get_by_role("log")).to_be_visible()
    page.keyboard.press("4")
    expect(page.get_by_role("heading", name="Jobs")).to_be_visible()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Keys")
    page.keyboard.press("Escape")
    site.act("stop", "idle")


def violations(page: Page, names: tuple[str, ...], options: dict[str, object]) -> list[str]:
    """Return what axe finds on some pages."""
    told = []
    page.goto("/")
    page.evaluate(Axe().axe_script)
    for name in names:
        page.evaluate("name => { location.hash = '#/' + name }", name)
        expect(page.locator("main")).not_to_contain_text("Loading")
        page.wait_for_function("document.querySelector('main h1')")
        found = page.evaluate("options => axe.run(document, options)", options)["violations"]
        told += [f"{name}: {one['id']}: {[node['html'][:120] for node in one['nodes'][:3]]}" for one in found]
    return told


def test_every_page_is_accessible(page: Page) -> None:
    assert violations(page, PAGES, {"resultTypes": ["violations"]}) == []


def test_the_dark_colours_have_contrast_enough(page: Page) -> None:
    page.emulate_media(color_scheme="dark")
    only: dict[str, object] = {"runOnly": ["color-contrast"], "resultTypes": ["violations"]}
    assert violations(page, ("", "program/web:0", "program/web:1/log", "jobs", "pools", "configuration"), only) == []


def test_a_phone_shows_the_main_columns_and_nothing_sticks_out(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 760})
    page.goto("/")
    expect(row(page, "web:0").locator(".c-mem")).to_be_visible()
    expect(row(page, "web:0").locator(".c-pid")).to_be_hidden()
    for name in PAGES:
        page.evaluate("name => { location.hash = '#/' + name }", name)
        page.wait_for_function("document.querySelector('main h1')")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, name


def test_a_reader_sees_everything_and_can_press_nothing(browser: Browser, site: Site) -> None:
    context = browser.new_context(base_url=url_of(site))
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    complaints: list[str] = []
    listen_to(page, complaints)
    try:
        page.goto("/")
        page.get_by_label("User").fill("eye")
        page.get_by_label("Password").fill("wrong")
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("alert")).to_contain_text("wrong user or password")
        page.get_by_label("Password").fill("look")
        page.get_by_role("button", name="Log in").click()
        expect(row(page, "web:0")).to_be_visible()
        expect(page.get_by_role("button", name="Restart web:0")).to_be_disabled()
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_label("User")).to_be_visible()
        page.goto("/")
        expect(page.get_by_label("User")).to_be_visible()
        assert complaints == []
    finally:
        context.close()


def test_a_session_that_ends_under_the_page_leads_to_the_login(page: Page, site: Site) -> None:
    page.goto("/")
    expect(row(page, "web:0")).to_be_visible()
    cookies = page.context.cookies()
    page.context.clear_cookies()
    page.evaluate("location.hash = '#/program/web:0'")
    expect(page.get_by_label("User")).to_be_visible()
    page.context.add_cookies(cookies)  # type: ignore[arg-type]
    page.get_by_label("User").fill("me")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="web:0")).to_be_visible()


def test_a_page_of_another_origin_can_change_nothing(browser: Browser, page: Page, site: Site) -> None:
    attack = page.context.new_page()
    attack.goto("data:text/html,<title>evil</title>")
    attack.evaluate(
        """url => Promise.allSettled([
          fetch(url, {method: 'POST', mode: 'no-cors', credentials: 'include', body: '{"names":["web"]}'}),
          fetch(url, {method: 'POST', credentials: 'include', headers: {'Content-Type': 'application/json'},
                      body: '{"names":["web"]}'})])""",
        f"{url_of(site)}/api/v1/stop",
    )
    attack.close()
    assert site.status("web:0")["state"] == "RUNNING"


def test_a_supervisor_that_is_replaced_under_the_page_is_found_again(page: Page, site: Site) -> None:
    page.goto("/")
    expect(row(page, "web:0")).to_contain_text("running")
    pid = site.pid("web:0")
    site.kill_supervisor()
    expect(page.locator(".banner")).to_contain_text("s old")
    expect(page.locator(".live")).to_contain_text("not connected")
    site.up("--no-wait")
    expect(page.locator(".live")).to_contain_text("live")
    expect(row(page, "web:0")).to_contain_text("adopted")
    assert site.pid("web:0") == pid
    row(page, "idle").get_by_role("button", name="Start idle", exact=True).click()
    expect(row(page, "idle")).to_contain_text("running")
