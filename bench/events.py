"""Measure the event toolkit: imports, file events, the status page, signals, timers.

    python bench/events.py [imports] [watch] [page] [signal] [timer]        (default: all; prints Markdown)

Memory is that of the interpreter and environment it is run with: measure in one that has only genii
(`python -m venv clean && clean/bin/pip install .`), since msgspec imports more where typing_extensions is there.
`page` needs wrk. Peers are measured in the same run where they are installed: watchfiles, aiohttp.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = Path(__file__).resolve().parent.parent / "examples" / "events"
WATCHERS = {
    "genii": """
import sys, time, genii
app = genii.App()
def changed(batch):
    print(time.monotonic(), *(change.path.rsplit("/", 1)[1] for change in batch), flush=True)
app.watch(sys.argv[1], changed, inline=True)
app.after(0.3, lambda: print("ready", flush=True))
app.run()
""",
    "genii, handler in a thread": """
import sys, time, genii
app = genii.App()
@app.watch(sys.argv[1])
def changed(batch):
    print(time.monotonic(), *(change.path.rsplit("/", 1)[1] for change in batch), flush=True)
app.after(0.3, lambda: print("ready", flush=True))
app.run()
""",
    "watchfiles": """
import asyncio, sys, time, watchfiles
async def main():
    asyncio.get_running_loop().call_later(0.5, lambda: print("ready", flush=True))
    async for batch in watchfiles.awatch(sys.argv[1]):
        print(time.monotonic(), *(path.rsplit("/", 1)[1] for _, path in batch), flush=True)
asyncio.run(main())
""",
}
EXAMPLE = """
import os, sys
sys.path.insert(0, sys.argv[2])
import counter
os.makedirs("files", exist_ok=True)
counter.make_app(counter.Counter(), listen=f"127.0.0.1:{sys.argv[1]}", files="files").run()
"""
PAGES = {
    "genii, the whole examples/events/counter.py": EXAMPLE,
    "genii, inline": """
import sys, genii
class State: count = 0
app = genii.App(listen=f"127.0.0.1:{sys.argv[1]}")
@app.every(1)
def count(): State.count += 1
app.cron("5 seconds", lambda: None)
app.cron("* * * * *", lambda: None)
app.watch(".", lambda batch: None, recursive=False)
app.signal("USR1", lambda: None)
app.get("/", lambda: f"Current Count is {State.count}.", inline=True)
app.run()
""",
    "genii, async": """
import sys, genii
app = genii.App(listen=f"127.0.0.1:{sys.argv[1]}")
@app.get("/")
async def show(): return "Current Count is 7."
app.run()
""",
    "genii, in a thread": """
import sys, genii
app = genii.App(listen=f"127.0.0.1:{sys.argv[1]}")
app.get("/", lambda: "Current Count is 7.")
app.run()
""",
    "aiohttp": """
import sys
from aiohttp import web
async def show(request): return web.Response(text="Current Count is 7.")
app = web.Application(); app.router.add_get("/", show)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)
""",
}
SIGNAL = """
import os, sys, genii
app = genii.App()
app.signal("USR1", lambda: os.write(1, b"x"), inline=True)
app.after(0.1, lambda: os.write(1, b"r"), inline=True)
app.run()
"""
TIMER = """
import sys, time, genii
app, beats, missed = genii.App(), [], 0
def beat(tick):
    global missed
    beats.append((time.monotonic(), tick.due)); missed += tick.missed
    if tick.number >= int(sys.argv[2]): app.stop()
