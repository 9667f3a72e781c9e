"""Elastic workers under `genii up`: their number follows the load, nobody who works is disturbed."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import TYPE_CHECKING

import pytest
from tests.real.harness import PATIENCE, kill
from tests.waiting import wait_gone, wait_until

from genii.errors import TimedOut
from genii.gearman.admin import Admin
from genii.gearman.client import Client
from genii.gearman.pool import read_servers
from genii.testing.job_server import job_servers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.real.harness import Site

    from genii.control.rows import PoolRow, StatusRow
    from genii.testing.job_server import ServerThread

WORKERS = """
import os, pathlib, signal, genii

class Held(genii.Worker):
    def hold(self, name):
        # Until the test opens the other end.
        return pathlib.Path(name.decode()).read_bytes()

    def echo(self, data):
        return data

    def pid(self, data):
        return str(os.getpid()).encode()

    def crash(self, data):
        os.kill(os.getpid(), signal.SIGSEGV)

    def leave(self, data):
        os._exit(3)

    def fail(self, data):
        raise ValueError("no")

class Useless(genii.Worker):
    pass
"""
SCALING = 'scaling = { grace = "100ms", cooldown = "50ms" }'


class Plant:
    """A site with workers, and a job server outside."""

    def __init__(self, site: Site, server: ServerThread) -> None:
        self.site = site
        self.server = server
        self.client = Client(server.address, timeout=PATIENCE)
        self.held: list[str] = []
        (site.path / "held.py").write_text(WORKERS)

    def up(self, program: str, *, worker: str = "held:Held", works: bool = True) -> None:
        """Start the supervisor with one program of workers."""
        jobs = f'[jobs]\nservers = ["{self.server.address}"]\n'
        self.site.write(f'{jobs}[program.w]\nworker = "{worker}"\n{program}\n', defaults="")
        assert self.site.genii("up", "-d").status == (0 if works else 1)

    def hold(self, number: int = 1) -> list[str]:
        """Submit jobs that last until they are released; return their names."""
        names = [str(self.site.path / f"held-{len(self.held) + count}") for count in range(number)]
        for name in names:
            os.mkfifo(name)
            self.client.submit("Held::hold", name.encode())
        self.held += names
        return names

    def release(self, names: list[str]) -> None:
        """Let held jobs end."""
        for name in names:
            with open(name, "wb") as pipe:
                pipe.write(b"done")

    def slots(self) -> list[StatusRow]:
        """Return the slots of the workers."""
        return self.site.client.statuses(["w"])

    def pool(self) -> PoolRow:
        """Return the figures of the pool."""
        return self.site.client.overview()["pools"][0]

    def until(self, accepts: Callable[[PoolRow], bool], seconds: float = PATIENCE) -> PoolRow:
        """Wait until the figures of the pool are as wanted."""
        end = time.monotonic() + seconds
        while not accepts(pool := self.pool()):
            assert time.monotonic() < end, f"{pool}\n{self.slots()}\n{self.site.own_log()}"
            time.sleep(0.02)
        return pool


@pytest.fixture
def plant(site: Site) -> Iterator[Plant]:
    with job_servers() as start:
        plant = Plant(site, start())
        try:
            yield plant
        finally:
            plant.client.close()
            site.close()


def until_running(site: Site, count: int) -> None:
    """Wait until so many processes of the program ``x`` are there, all of them running."""
    end = time.monotonic() + PATIENCE
    while [row["state"] for row in site.client.statuses(["x"])] != ["RUNNING"] * count:
        assert time.monotonic() < end, site.own_log()
        time.sleep(0.02)


def test_one_more_for_each_that_is_busy_and_back_again_when_they_are_idle(plant: Plant) -> None:
    plant.up(f"processes = {{ min = 1, max = 3 }}\n{SCALING}")
    plant.until(lambda pool: pool["slots"] == 1)
    first = plant.hold()
    plant.until(lambda pool: (pool["slots"], pool["busy"]) == (2, 1))
    others = plant.hold(4)
    plant.until(lambda pool: (pool["slots"], pool["busy"]) == (3, 3))
    busy = {slot["pid"] for slot in plant.slots()}
    plant.release([*first, *others[:2]])
    plant.until(lambda pool: pool["busy"] == 2)
    plant.release(others[2:])
    plant.until(lambda pool: (pool["slots"], pool["busy"]) == (1, 0))
    assert len(plant.slots()) == 1
    assert plant.slots()[0]["pid"] in busy
    assert plant.slots()[0]["restarts"] == 0


def test_the_status_says_what_each_slot_does(plant: Plant) -> None:
    plant.up("processes = { min = 2, max = 2 }\nrecycle = { jobs = 5 }")
    held = plant.hold()
    plant.until(lambda pool: pool["busy"] == 1)
    busy, idle = sorted(plant.slots(), key=lambda slot: not slot["busy"])
    assert (busy["job"], busy["jobs_left"], busy["jobs_done"]) == ("Held::hold", 4, 0)
    assert time.time() - PATIENCE < busy["busy_since"] <= time.time()
    assert busy["memory"] > 1 << 20
    assert (idle["busy"], idle["job"], idle["jobs_left"]) == (False, "", 5)
    plant.site.environment["COLUMNS"] = "200"
    shown = plant.site.genii("status").out
    assert "busy with Held::hold for" in shown
    assert "4 jobs left" in shown
    overview = json.loads(plant.site.genii("status", "--json").out)
    assert overview["pools"][0]["slots"] == 2
    metrics = plant.site.client._call("GET", "/api/v1/processes", None, "pools", PATIENCE)
    assert metrics[0]["busy"] == 1
    plant.release(held)
    plant.until(lambda pool: pool["busy"] == 0)


def test_a_worker_that_does_its_last_job_has_its_successor_already(plant: Plant) -> None:
    plant.up(f"processes = {{ min = 1, max = 2 }}\nrecycle = {{ jobs = 1 }}\n{SCALING}")
    plant.until(lambda pool: pool["slots"] == 1)
    old = plant.slots()[0]["pid"]
    held = plant.hold()
    plant.until(lambda pool: (pool["slots"], pool["busy"], pool["leaving"]) == (2, 1, 1))
    assert int(plant.client.call("Held::pid")) != old  # the successor takes jobs while the old one still works
    plant.release(held)
    wait_gone(old)
    plant.until(lambda pool: (pool["slots"], pool["leaving"]) == (1, 0))
    assert old not in {slot["pid"] for slot in plant.slots()}


def test_where_there_is_no_room_a_worker_is_replaced_in_its_place(plant: Plant) -> None:
    plant.up("processes = 1\nrecycle = { jobs = 2 }")
    pids = [plant.client.call("Held::pid") for _ in range(8)]
    assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [2, 2, 2, 2]
    plant.until(lambda pool: pool["slots"] == 1)
    assert plant.slots()[0]["name"] == "w"


def test_a_busy_worker_is_not_killed_when_the_bounds_are_lowered(plant: Plant) -> None:
    plant.up(f'processes = {{ min = 2, max = 4 }}\n{SCALING}\nstop = {{ timeout = "100ms" }}')
    held = plant.hold(3)
    plant.until(lambda pool: (pool["slots"], pool["busy"]) == (4, 3))
    assert plant.site.genii("scale", "w=1..2").status == 0
    plant.until(lambda pool: pool["slots"] == 3)  # the idle one is gone
    plant.release(held)
    plant.until(lambda pool: pool["slots"] == 1)
    assert "killing" not in plant.site.own_log()
    assert plant.client.call("Held::echo", b"x") == b"x"


def test_scaling_by_hand_starts_the_new_minimum_and_lasts_over_a_crash(plant: Plant) -> None:
    plant.up(f"processes = {{ min = 1, max = 2 }}\n{SCALING}")
    assert "w: 3 to 6 processes" in plant.site.genii("scale", "w=3..6").out
    plant.until(lambda pool: (pool["slots"], pool["minimum"], pool["maximum"]) == (3, 3, 6))
    held = plant.hold(4)
    plant.until(lambda pool: (pool["slots"], pool["busy"]) == (5, 4))
    pids = {slot["pid"] for slot in plant.slots()}
    plant.site.kill_supervisor()
    plant.site.up()
    pool = plant.pool()
    assert (pool["slots"], pool["busy"], pool["maximum"]) == (5, 4, 6)
    assert {slot["pid"] for slot in plant.slots()} == pids
    plant.release(held)
    plant.until(lambda pool: pool["slots"] == 3)


def test_paused_workers_finish_and_take_nothing_more(plant: Plant) -> None:
    plant.up(f"processes = {{ min = 1, max = 3 }}\n{SCALING}")
    held = plant.hold()
    plant.until(lambda pool: (pool["slots"], pool["busy"]) == (2, 1))
    assert plant.site.genii("pause", "w").status == 0
    with Admin(read_servers(plant.server.address)[0]) as admin:
        end = time.monotonic() + PATIENCE
        while any(row.workers > 1 for row in admin.status()):  # the busy one tells it after its job
            assert time.monotonic() < end
            time.sleep(0.02)
        plant.release(held)
        while any(row.workers for row in admin.status()):
            assert time.monotonic() < end
            time.sleep(0.02)
        waiting = plant.client.submit("Held::echo", b"x")
        assert plant.pool()["paused"]
        kill(plant.slots()[0]["pid"])  # its successor is paused too
        plant.until(lambda pool: pool["slots"] == 2 and pool["paused"])
        assert plant.client.status(waiting).known
        assert plant.site.genii("resume", "w").status == 0
        while plant.client.status(waiting).known:
            assert time.monotonic() < end
            time.sleep(0.02)


def test_only_workers_can_be_paused(site: Site) -> None:
    site.write('[program.x]\ncommand = "sleep 1000"\n')
    site.up()
    outcome = site.genii("pause", "x")
    assert outcome.status == 1
    assert "no worker" in outcome.err


def test_draining_waits_for_the_job_however_long_it_takes(plant: Plant) -> None:
    plant.up(f'processes = {{ min = 1, max = 2 }}\nstop = {{ timeout = "50ms" }}\n{SCALING}')
    held = plant.hold()
    plant.until(lambda pool: pool["busy"] == 1)
    with pytest.raises(TimedOut):
        plant.site.act("drain", "w", timeout=0.5)
    assert plant.pool()["busy"] == 1
    plant.release(held)
    plant.until(lambda pool: pool["slots"] == 0)
    assert plant.site.genii("start", "w").status == 0
    assert plant.client.call("Held::echo", b"x") == b"x"


def test_a_stopped_pool_stays_stopped_whatever_waits(plant: Plant) -> None:
    plant.up(f"processes = {{ min = 2, max = 4 }}\n{SCALING}")
    plant.until(lambda pool: pool["slots"] == 2)
    assert plant.site.genii("stop", "w").status == 0
    plant.client.submit("Held::echo", b"x")
    plant.site.kill_supervisor()
    plant.site.up()
    assert plant.pool()["slots"] == 0
    assert plant.site.genii("start", "w").status == 0
    plant.until(lambda pool: pool["slots"] == 2)


def test_restarting_in_turn_fails_no_job(plant: Plant) -> None:
    plant.up(f"processes = {{ min = 2, max = 3 }}\n{SCALING}")
    plant.until(lambda pool: pool["slots"] == 2)
    before = {slot["pid"] for slot in plant.slots()}
    held = plant.hold()
    plant.until(lambda pool: pool["busy"] == 1)
    with pytest.raises(TimedOut):  # one waits for its job
        plant.site.act("restart", "w", rolling=True, timeout=0.2)
    plant.release(held)
    end = time.monotonic() + PATIENCE
    while before & {slot["pid"] for slot in plant.slots()}:
        assert plant.client.call("Held::echo", b"x") == b"x"
        assert time.monotonic() < end


@pytest.mark.parametrize(("job", "code"), [("crash", -signal.SIGSEGV), ("leave", 3)])
def test_a_job_that_ends_its_worker_costs_one_worker_at_a_time(plant: Plant, job: str, code: int) -> None:
    plant.up(f"processes = {{ min = 1, max = 2 }}\n{SCALING}")
    plant.until(lambda pool: pool["slots"] == 1)
    handle = plant.client.submit(f"Held::{job}")
    end = time.monotonic() + PATIENCE
    while not any(slot["exit_status"] == code for slot in plant.slots()):
        assert time.monotonic() < end
        time.sleep(0.01)
    assert plant.client.status(handle).known  # nothing is lost: it goes back to the server
    assert plant.client.call("Held::echo", b"x", retries=5) == b"x"


@pytest.mark.parametrize(
    ("worker", "says"), [("held:Useless", "offers no jobs"), ("missing:Held", "no module"), ("held:Nobody", "Nobody")]
)
def test_a_worker_that_can_not_work_is_given_up_and_not_multiplied(plant: Plant, worker: str, says: str) -> None:
    backoff = 'retries = 1\nbackoff = { initial = "10ms", cap = "10ms" }'
    plant.up(f"processes = {{ min = 2, max = 5 }}\n{SCALING}\n{backoff}", worker=worker, works=False)
    plant.site.state_of("w:0", "FATAL")
    plant.site.state_of("w:1", "FATAL")
    assert len(plant.slots()) == 2
    assert says in "\n".join(plant.site.lines("w:0"))


def test_without_a_job_server_workers_say_so_and_wait(plant: Plant) -> None:
    plant.server.stop()
    plant.up("processes = { min = 1, max = 2 }")
    end = time.monotonic() + PATIENCE
    while "no job server" not in plant.slots()[0]["note"]:
        assert time.monotonic() < end
        time.sleep(0.02)
    with job_servers() as start:
        start(port=plant.server.port)
        assert plant.client.call("Held::echo", b"x") == b"x"
        while plant.slots()[0]["note"]:
            assert time.monotonic() < end
            time.sleep(0.02)
        plant.client.close()


def test_programs_in_any_language_may_say_that_they_are_busy(site: Site) -> None:
    command = site.script(
        "busy.py",
        "import os, signal, socket, sys\n"
        "s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
        "s.connect(os.environ['NOTIFY_SOCKET'])\n"
        "def say(text): s.send(text)\n"
        "signal.signal(signal.SIGUSR1, lambda *_: say(b'BUSY=1\\nJOB=digging\\nJOBS_LEFT=7'))\n"
        "signal.signal(signal.SIGUSR2, lambda *_: say(b'BUSY=0'))\n"
        "say(b'READY=1')\n"
        "while True: signal.pause()\n",
    )
    scaling = 'scaling = { grace = "50ms", cooldown = "10ms" }'
    site.write(
        f'[program.x]\ncommand = "{command}"\nready = {{ notify = true }}\n'
        f"processes = {{ min = 1, max = 3 }}\n{scaling}"
    )
    site.up()
    site.state_of("x:0", "RUNNING")
    site.act("signal", "x:0", signal="USR1")
    until_running(site, 2)
    row = site.status("x:0")
    assert (row["busy"], row["job"], row["jobs_left"]) == (True, "digging", 7)
    site.act("signal", "x:0", signal="USR2")
    until_running(site, 1)
    assert site.client.statuses(["x"])[0]["state"] == "RUNNING"


def test_follows_the_queue_by_choice(plant: Plant) -> None:
    scaling = 'scaling = { follow = "queue", spare = 1, grace = "100ms", cooldown = "50ms" }'
    plant.up(f"processes = {{ min = 1, max = 6 }}\n{scaling}")
    held = plant.hold(9)
    pool = plant.until(lambda pool: pool["busy"] == 6 and pool["waiting"] > 0)
    assert (pool["slots"], pool["waiting"]) == (6, 3)
    plant.release(held)
    plant.until(lambda pool: (pool["slots"], pool["waiting"]) == (1, 0))


def test_follows_the_processor_by_choice(site: Site) -> None:
    command = site.script(
        "burn.py",
        "import signal\n"
        "toggle = {signal.SIGUSR1}\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, toggle)\n"
        "while True:\n"
        "    signal.sigwait(toggle)\n"
        "    while signal.sigtimedwait(toggle, 0) is None:\n"
        "        sum(range(20000))\n",
    )
    # On a loaded machine it may get little of the processor: very little is enough here.
    scaling = 'scaling = { follow = "cpu", cpu = 0.001, grace = "0s", cooldown = "0s" }'
    site.write(f'[program.x]\ncommand = "{command}"\nprocesses = {{ min = 1, max = 2 }}\n{scaling}\n')
    site.up()
    burning = site.pid("x:0")
    os.kill(burning, signal.SIGUSR1)
    until_running(site, 2)
    os.kill(burning, signal.SIGUSR1)
    until_running(site, 1)


def test_an_upgrade_keeps_the_slots_and_what_is_known_of_them(plant: Plant) -> None:
    plant.up(f"processes = {{ min = 1, max = 4 }}\nwarm = true\n{SCALING}")
    held = plant.hold(2)
    plant.until(lambda pool: (pool["slots"], pool["busy"]) == (3, 2))
    wait_until(lambda: all(slot["busy"] is not None for slot in plant.slots()), "each to say whether it is at work")
    pids = {slot["pid"]: slot["busy"] for slot in plant.slots()}
    assert plant.site.genii("upgrade").status == 0
    assert {slot["pid"]: slot["busy"] for slot in plant.slots()} == pids
    plant.release(held)
    plant.until(lambda pool: (pool["slots"], pool["busy"]) == (1, 0))
    assert plant.client.call("Held::echo", b"x") == b"x"


def test_an_upgrade_disturbs_nobody_at_work(plant: Plant) -> None:
    plant.up(f"processes = {{ min = 1, max = 3 }}\n{SCALING}")
    held = plant.hold(2)
    plant.until(lambda pool: (pool["slots"], pool["busy"]) == (3, 2))
    before = {slot["name"]: slot["pid"] for slot in plant.slots()}
    assert plant.site.genii("upgrade").status == 0
    assert before.items() <= {slot["name"]: slot["pid"] for slot in plant.slots()}.items()
    plant.until(lambda pool: pool["busy"] == 2)
    plant.release(held)
    plant.until(lambda pool: (pool["slots"], pool["busy"]) == (1, 0))
    assert plant.slots()[0]["pid"] in before.values()
    assert plant.site.genii("upgrade").status == 0
    again = plant.hold(1)
    plant.until(lambda pool: (pool["slots"], pool["busy"]) == (2, 1))
    plant.release(again)
