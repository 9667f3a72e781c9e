"""Deployments that are killed: at every step, and at random instants, while a client polls the site.

``GENII_DEPLOY_KILLS=100`` kills more often.
"""

from __future__ import annotations

import http.client
import http.server
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.deploy.harness import Site
from tests.waiting import wait_until

from genii.config.deploy import Health

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KILLS = int(os.environ.get("GENII_DEPLOY_KILLS", "25"))


class Nursery:
    """Starts deployments that may be killed."""

    def __init__(self, site: Site) -> None:
        self.site = site
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.deploy.nursery"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=environment,
        )  # fmt: skip

    def start(self, die_at: int = 0) -> int:
        assert self.process.stdin is not None
        order = {"settings": msgspec.json.encode(self.site.settings).decode(), "die_at": die_at}
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return self.answer()

    def answer(self) -> int:
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())

    def end(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        assert self.process.wait(30) == 0


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


class Client:
    """Polls the site of one host over HTTP, and notes every answer that is not a version."""

    def __init__(self, site: Site, host: str) -> None:
        handler = partial(Quiet, directory=str(site.root(host) / "current"))
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.wrong: list[str] = []
        self.asked = 0
        self.stopped = threading.Event()
        self.threads = [threading.Thread(target=self.server.serve_forever), threading.Thread(target=self.poll)]
        for thread in self.threads:
            thread.start()

    def poll(self) -> None:
        while not self.stopped.wait(0.002):
            connection = http.client.HTTPConnection("127.0.0.1", self.server.server_port, timeout=30)
            try:
                connection.request("GET", "/VERSION")
                answer = connection.getresponse()
                text = answer.read().decode()
            finally:
                connection.close()
            self.asked += 1
            if answer.status != 200 or not text.startswith("v"):
                self.wrong.append(f"{answer.status}: {text[:100]}")

    def end(self) -> None:
        self.stopped.set()
        self.threads[1].join(40)
        self.server.shutdown()
        self.threads[0].join(40)
        self.server.server_close()


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path, ("h1", "h2"))
    site.set(
        linked_dirs=("log",),
        install=("cp VERSION built",),
        check=("cmp VERSION built",),
        steps={"restart": ("cat $CURRENT_PATH/VERSION >$DEPLOY_TO/running",)},
        health=Health(command="cmp $CURRENT_PATH/VERSION $DEPLOY_TO/running", timeout=5.0),
        keep=3,
    )
    assert site.deploy().status == "good"
    clients = [Client(site, host) for host in site.settings.hosts]
    yield site
    for client in clients:
        client.end()
    assert [client.wrong for client in clients] == [[], []]
    assert all(client.asked for client in clients)


@pytest.fixture
def nursery(victim: Site) -> Iterator[Nursery]:
    nursery = Nursery(victim)
    yield nursery
    nursery.end()


def descendants(pid: int) -> list[int]:
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as stat:
                    parent = int(stat.read().rpartition(") ")[2].split()[1])
            except OSError:
                continue
            if parent == pid:
                found += [int(name), *descendants(int(name))]
    return found


def check_recovery(site: Site, version: str) -> None:
    """The next deployment puts everything right, and the way back leads to a whole, good release."""
    result = site.deploy(lock_wait=40.0)
    assert result.status == "good", result
    for host in site.settings.hosts:
        assert site.live(host) == version
        root = site.root(host)
        assert (root / "running").read_text() == f"{version}\n"
        assert not [*(root / ".genii").glob("trash/*")]
        states: dict[str, str] = {}
        for line in (root / ".genii/releases.jsonl").read_text().splitlines():
            entry = json.loads(line)
            states[entry["release"]] = entry["state"]
        for release in site.releases(host):
            assert states[release] == "good", (release, states)
            assert (root / "releases" / release / "built").read_text().startswith("v")
            assert len(list((root / "releases" / release / "lib").iterdir())) == 5


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_killed_at_every_step(victim: Site, nursery: Nursery) -> None:
    victim.commit("v2")
    kills = 0
    while True:
        version = f"v2.{kills}"
        victim.commit(version)
        nursery.start(die_at=2 * kills + 1)
        status = nursery.answer()
        if status == 0:  # it got to its end
            break
        assert status == signal.SIGKILL, "it failed by itself"
        kills += 1
        assert all(victim.live(host).startswith("v") for host in victim.settings.hosts)
        if kills % 5 == 0:
            check_recovery(victim, version)
    assert kills > 15
    check_recovery(victim, version)


@pytest.mark.slow
@pytest.mark.timeout(120 + 6 * KILLS)
def test_killed_at_random_instants(victim: Site, nursery: Nursery) -> None:
    instants = random.Random(7)
    version = "v3"
    victim.commit(version)
    began = time.monotonic()
    nursery.start()
    assert nursery.answer() == 0
    longest = time.monotonic() - began
    for number in range(KILLS):
        version = f"v4.{number}"
        victim.commit(version)
        before = {host: victim.live(host) for host in victim.settings.hosts}
        pid = nursery.start()
        time.sleep(instants.uniform(0, longest))  # the instant is what is tested
        everything = descendants(pid) if number % 2 else []
        for one in [pid, *everything]:  # every other time the hosts go down, too
            try:
                os.kill(one, signal.SIGKILL)
            except ProcessLookupError:
                continue
        nursery.answer()
        for host in victim.settings.hosts:
            assert victim.live(host) in (before[host], version)
        if number % 5 == 4:
            check_recovery(victim, version)
    check_recovery(victim, version)


@pytest.mark.slow
def test_interrupted_by_hand_takes_back_what_was_begun(victim: Site, tmp_path: Path) -> None:
    import asyncio

    victim.commit("v2")
    victim.set(check=(f"touch {tmp_path}/checking; sleep 1000",))
    deployer = victim.deployer()

    async def interrupted() -> None:
        task = asyncio.create_task(deployer.deploy(victim.source()))
        await asyncio.to_thread(wait_until, (tmp_path / "checking").exists)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    before = victim.releases()
    asyncio.run(interrupted())
    assert victim.releases() == before
    assert [member.state for member in deployer.members] == ["unchanged", "unchanged"]
    assert [victim.log(host)[-1]["status"] for host in ("h1", "h2")] == ["interrupted", "interrupted"]


@pytest.mark.slow
def test_interrupted_after_the_switch_goes_back(victim: Site, tmp_path: Path) -> None:
    import asyncio

    victim.commit("v2")
    wait = f"[ $RELEASE = $PREVIOUS_RELEASE ] || {{ touch {tmp_path}/$DEPLOY_HOST; sleep 1000; }}"
    victim.set(steps={"restart": ("cat $CURRENT_PATH/VERSION >$DEPLOY_TO/running", wait)})
    deployer = victim.deployer()

    async def interrupted() -> None:
        task = asyncio.create_task(deployer.deploy(victim.source()))
        for host in ("h1", "h2"):
            await asyncio.to_thread(wait_until, (tmp_path / host).exists)
        assert [victim.live(host) for host in ("h1", "h2")] == ["v2", "v2"]
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(interrupted())
    for host in ("h1", "h2"):
        assert victim.live(host) == "v1"
        assert (victim.root(host) / "running").read_text() == "v1\n"
