"""Measure elastic workers: how fast one more works, what a job costs, what a manager costs, what recycling costs.

``python bench/workers.py [start] [job] [idle] [recycle]``; without words all of them. Each needs about half a minute.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

import genii
from genii.control.client import Client as Control
from genii.system.address import Address
from genii.system.procfs import usage

if TYPE_CHECKING:
    from collections.abc import Callable

WORKER = """
import os, time, genii

class W(genii.Worker):
    def sleep(self, data):
        began = time.time()
        time.sleep(float(data))
        return b"%d %r" % (os.getpid(), began)

    def nothing(self, data):
        return b""
"""


class Site:
    """A folder with `genii up` in it."""

    def __init__(self, program: str, what: str = 'worker = "w:W"') -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="genii-bench-")
        self.path = Path(self._folder.name)
        self.server = f"unix:{self.path}/jobs.sock"
        (self.path / "w.py").write_text(WORKER)
        what = what.replace("SERVER", self.server)
        (self.path / "genii.toml").write_text(f'[jobs]\nlisten = "{self.server}"\n[program.w]\n{what}\n{program}\n')
        # Compiled modules are kept, as they are wherever genii is installed.
        self._environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    def __enter__(self) -> Self:
        self.genii("up", "-d")
        return self

    def __exit__(self, *_: object) -> None:
        self.genii("down")
        self._folder.cleanup()

    def genii(self, *words: str) -> None:
        """Run a command."""
        command = [sys.executable, "-m", "genii", *words]
        subprocess.run(command, cwd=self.path, env=self._environment, check=True, capture_output=True, timeout=120)

    @property
    def control(self) -> Control:
        """The control API."""
        return Control(Address(path=str(self.path / ".genii/genii.sock")), timeout=60)

    def wait(self, slots: int) -> None:
        """Wait until so many workers run and are idle."""
        while (pool := self.control.overview()["pools"][0])["slots"] != slots or pool["busy"]:
            time.sleep(0.02)


def start() -> None:
    """From the moment at which the last idle worker is busy to the moment at which one more has begun a job."""
    for warm in (False, True):
        times = []
        with Site(f'processes = {{ min = 1, max = 2 }}\nwarm = {str(warm).lower()}\nscaling = {{ grace = "50ms", '
                  'cooldown = "50ms" }') as site, genii.Client(site.server, timeout=30) as client:  # fmt: skip
            site.wait(1)
            time.sleep(0.7)  # the nursery loads
            for _ in range(15):
                client.submit("W::sleep", b"0.6")
                busy = time.time()
                began = float(client.call("W::sleep", b"0").split()[1])
                times.append(1000 * (began - busy))
                site.wait(1)
        times.sort()
        name = "warm" if warm else "cold"
        print(f"start {name}: one more works after {statistics.median(times):.0f} ms (p50), {times[-2]:.0f} ms (p90)")


def job() -> None:
    """CPU of a worker for each job that does nothing, with and without somebody to tell."""
    mute = f'command = "env -u NOTIFY_SOCKET {sys.executable} -m genii work w:W -s SERVER"'
    for name, what in (("told to the supervisor", 'worker = "w:W"'), ("told to nobody", mute)):
        with Site("processes = 1", what) as site, genii.Client(site.server, timeout=60) as client:
            client.call("W::nothing")
            pid = site.control.statuses(["w"])[0]["pid"]
            for how, count in (("many waiting", 20000), ("one at a time", 3000)):
                before = usage(pid)[1]
                began = time.monotonic()
                if count == 20000:
                    for _ in client.map("W::nothing", [b""] * count):
                        pass
                else:
                    for _ in range(count):
                        client.call("W::nothing")
                seconds = time.monotonic() - began
                cpu = 1e6 * (usage(pid)[1] - before) / count
                print(f"job, {name}, {how}: {cpu:.0f} us CPU of the worker a job; {count / seconds:.0f} jobs/s")


def idle() -> None:
    """Memory and CPU of the supervisor for 100 workers: idle, all busy, and each with a job a second."""
    with Site("processes = { min = 1, max = 200 }") as site:
        site.wait(1)
        pid = site.control.supervisor()["pid"]
        before = _private(pid)
        site.control.act("scale", ["w"], minimum=100, maximum=200, timeout=100)
        site.wait(100)
        print(
            f"100 workers: {(_private(pid) - before) / 2**20:.1f} MiB more in the supervisor"
            f" ({before / 2**20:.1f} before)"
        )
        _watch(pid, "idle", lambda: time.sleep(10))
        asyncio.run(_flow(site.server, pid))


async def _flow(server: str, pid: int) -> None:
    async with genii.AsyncClient(server, timeout=60) as client:
        tasks = [asyncio.create_task(client.call("W::sleep", b"8")) for _ in range(100)]
        await asyncio.sleep(2)
        before = usage(pid)[1]
        await asyncio.sleep(5)
        print(f"100 workers, all busy: {100 * (usage(pid)[1] - before) / 5:.2f} % CPU of the supervisor")
        await asyncio.gather(*tasks)
        before, began = usage(pid)[1], time.monotonic()
        for _ in range(500):  # 100 jobs a second, of 20 ms each
            tasks.append(asyncio.create_task(client.call("W::sleep", b"0.02")))
            await asyncio.sleep(0.01)
        await asyncio.gather(*tasks)
        seconds = time.monotonic() - began
        print(f"100 workers, 100 jobs a second: {100 * (usage(pid)[1] - before) / seconds:.2f} % CPU of the supervisor")


def _watch(pid: int, name: str, act: Callable[[], object]) -> None:
    before, began = usage(pid)[1], time.monotonic()
    act()
    seconds = time.monotonic() - began
    print(f"100 workers, {name}: {100 * (usage(pid)[1] - before) / seconds:.2f} % CPU of the supervisor")


def _private(pid: int) -> int:
    rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(1024 * int(row.split()[1]) for row in rows if row.startswith("Private_"))


def recycle() -> None:
    """Throughput with a new process every 10 jobs against none, for jobs of several lengths."""
    for length in (0.0, 0.01, 0.05):
        rates = {}
        for name, more in (
            ("never", ""), ("every 10, warm", "recycle = { jobs = 10 }\nwarm = true"),
            ("every 10, cold", "recycle = { jobs = 10 }"),
        ):  # fmt: skip
            with Site(f"processes = {{ min = 4, max = 8 }}\n{more}") as site:
                site.wait(4)
                time.sleep(0.7)
                rates[name] = asyncio.run(_rate(site.server, length))
        parts = [f"{name} {rate:.0f}/s ({100 * rate / rates['never']:.0f} %)" for name, rate in rates.items()]
        print(f"recycle, jobs of {1000 * length:.0f} ms, 4 at once: " + ", ".join(parts))


async def _rate(server: str, length: float) -> float:
    """Return jobs per second with four at once."""
    payload = str(length).encode()
    deadline = time.monotonic() + 4
    done = 0
    async with genii.AsyncClient(server, timeout=60) as client:

        async def ask() -> None:
            nonlocal done
            while time.monotonic() < deadline:
                await client.call("W::sleep", payload)
                done += 1

        await asyncio.gather(*(ask() for _ in range(4)))
    return done / 4


PARTS = {"start": start, "job": job, "idle": idle, "recycle": recycle}

if __name__ == "__main__":
    for part in sys.argv[1:] or PARTS:
        PARTS[part]()
