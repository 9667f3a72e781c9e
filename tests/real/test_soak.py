"""Elastic workers under a load that rises and falls, while everything is killed at random.

A minute for both servers by default; ``GENII_SOAK=600`` (seconds each) is for the night. What must hold: each
foreground job is answered or fails to its caller, each background job that was acknowledged is done at least once, the
number of workers stays within its bounds, grows under load and is the minimum when all is done.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.compat.conftest import debian, gearmand, install  # noqa: F401 -- fixtures

from genii.errors import ConnectionLost, GeniiError, JobFailed, JobRefused, NotRunning, TimedOut
from genii.gearman.async_client import AsyncClient

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.real.harness import Site

SECONDS = float(os.environ.get("GENII_SOAK", "30"))
SETTLING = 120.0
"""Seconds in which all must be done when nothing is killed any more, on a very loaded machine."""
MINIMUM, MAXIMUM = 2, 6
WORKER = """
import os, time, genii

DONE = os.open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "done"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)

class Soak(genii.Worker):
    def work(self, data):
        name, seconds = data.split()
        time.sleep(float(seconds))
        os.write(DONE, name + b"\\n")
        return name
"""


class Load:
    """Jobs in the foreground and background, more and fewer of them, from a thread of their own."""

    def __init__(self, server: str, seed: int) -> None:
        self.server = server
        self.chance = random.Random(seed)
        self.asked = self.answered = self.failed = 0
        self.wrong: list[str] = []
        self.acknowledged: set[str] = set()
        self.ending = threading.Event()
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:
            self.error = error

    async def _main(self) -> None:
        began = time.monotonic()
        tasks: set[asyncio.Task[None]] = set()
        async with AsyncClient(self.server, timeout=SETTLING) as client:
            while not self.ending.is_set():
                wanted = round(8.5 - 7.5 * math.cos((time.monotonic() - began) * 2 * math.pi / 10))
                while len(tasks) < wanted:
                    task = asyncio.create_task(self._one(client))
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
                await asyncio.sleep(0.005)
            await asyncio.gather(*tasks)

    async def _one(self, client: AsyncClient) -> None:
        self.asked += 1
        name = f"job-{self.asked}"
        payload = f"{name} {self.chance.choice((0, 0, 0, 0.002, 0.03))}".encode()
        try:
            if self.chance.random() < 0.5:
                if await client.call("Soak::work", payload) != name.encode():
                    self.wrong.append(name)
                self.answered += 1
            else:
                await client.submit("Soak::work", payload)
                self.acknowledged.add(name)
                await asyncio.sleep(0.005)
        except (ConnectionLost, JobFailed, JobRefused, NotRunning):
            self.failed += 1
            await asyncio.sleep(0.05)


class Killer:
    """Kill whatever there is."""

    def __init__(self, site: Site, seed: int, *, server: bool) -> None:
        self.site = site
        self.chance = random.Random(seed)
        self.kinds: list[Callable[[], None]] = [self.worker, self.worker, self.supervisor, self.helper]
        if server:
            self.kinds.append(self.server)
        self.kills = 0
        self.most = 0

    def strike(self) -> None:
        """Kill one thing, and see that the bounds hold."""
        with contextlib.suppress(GeniiError):
            self.chance.choice(self.kinds)()
            self.kills += 1
        self.look()

    def look(self) -> None:
        """See that the number of workers is within its bounds."""
        with contextlib.suppress(GeniiError):
            rows = [row for row in self.site.client.statuses() if row["program"] == "w"]
            alive = sum(row["pid"] > 0 for row in rows)
            assert alive <= MAXIMUM, rows
            self.most = max(self.most, alive)

    def _kill(self, pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def worker(self) -> None:
        """Kill a worker."""
        pids = [row["pid"] for row in self.site.client.statuses(["w"]) if row["pid"]]
        if pids:
            self._kill(self.chance.choice(pids))

    def server(self) -> None:
        """Kill the job server."""
        pid = self.site.client.statuses(["jobs"])[0]["pid"]
        if pid:
            self._kill(pid)

    def helper(self) -> None:
        """Kill the keeper, or the nursery."""
        found = [self.site.keeper_pid()]
        for pid in self.site.processes():
            with contextlib.suppress(OSError):
                if b"GENII_PROCESS=w/nursery" in Path(f"/proc/{pid}/environ").read_bytes():
                    found.append(pid)
        self._kill(self.chance.choice(found))

    def supervisor(self) -> None:
        """Kill the supervisor, and start the next one."""
        with contextlib.suppress(GeniiError):
            self.site.kill_supervisor()
        assert self.site.genii("up", "-d").status in (0, 1)  # 1: a worker was just being killed


def soak(site: Site, server: str, jobs: str, *, kill_server: bool) -> None:
    searching = "GENII_SOAK" in os.environ
    seed = int(os.environ.get("GENII_SOAK_SEED") or (random.randrange(1 << 30) if searching else 7))
    (site.path / "soak.py").write_text(WORKER)
    scaling = 'scaling = { grace = "500ms", cooldown = "200ms" }'
    site.write(
        f'{jobs}[program.w]\nworker = "soak:Soak"\nprocesses = {{ min = {MINIMUM}, max = {MAXIMUM} }}\n'
        f"warm = true\nrecycle = {{ jobs = 100 }}\nretries = 1000\n{scaling}\n",
        defaults="",
    )
    site.up()
    load, killer = Load(server, seed), Killer(site, seed, server=kill_server)
    load.thread.start()
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        time.sleep(killer.chance.uniform(0.2, 1.5))  # the time between two misfortunes
        killer.strike()
    killer.supervisor()
    load.ending.set()
    load.thread.join(SETTLING)
    assert not load.thread.is_alive(), f"seed {seed}: a foreground job is never answered"
    assert load.error is None, f"seed {seed}: {load.error!r}\n{what_there_is(site)}"
    assert load.wrong == []
    await_all_done(site, load.acknowledged, seed)
    assert load.answered > SECONDS
    assert load.answered > load.failed
    assert killer.kills > 0
    assert killer.most > MINIMUM
    await_rest(site, seed)
    print(f"seed {seed}: {load.asked} jobs, {load.answered} answered, {load.failed} failed, "
          f"{len(load.acknowledged)} in the background, {killer.kills} kills, up to {killer.most} workers")  # fmt: skip


def what_there_is(site: Site) -> str:
    """Tell what the supervisor knows, for a run that failed."""
    with contextlib.suppress(GeniiError):
        return f"{site.client.overview()}\n{site.client.statuses()}\n{site.own_log()[-3000:]}"
    return site.own_log()[-3000:]


def await_all_done(site: Site, names: set[str], seed: int) -> None:
    """Wait until each background job has been done at least once."""
    end = time.monotonic() + SETTLING
    while missing := names - set((site.path / "done").read_text().split()):
        assert time.monotonic() < end, f"seed {seed}: {len(missing)} jobs of {len(names)} were never done"
        time.sleep(0.1)


def await_rest(site: Site, seed: int) -> None:
    """Wait until the least number of workers is left, all idle."""
    end = time.monotonic() + SETTLING
    pool: object = None
    while time.monotonic() < end:
        with contextlib.suppress(GeniiError, TimedOut):
            found = site.client.overview()["pools"][0]
            pool = found
            if (found["slots"], found["busy"], found["leaving"]) == (MINIMUM, 0, 0):
                return
        time.sleep(0.1)
    raise AssertionError(f"seed {seed}: {pool}\n{what_there_is(site)}")


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 4 * SETTLING)
def test_nothing_is_lost_whatever_is_killed(site: Site) -> None:
    server = f"unix:{site.path}/jobs.sock"
    soak(site, server, f'[jobs]\nlisten = "{server}"\n', kill_server=True)


@pytest.mark.slow
@pytest.mark.compat
@pytest.mark.timeout(SECONDS + 4 * SETTLING)
def test_nothing_is_lost_with_gearmand_as_the_server(site: Site, gearmand: Callable[..., int]) -> None:  # noqa: F811
    server = f"127.0.0.1:{gearmand()}"
    soak(site, server, f'[jobs]\nservers = ["{server}"]\n', kill_server=False)
