"""Workers that start warm: forked from a process that has their class loaded, and otherwise like any other."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.real.harness import PATIENCE
from tests.waiting import wait_gone

from genii.gearman.client import Client
from genii.testing.job_server import job_servers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.real.harness import Site

    from genii.testing.job_server import ServerThread

WORKER = """
import os, random, sys, threading, genii

LOADED_BY = os.getpid()
{more}

class W(genii.Worker):
    def loaded_by(self, data):
        return f"{{LOADED_BY}} {{os.getpid()}} {{os.getppid()}} {{VERSION}}".encode()

    def about(self, data):
        me = threading.main_thread()
        print("out", flush=True)
        print("err", file=sys.stderr, flush=True)
        ids = me.ident == threading.get_ident(), threading.get_native_id() == os.getpid()
        return f"{{os.environ['GENII_PROCESS']}} {{os.getsid(0) == os.getpid()}} {{ids}} {{random.random()}}".encode()

    def thread(self, data):
        found = []
        worker = threading.Thread(target=lambda: found.append(threading.get_native_id()))
        worker.start()
        worker.join()
        return str(found[0] != os.getpid()).encode()

    def child(self, data):
        import subprocess
        return subprocess.run(["echo", "from a child"], capture_output=True).stdout

    def crash(self, data):
        os.abort()
"""


class Nest:
    """A site with workers that start warm."""

    def __init__(self, site: Site, server: ServerThread) -> None:
        self.site = site
        self.client = Client(server.address, timeout=PATIENCE)
        self.server = server
        self.write_worker()

    def write_worker(self, version: str = "1", more: str = "") -> None:
        """Write the module."""
        (self.site.path / "warm.py").write_text(WORKER.format(more=f"VERSION = {version}\n{more}"))

    def up(self, more: str = "processes = 1\nrecycle = { jobs = 1 }") -> None:
        """Start it."""
        jobs = f'[jobs]\nservers = ["{self.server.address}"]\n'
        self.site.write(f'{jobs}[program.w]\nworker = "warm:W"\nwarm = true\n{more}\n', defaults="")
        self.site.up()

    def nurseries(self) -> list[int]:
        """Return the pids of nurseries."""
        found = []
        for pid in self.site.processes():
            with contextlib.suppress(OSError):
                if b"GENII_PROCESS=w/nursery" in Path(f"/proc/{pid}/environ").read_bytes():
                    words = Path(f"/proc/{pid}/cmdline").read_bytes()
                    if b"--nursery" in words and pid not in {row["pid"] for row in self.site.client.statuses(["w"])}:
                        found.append(pid)
        return found

    def loaded(self) -> tuple[int, int, int, str]:
        """Return who loaded the class, who did the job, whose child that is, and the version of the class."""
        loaded_by, pid, parent, version = self.client.call("W::loaded_by", retries=5).decode().split()
        return int(loaded_by), int(pid), int(parent), version

    def until_warm(self, other_than: int = 0) -> int:
        """Wait until a worker comes from a nursery (not from an earlier one); return the nursery's pid."""
        return self.until(lambda: (found := self.loaded())[0] not in (found[1], other_than) and found[0])

    def until(self, condition: Callable[[], int]) -> int:
        """Wait until something is so."""
        end = time.monotonic() + PATIENCE
        while not (found := condition()):
            assert time.monotonic() < end, self.site.own_log()
            time.sleep(0.02)
        return found


@pytest.fixture
def nest(site: Site) -> Iterator[Nest]:
    with job_servers() as start:
        nest = Nest(site, start())
        try:
            yield nest
        finally:
            nest.client.close()
            site.close()


def test_a_warm_worker_is_a_process_of_its_own(nest: Nest) -> None:
    nest.up()
    nursery = nest.until_warm()
    loaded_by, pid, parent, _ = nest.loaded()
    assert loaded_by == nursery != pid
    assert parent == nest.site.supervisor_pid()
    answers = [nest.client.call("W::about").decode() for _ in range(3)]
    assert {answer.rpartition(" ")[0] for answer in answers} == {"w True (True, True)"}
    assert len(set(answers)) == 3  # each has its own random numbers
    nest.site.line("w", "out", "err")
    assert nest.client.call("W::thread") == b"True"
    assert nest.client.call("W::child") == b"from a child\n"


def test_its_end_is_told_as_of_any_process(nest: Nest) -> None:
    nest.up("processes = 1")
    nest.until(lambda: len(nest.nurseries()))
    nest.site.act("restart", "w")
    handle = nest.client.submit("W::crash")
    nest.until(lambda: nest.site.status("w")["exit_status"] == -signal.SIGABRT)
    assert nest.client.status(handle).known


def test_a_restart_loads_the_code_anew(nest: Nest) -> None:
    nest.up()
    first = nest.until_warm()
    nest.write_worker(version="'second version'.split()[0]")
    assert nest.site.genii("restart", "w").status == 0
    assert nest.loaded()[3] == "second"
    nest.until_warm(other_than=first)
    assert nest.loaded()[3] == "second"


def test_without_its_nursery_a_worker_starts_all_the_same(nest: Nest) -> None:
    nest.up()
    first = nest.until_warm()
    os.kill(first, signal.SIGKILL)
    assert nest.loaded()
    wait_gone(first)
    assert nest.until_warm(other_than=first)


def test_a_nursery_that_hangs_is_replaced(nest: Nest) -> None:
    nest.up()
    first = nest.until_warm()
    os.kill(first, signal.SIGSTOP)
    assert nest.loaded()
    assert nest.until_warm(other_than=first)
    assert "its nursery failed" in nest.site.own_log()


def test_a_module_with_threads_is_started_cold(nest: Nest) -> None:
    nest.write_worker(more="threading.Thread(target=threading.Event().wait, daemon=True).start()")
    nest.up()
    nest.site.wait_own_log("starts threads when it is imported")
    loaded_by, pid, _, _ = nest.loaded()
    assert loaded_by == pid


def test_nurseries_end_with_their_supervisor(nest: Nest) -> None:
    nest.up()
    nursery = nest.until_warm()
    nest.site.kill_supervisor()
    wait_gone(nursery)
    nest.site.up()
    assert nest.until_warm(other_than=nursery)
    assert nest.site.genii("down").status == 0
    assert nest.site.remaining() == []


def test_only_workers_can_be_warm(site: Site) -> None:
    site.write('[program.x]\ncommand = "sleep 1"\nwarm = true\n')
    outcome = site.genii("check")
    assert outcome.status == 2
    assert "warm: is for workers" in outcome.err + outcome.out
