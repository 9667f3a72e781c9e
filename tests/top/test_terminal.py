"""The full-screen view in a real terminal: tmux, keys and all."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from tests.compat.conftest import debian, install  # noqa: F401 -- fixtures that the one below asks for
from tests.ports import free_port
from tests.real.harness import Site

from genii.gearman.client import Client as JobClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.compat, pytest.mark.timeout(120)]

PATIENCE = 30.0
PROGRAMS = """
[program.web]
command = "sh -c 'printf \\"\\\\033[31mred\\\\033[0m words\\\\n\\"; exec sleep 1000'"
processes = 2

[program.broken]
command = "sh -c 'exit 3'"
startsecs = "10s"
retries = 0

[program.idle]
command = "sleep 1000"
autostart = false

[program.parrot]
command = "sed -u s/^/got:/"
stdin = "pipe"

[program.report]
command = "echo reported"
schedule = "0 3 * * *"

[jobs]
listen = "127.0.0.1:PORT"
"""


class Terminal:
    """A tmux of its own with one window."""

    def __init__(self, tmux: str, path: Path, words: list[str], site: Site) -> None:
        self._tmux = [tmux, "-S", str(path), "-f", "/dev/null"]
        self._run("new-session", "-d", "-x", "110", "-y", "24", "-s", "top", "sh")
        self._run("set-option", "-g", "remain-on-exit", "on")
        self.type(f"cd {site.path} && {' '.join(words)}\n")

    def _run(self, *words: str) -> str:
        done = subprocess.run([*self._tmux, *words], capture_output=True, text=True, timeout=PATIENCE, check=True)
        return done.stdout

    def type(self, text: str) -> None:
        """Type characters."""
        self._run("send-keys", "-t", "top", "-l", text)

    def press(self, *keys: str) -> None:
        """Press keys by their names."""
        self._run("send-keys", "-t", "top", *keys)

    def resize(self, width: int, height: int) -> None:
        """Change the size of the window."""
        self._run("resize-window", "-t", "top", "-x", str(width), "-y", str(height))

    def text(self) -> str:
        """Return what is on the screen."""
        return self._run("capture-pane", "-p", "-t", "top")

    def see(self, accepts: Callable[[str], bool], what: str) -> str:
        """Wait until the screen is as wanted: a terminal has no events to wait for."""
        end = time.monotonic() + PATIENCE
        while not accepts(text := self.text()):
            assert time.monotonic() < end, f"never saw {what}:\n{text}"
            time.sleep(0.05)
        return text

    def find(self, *texts: str) -> str:
        """Wait until all texts are on the screen."""
        return self.see(lambda text: all(one in text for one in texts), str(texts))

    def close(self) -> None:
        """End it."""
        subprocess.run([*self._tmux, "kill-server"], capture_output=True, timeout=PATIENCE, check=False)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    for _ in range(5):  # somebody else may take the free port first
        site.write(PROGRAMS.replace("PORT", str(free_port())))
        outcome = site.genii("up", "-d", "--no-wait")
        if outcome.status == 0:
            break
    assert outcome.status == 0, outcome
    yield site
    site.close()


@pytest.fixture
def top(site: Site, debian: Callable[[str, str], str], tmp_path: Path) -> Iterator[Terminal]:  # noqa: F811
    terminal = Terminal(debian("tmux", "tmux"), tmp_path / "tmux", [sys.executable, "-m", "genii", "top"], site)
    terminal.find("web:0", "live")
    yield terminal
    terminal.close()


def test_programs_are_watched_steered_and_read(top: Terminal, site: Site) -> None:
    top.find("7 processes, 4 running, 1 need attention", "fatal", "exited with 3")
    top.type("/idle\n")
    top.see(lambda text: "web:0" not in text, "only idle")
    top.type("s")
    top.find("idle: started", "● running")
    assert site.status("idle")["state"] == "RUNNING"
    top.type("s")
    top.find("stop idle? [y/N]")
    top.type("y\n")
    top.find("stopped")
    assert site.state_of("idle", "STOPPED")
    top.press("Escape")
    top.find("web:0", "web:1")
    top.type("/web:0\n")
    top.find("filter: web:0")
    top.type("l")
    top.find("Log of web:0: live", "red words")
    top.type("q")
    top.find("NAME")
    top.type("?")
    top.find("select; actions then are for all")
    top.type("q")
    top.find("NAME")
    top.type("q")
    top.see(lambda text: "NAME" not in text, "the shell")
    assert site.status("web:0")["state"] == "RUNNING", "leaving it stops nothing"


def test_pools_are_watched_and_scaled(top: Terminal, site: Site) -> None:
    top.type("2")
    top.find("[2 pools]", "SLOTS", "2 of 2", "▯▯")
    top.type("/web\n+")
    top.find("how many of web: 2_")
    top.press("BSpace")
    top.type("3\n")
    top.find("3 of 3", "▯▯▯")
    site.state_of("web:2", "RUNNING")
    top.press("Enter")
    top.find("[1 processes]", "filter: web", "web:2")
    top.type("g")
    top.find("3 of 3 running")


def test_jobs_are_counted_looked_into_and_cancelled(top: Terminal, site: Site) -> None:
    site.when("jobs", lambda status: status["ready"])
    (address,) = (server["address"] for server in site.client.job_servers())
    with JobClient([address]) as client:
        for payload in (b"first \x1b[31mpicture", b"second"):
            client.submit("resize", payload)
    top.type("3")
    top.find("[3 jobs]", "FUNCTION", "resize", address)
    top.press("Enter")
    top.find("jobs of resize at", "queued", "second")
    top.type("c")
    top.find("cancel H:")
    top.type("y\n")
    top.see(lambda text: "picture" not in text and "second" in text, "one job")
    assert [job["payload"] for job in site.client.queued_jobs(address, "resize")] == ["second"]
    top.type("q")
    top.find("[3 jobs]", "WORKERS")


def test_a_schedule_is_run_now_and_its_end_is_told(top: Terminal, site: Site) -> None:
    top.type("4")
    top.find("[4 schedules]", "0 3 * * *", "not yet", "03:00")
    top.type("s")
    top.find("exit 0 at")
    top.type("l")
    top.find("Log of report: live", "reported")
    top.type("q")
    top.find("[4 schedules]")
    top.type("5")
    top.find("What happened", "process.state")


def test_who_attaches_to_a_program_talks_with_it(top: Terminal, site: Site) -> None:
    top.type(":attach parrot\n")
    top.find("Log of parrot: attached", "to parrot")
    top.type("hello there\n")
    top.find("got:hello there")
    top.type("quit? no\n")
    top.find("got:quit? no")
    top.press("Escape")
    top.find("Log of parrot: live")
    top.type("q:attach web:0\n")
    top.find("Log of web:0: attached")
    top.type("x\n")
    top.find("web:0 reads nothing")
    top.press("Escape")


def test_it_survives_the_supervisor_and_another_size(top: Terminal, site: Site) -> None:
    site.kill_supervisor()
    top.find("NOT CONNECTED", "what you see is old")
    site.up("--no-wait")
    top.find("adopted", "live")
    top.resize(60, 10)
    top.see(lambda text: max(map(len, text.splitlines())) <= 60 and "web:1" in text, "a small table")
    top.press("C-c")
    top.see(lambda text: "NAME" not in text, "the shell")


def test_without_a_terminal_it_says_what_to_use(site: Site) -> None:
    outcome = site.genii("top")
    assert outcome.status == 1
    assert "status --watch" in outcome.err