app.every(float(sys.argv[1]), beat, inline=True)
app.run()
late = sorted(now - due for now, due in beats)
print(len(beats), missed, (beats[-1][0] - beats[0][0]) - (beats[-1][1] - beats[0][1]), late[len(late) // 2], late[-1])
"""


@contextmanager
def program(code: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True, bufsize=1, cwd=folder
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def memory(pid: int) -> float:
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read())[1]) / 1024


def switches(pid: int) -> int:
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/status", encoding="ascii") as file:
            total += sum(map(int, re.findall(r"ctxt_switches:\s+(\d+)", file.read())))
    return total


def installed(name: str) -> bool:
    module = name.split(",", maxsplit=1)[0]
    return subprocess.run([sys.executable, "-c", f"import {module}"], capture_output=True, check=False).returncode == 0


def imports() -> None:
    print("\n| import | ms, median of 15 |\n|---|--:|")
    for code in ("import genii", "import genii; genii.App", "import asyncio", "from genii.patterns import boss_worker"):
        timed = f"import time; t = time.perf_counter(); {code}; print((time.perf_counter() - t) * 1e3)"
        runs = [float(subprocess.check_output([sys.executable, "-c", timed])) for _ in range(15)]
        print(f"| `{code}` | {statistics.median(runs):.1f} |")


def watch() -> None:
    print("\n| watcher | write to event, ms median | p95 | 500 files: all seen, ms | idle wake-ups/s | RSS MiB |")
    print("|---|--:|--:|--:|--:|--:|")
    for name, code in WATCHERS.items():
        if not installed(name):
            continue
        folder = tempfile.mkdtemp()
        with program(code, folder) as process:
            assert process.stdout.readline() == "ready\n"
            delays = []
            for number in range(60):
                begin = time.monotonic()
                with open(f"{folder}/f{number}", "w", encoding="ascii") as file:
                    file.write("x")
                seen: set[str] = set()
                while f"f{number}" not in seen:
                    when, *names = process.stdout.readline().split()
                    seen.update(names)
                delays.append((float(when) - begin) * 1e3)
                time.sleep(0.02)
            time.sleep(1)
            before = switches(process.pid)
            time.sleep(3)
            idle = (switches(process.pid) - before) / 3
            begin = time.monotonic()
            for number in range(500):
                with open(f"{folder}/b{number}", "w", encoding="ascii"):
                    pass
            seen = set()
            while not seen >= {f"b{number}" for number in range(500)}:
                when, *names = process.stdout.readline().split()
                seen.update(names)
            burst = (float(when) - begin) * 1e3
            delays.sort()
            print(f"| {name} | {statistics.median(delays):.2f} | {delays[56]:.2f} | {burst:.0f} | {idle:.1f} | "
                  f"{memory(process.pid):.1f} |")  # fmt: skip
        shutil.rmtree(folder)


def page() -> None:
    if shutil.which("wrk") is None:
        print("\n(page: wrk is not installed)")
        return
    print(
        "\n| status page, 16 connections | requests/s | p50 | p99 | RSS MiB before | after |\n|---|--:|--:|--:|--:|--:|"
    )
    for name, code in PAGES.items():
        if not installed(name):
            continue
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        with program(code, str(port), str(EXAMPLES)) as process:
            url = f"http://127.0.0.1:{port}/"
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    time.sleep(0.02)
            subprocess.run(["wrk", "-t1", "-c16", "-d1s", url], capture_output=True, check=True)
            time.sleep(0.5)
            before = memory(process.pid)
            wrk = ["wrk", "-t1", "-c16", "-d4s", "--latency", url]
            output = subprocess.run(wrk, capture_output=True, check=True, text=True).stdout
            rate = float(re.search(r"Requests/sec:\s+([\d.]+)", output)[1])
            half, worst = (re.search(rf"\n\s+{part}%\s+(\S+)", output)[1] for part in (50, 99))
            print(f"| {name} | {rate:,.0f} | {half} | {worst} | {before:.1f} | {memory(process.pid):.1f} |")


def signals() -> None:
    process = subprocess.Popen([sys.executable, "-c", SIGNAL], stdout=subprocess.PIPE, bufsize=0)
    assert process.stdout.read(1) == b"r"
    delays = []
    for _ in range(1000):
        begin = time.perf_counter()
        os.kill(process.pid, signal.SIGUSR1)
        process.stdout.read(1)
        delays.append((time.perf_counter() - begin) * 1e6)
        time.sleep(0.0005)
    process.kill()
    process.wait()
    delays.sort()
    print("\n| signal to handler to pipe and back | median µs | p99 µs |\n|---|--:|--:|")
    print(f"| genii.App, inline | {delays[500]:.0f} | {delays[990]:.0f} |")


def timer() -> None:
    print("\n| timer | beats | missed | drift, ms | lateness, ms median | worst |\n|---|--:|--:|--:|--:|--:|")
    for interval, count in (("0.002", "10000"), ("0.05", "40")):
        output = subprocess.check_output([sys.executable, "-c", TIMER, interval, count], text=True).split()
        beats, missed, *times = output
        drift, median, worst = (float(text) * 1e3 for text in times)
        print(f"| every {interval} s | {beats} | {missed} | {drift:.2f} | {median:.2f} | {worst:.2f} |")


PARTS = {"imports": imports, "watch": watch, "page": page, "signal": signals, "timer": timer}

if __name__ == "__main__":
    for part in sys.argv[1:] or PARTS:
        PARTS[part]()
