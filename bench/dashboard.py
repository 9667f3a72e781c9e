"""Measure the dashboard and `genii top`: python bench/dashboard.py [load] [open] [flood] [memory] [top].

Needs Debian's chromium and the development tools of this repository. Each part starts a genii of its own in a folder
that is removed afterwards, and prints one line of JSON. Times that a browser needs depend on the machine: measure
calm, and read `load` beside `empty`, which is the same page with one program.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pty
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from genii.control.client import Client
from genii.system.address import Address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-dev-shm-usage",
]
TICK = os.sysconf("SC_CLK_TCK")
FLOOD = """\
import time
number = 0
while True:
    begin = time.monotonic()
    print("\\n".join(f"{number + one:09d} {'x' * 90}" for one in range(1000)), flush=True)
    number += 1000
    time.sleep(max(0.0, 0.1 - (time.monotonic() - begin)))
"""
# Runs before any script of the page: notes when the first rows of the table are there, and when they are painted.
WATCH = """
window.firstRow = new Promise(done => {
  const seen = () => document.querySelector('tr[data-key]:not(.group)');
  const look = new MutationObserver(() => {
    if (!seen()) return;
    look.disconnect();
    const there = performance.now();
    requestAnimationFrame(() => setTimeout(() => done({there, painted: performance.now()})));
  });
  look.observe(document, {childList: true, subtree: true});
});
"""


class Site:
    """A genii in a folder of its own."""

    def __init__(self, programs: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="genii-bench-"))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.listen = f"127.0.0.1:{probe.getsockname()[1]}"
        (self.folder / "flood.py").write_text(FLOOD)
        http = f'[http]\nlisten = "{self.listen}"\n'
        (self.folder / "genii.toml").write_text(f'{http}[defaults]\nstartsecs = "0s"\n{programs}')
        self.genii("up", "-d")
        self.client = Client(Address(path=str(self.folder / ".genii" / "genii.sock")), timeout=30.0)
        self.pid = self.client.supervisor()["pid"]

    @property
    def url(self) -> str:
        return f"http://{self.listen}/"

    def genii(self, *words: str) -> None:
        subprocess.run([sys.executable, "-m", "genii", *words], cwd=self.folder, check=True, capture_output=True)

    def cpu(self) -> float:
        return cpu_of(self.pid)

    def memory(self) -> float:
        """Return the private megabytes of the supervisor."""
        rollup = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        rows = dict(line.split(":") for line in rollup.splitlines()[1:])
        return sum(int(rows[key].split()[0]) for key in ("Private_Clean", "Private_Dirty")) / 1000

    def close(self) -> None:
        with contextlib.suppress(subprocess.CalledProcessError):
            self.genii("down")
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def serving(programs: str) -> Iterator[Site]:
    site = Site(programs)
    try:
        yield site
    finally:
        site.close()


@contextlib.contextmanager
def browsing() -> Iterator[Callable]:
    """Give a function that opens a page in a browser without anything kept."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        try:
            yield browser.new_context
        finally:
            browser.close()


def cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def many(number: int, more: str = "") -> str:
    return "".join(f'[program.p{index:04}]\ncommand = "sleep 100000"\n' for index in range(number)) + more


def load(runs: int, number: int) -> dict[str, object]:
    """From the request for the page on, to the first rows of so many programs: with nothing kept, and again."""
    found: dict[str, list[float]] = {"cold there": [], "cold": [], "warm there": [], "warm": [], "after load": []}
    with serving(many(number)) as site, browsing() as new_context:
        for _ in range(runs):
            context = new_context(viewport={"width": 1280, "height": 800})
            for kind in ("cold", "warm"):
                page = context.new_page()
                page.add_init_script(WATCH)
                page.goto(site.url, wait_until="commit")
                seen = page.evaluate("window.firstRow")
                found[f"{kind} there"].append(seen["there"])
                found[kind].append(seen["painted"])
                page.wait_for_load_state("load")
                timing = page.evaluate("performance.getEntriesByType('navigation')[0].toJSON()")
                if kind == "warm":
                    found["after load"].append(max(0.0, seen["painted"] - timing["loadEventEnd"]))
                else:
                    sizes = page.evaluate(
                        "performance.getEntriesByType('resource').map(one => [one.name, one.encodedBodySize])"
                    )
                page.close()
            context.close()
    assets = [size for name, size in sizes if "/assets/" in name]
    told = {key: [round(min(values)), round(statistics.median(values))] for key, values in found.items()}
    return {"programs": number, "ms, best and median": told, "requests": len(sizes) + 1, "assets, bytes": sum(assets)}


def weigh() -> dict[str, object]:
    """All files of all pages, compressed."""
    import zlib

    import genii.web.front

    folder = Path(genii.web.front.__file__).parent / "assets"
    return {"kB": round(sum(len(zlib.compress(file.read_bytes(), 9)) for file in folder.iterdir()) / 1000, 1)}


