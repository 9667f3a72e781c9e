# ruff: noqa: INP001 -- a script, no package
"""Take the pictures of the README from the running demo: python tools/pictures.py.

Needs Debian's chromium and tmux, and the development tools of this repository. Starts the demo in a folder of its own,
opens the dashboard in the browser and `genii top` in a terminal, and writes docs/pictures/*.png.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).parent.parent
PICTURES = ROOT / "docs" / "pictures"
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
GENII = [sys.executable, "-m", "genii"]
COLUMNS, LINES = 112, 20
PALETTE = {"31": "#ff7b72", "32": "#4cc38a", "33": "#f1b13b", "36": "#56d4dd", "34": "#6cb6ff"}


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def prepare(folder: Path) -> str:
    """Copy the demo with ports of its own; return where its dashboard is."""
    shutil.copytree(ROOT / "examples", folder.parent, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".genii"))
    file = folder / "genii.toml"
    text = file.read_text()
    listen = f"127.0.0.1:{free_port()}"
    text = text.replace("8000", str(free_port())).replace("4731", str(free_port()))
    text = re.sub(r"\[http\]\nlisten = .*\n", "", text)
    file.write_text(f'[http]\nlisten = "{listen}"\n\n{text}')
    return f"http://{listen}"


def take_dashboard(browser: Browser, url: str) -> None:
    """Take the pictures of the dashboard, dark and light."""
    page = browser.new_page(viewport={"width": 1180, "height": 640}, color_scheme="dark")
    page.goto(url)
    page.wait_for_timeout(30_000)  # the lines need something to show
    page.screenshot(path=PICTURES / "dashboard.png")
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1180, "height": 560})
    page.goto(f"{url}/#/program/web")
    page.wait_for_timeout(4000)
    page.screenshot(path=PICTURES / "program.png")
    page.close()


def take_top(browser: Browser, folder: Path) -> None:
    """Take the picture of the terminal: what tmux shows, drawn by the browser."""
    tmux = ["tmux", "-S", str(folder / "tmux"), "-f", "/dev/null"]

    def run(*words: str) -> str:
        return subprocess.run([*tmux, *words], capture_output=True, text=True, check=True, cwd=folder).stdout

    run("new-session", "-d", "-x", str(COLUMNS), "-y", str(LINES), "-s", "top", " ".join([*GENII, "top"]))
    try:
        page = browser.new_page(viewport={"width": 960, "height": 424})
        page.wait_for_timeout(14_000)
        run("send-keys", "-t", "top", "j")
        page.wait_for_timeout(1000)
        page.set_content(as_html(run("capture-pane", "-p", "-e", "-N", "-t", "top")))
        page.screenshot(path=PICTURES / "top.png")
        page.close()
    finally:
        run("kill-server")


def as_html(text: str) -> str:
    """Draw the cells of a terminal."""
    style = "margin:0;padding:12px;background:#0e1116;color:#e6e9ee;font:14px/20px 'DejaVu Sans Mono',monospace"
    pieces, open_span = [], False
    for part in re.split(r"(\x1b\[[0-9;]*m)", text.rstrip("\n")):
        if not part.startswith("\x1b"):
            pieces.append(escape(part))
            continue
        if open_span:
            pieces.append("</span>")
        open_span = (rules := rules_of(part[2:-1].split(";"))) != ""
        if open_span:
            pieces.append(f'<span style="{rules}">')
    return f'<body style="{style}"><pre style="margin:0;font:inherit">{"".join(pieces)}</pre></body>'


def rules_of(codes: list[str]) -> str:
    """Return the style that codes of a terminal ask for."""
    rules = [f"color:{PALETTE[code]}" for code in codes if code in PALETTE]
    rules += ["background:#8ea8ff;color:#0e1116"] if "7" in codes else []
    rules += ["font-weight:bold"] if "1" in codes else []
    rules += ["color:#98a3b3"] if "2" in codes else []
    return ";".join(rules)


def main() -> int:
    """Take all pictures."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name) / "demo"
        url = prepare(folder)
        # The demo calls its interpreter python, as `make demo` has it.
        environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
        subprocess.run([*GENII, "up", "-d", "--no-wait"], cwd=folder, env=environment, check=True)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        try:
            take_dashboard(browser, url)
            take_top(browser, folder)
        finally:
            browser.close()
            subprocess.run([*GENII, "down"], cwd=folder, check=True)
    for picture in sorted(PICTURES.iterdir()):
        print(f"{picture.relative_to(ROOT)}  {picture.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