def opened(number: int, seconds: float) -> dict[str, object]:
    """What the supervisor uses while one page is open on so many programs."""
    with serving(many(number)) as site, browsing() as new_context:
        time.sleep(2)
        idle = spent(site, seconds / 2)
        page = new_context().new_page()
        page.goto(site.url)
        page.wait_for_selector("tr[data-key]")
        time.sleep(5)
        used = spent(site, seconds)
        return {"programs": number, "% of a core": round(used, 2), "% nobody looks": round(idle, 2)}


def spent(site: Site, seconds: float) -> float:
    before, begin = site.cpu(), time.monotonic()
    time.sleep(seconds)
    return 100 * (site.cpu() - before) / (time.monotonic() - begin)


def flood(questions: int) -> dict[str, object]:
    """How long `status` takes while a page shows a log of 10,000 lines/s, and how the page does."""
    with serving(f'[program.flood]\ncommand = "{sys.executable} -I -S flood.py"\n{many(20)}') as site:
        calm = asked(site, questions)
        with browsing() as new_context:
            page = new_context().new_page()
            page.goto(f"{site.url}#/program/flood/log")
            page.wait_for_selector(".log .line")
            time.sleep(2)
            used = site.cpu()
            begin = time.monotonic()
            times = asked(site, questions)
            cpu = 100 * (site.cpu() - used) / (time.monotonic() - begin)
            frames = page.evaluate(
                "new Promise(done => {let n = 0; const end = performance.now() + 3000; const f = () => "
                "{n++; performance.now() < end ? requestAnimationFrame(f) : done(n / 3)}; requestAnimationFrame(f)})"
            )
    return {"ms without a page": calm, "ms": times, "supervisor, % of a core": round(cpu, 1), "frames/s": round(frames)}


def asked(site: Site, questions: int) -> dict[str, float]:
    times = []
    for _ in range(questions):
        begin = time.perf_counter()
        site.client.statuses()
        times.append(1000 * (time.perf_counter() - begin))
        time.sleep(0.017)  # not in step with anything
    times.sort()
    names = {"median": 0.5, "p95": 0.95, "p99": 0.99}
    return {name: round(times[int(part * len(times))], 1) for name, part in names.items()} | {
        "max": round(times[-1], 1)
    }


def memory(number: int) -> dict[str, object]:
    """Private memory of the supervisor before anybody looked, and after all pages were."""
    with serving(many(number)) as site:
        site.client.statuses()
        time.sleep(1)
        before = site.memory()
        with browsing() as new_context:
            page = new_context().new_page()
            for name in ("", "logs", "pools", "jobs", "schedules", "watches", "deployments", "hosts", "configuration",
                         "activity", "program/p0000", "program/p0000/log"):  # fmt: skip
                page.goto(f"{site.url}#/{name}")
                page.wait_for_selector("main h1")
                page.wait_for_timeout(1500)
            during = site.memory()
        return {"programs": number, "MB before": round(before, 1), "MB after": round(during, 1),
                "MB added": round(during - before, 1)}  # fmt: skip


def top(number: int, seconds: float) -> dict[str, object]:
    """What `genii top` uses in a terminal."""
    with serving(many(number)) as site:
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(site.folder)
            os.environ["TERM"] = "xterm-256color"
            os.execv(sys.executable, [sys.executable, "-m", "genii", "top"])
        threading.Thread(target=drain, args=(terminal,), daemon=True).start()
        time.sleep(4)
        before, begin = cpu_of(pid), time.monotonic()
        supervisor = site.cpu()
        time.sleep(seconds)
        took = time.monotonic() - begin
        rows = dict(line.split(":") for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
        found = {"programs": number, "% of a core": round(100 * (cpu_of(pid) - before) / took, 2),
                 "supervisor, %": round(100 * (site.cpu() - supervisor) / took, 2),
                 "MB PSS": round(int(rows["Pss"].split()[0]) / 1000, 1)}  # fmt: skip
        os.kill(pid, signal.SIGINT)
        os.waitpid(pid, 0)
        return found


def drain(terminal: int) -> None:
    with contextlib.suppress(OSError):
        while os.read(terminal, 65536):
            continue


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=["load", "empty", "weight", "open", "flood", "memory", "top"])
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=30)
    options = parser.parse_args()
    parts: dict[str, Callable[[], dict[str, object]]] = {
        "load": lambda: load(options.runs, 1000),
        "empty": lambda: load(options.runs, 1),
        "weight": weigh,
        "open": lambda: opened(1000, options.seconds),
        "flood": lambda: flood(200),
        "memory": lambda: memory(100),
        "top": lambda: top(100, options.seconds),
    }
    for name in options.parts:
        print(json.dumps({name: parts[name]()}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
