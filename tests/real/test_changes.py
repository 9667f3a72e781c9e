"""What starts, replaces and changes programs: schedules, file watches, recycling, checks, updates."""

from __future__ import annotations

import itertools
import json
import resource
from typing import TYPE_CHECKING

import pytest
from tests.real.harness import is_alive, read_until

if TYPE_CHECKING:
    from tests.real.harness import Site

SLEEP = 'command = "sleep 1000"\n'


def test_a_schedule_with_seconds_starts_a_program_again_and_again(site: Site) -> None:
    site.write('[program.job]\ncommand = "sh -c \'date +%s.%N\'"\nschedule = "* * * * * *"\n')
    site.up()
    status = site.status("job")
    assert status["trigger"] == "cron * * * * * *"
    assert status["next_run"] > 0
    times = [float(site.line("job", *["."] * number)) for number in (1, 2, 3)]
    assert [int(later) - int(earlier) for earlier, later in itertools.pairwise(times)] == [1, 1]


def test_a_run_that_takes_longer_is_not_doubled(site: Site) -> None:
    site.write('[program.job]\ncommand = "sh -c \'echo run; exec sleep 1000\'"\nschedule = "* * * * * *"\n')
    site.up()
    pid = site.state_of("job", "RUNNING")["pid"]
    for events in site.client.events(heartbeat=1.0):
        if any(event["kind"] == "schedule.missed" for event in events):
            break
    assert site.pid("job") == pid
    assert site.lines("job") == ["run"]


def test_a_change_of_files_runs_a_job_and_restarts_a_service(site: Site) -> None:
    (site.path / "src").mkdir()
    site.write(
        '[program.build]\ncommand = "sh -c \'echo built\'"\nrestart = "never"\n'
        'watch = { paths = ["src"], ignore = ["*.tmp"], debounce = "20ms" }\n'
        f'[program.web]\n{SLEEP}watch = {{ paths = ["src"], only = ["*.py"], debounce = "20ms" }}\n'
    )
    site.up()
    web = site.pid("web")
    (site.path / "src" / "page.tmp").touch()
    (site.path / "src" / "page.txt").touch()
    site.line("build", "built")
    assert site.pid("web") == web
    (site.path / "src" / "page.py").touch()
    site.when("web", lambda status: status["pid"] not in (0, web))
    site.line("build", "built", "built")


def test_is_replaced_at_its_age(site: Site) -> None:
    site.write(f'[program.job]\n{SLEEP}recycle = {{ age = "200ms" }}\n')
    site.up()
    first = site.pid("job")
    site.when("job", lambda status: status["pid"] not in (0, first))
    assert "older than 200ms" in site.own_log()


@pytest.mark.slow
def test_is_replaced_when_it_uses_too_much_memory(site: Site) -> None:
    text = "import signal\nkept = bytearray(b'x' * (64 << 20))\nprint('big', flush=True)\nsignal.pause()\n"
    site.write(f'[program.job]\ncommand = "{site.script("big.py", text)}"\nrecycle = {{ memory = "32MB" }}\n')
    site.up()
    first = site.pid("job")
    site.when("job", lambda status: status["pid"] not in (0, first))
    assert "more than 32" in site.own_log()


def test_a_failed_check_leaves_the_program_untouched(site: Site) -> None:
    site.write(f"[program.job]\n{SLEEP}check = \"sh -c 'echo app.conf:3: no such word; exit 1'\"\n")
    site.up()
    pid = site.pid("job")
    for action in ("restart", "reload"):
        outcome = site.genii(action, "job")
        assert outcome.status == 5
        assert "app.conf:3: no such word" in outcome.out + outcome.err
        assert site.pid("job") == pid
    assert is_alive(pid)


def test_a_check_that_passes_lets_the_restart_happen(site: Site) -> None:
    site.write(f'[program.job]\n{SLEEP}check = "test -e fine"\nenvironment = {{ A = "1" }}\n')
    (site.path / "fine").touch()
    site.up()
    pid = site.pid("job")
    assert site.genii("restart", "job").status == 0
    assert site.pid("job") != pid


def test_an_update_whose_check_fails_changes_nothing(site: Site) -> None:
    site.write(f"[program.job]\n{SLEEP}[program.old]\n{SLEEP}")
    site.up()
    pids = site.pid("job"), site.pid("old")
    site.write('[program.job]\ncommand = "sleep 1001"\ncheck = "sh -c \'echo wrong; exit 1\'"\n')
    outcome = site.genii("update")
    assert outcome.status == 5
    assert "wrong" in outcome.out + outcome.err
    assert (site.pid("job"), site.pid("old")) == pids


def test_an_update_restarts_only_what_changed(site: Site) -> None:
    site.write(f"[program.same]\n{SLEEP}[program.changed]\n{SLEEP}[program.removed]\n{SLEEP}[program.told]\n{SLEEP}")
    site.up()
    before = {status["name"]: status["pid"] for status in site.client.statuses()}
    site.write(
        f'[program.same]\n{SLEEP}[program.changed]\n{SLEEP}environment = {{ A = "1" }}\n[program.added]\n{SLEEP}'
        f'[program.told]\n{SLEEP}description = "sleeps"\n'
    )
    outcome = site.genii("update", "--dry-run", "--json")
    difference = json.loads(outcome.out)
    assert "added" in json.dumps(difference)
    assert {status["name"]: status["pid"] for status in site.client.statuses()} == before
    assert site.genii("update").status == 0
    site.state_of("added", "RUNNING")
    site.when("changed", lambda status: status["pid"] not in (0, before["changed"]))
    after = {status["name"]: status["pid"] for status in site.client.statuses()}
    assert after.keys() == {"same", "changed", "added", "told"}
    assert after["same"] == before["same"]
    assert after["told"] == before["told"]
    assert not is_alive(before["removed"])


def test_a_broken_configuration_changes_nothing(site: Site) -> None:
    site.write(f"[program.job]\n{SLEEP}")
    site.up()
    pid = site.pid("job")
    site.write(f"[program.job]\n{SLEEP}restrat = 3\n")
    outcome = site.genii("update")
    assert outcome.status == 2
    assert "genii.toml:7:1" in outcome.err
    assert "did you mean 'restart'" in outcome.err
    assert site.pid("job") == pid


def test_scaling_adds_and_removes_from_the_end(site: Site) -> None:
    site.write(f"[program.job]\n{SLEEP}processes = 2\n")
    site.up()
    before = [status["pid"] for status in site.client.statuses()]
    assert site.genii("scale", "job=4").status == 0
    assert [status["state"] for status in site.client.statuses()] == ["RUNNING"] * 4
    assert site.genii("scale", "job=1").status == 0
    assert [status["pid"] for status in site.client.statuses()] == before[:1]


def test_a_rolling_restart_takes_one_at_a_time(site: Site) -> None:
    site.write(f"[program.job]\n{SLEEP}processes = 3\n")
    site.up()
    events = site.client.recent_events()
    last = events[-1]["serial"] if events else 0
    assert site.genii("restart", "--rolling", "job").status == 0
    stopped: set[str] = set()
    for event in site.client.recent_events():
        if event["serial"] > last and event["kind"] == "process.state":
            stopped.add(event["name"])
            if event["data"]["state"] == "RUNNING":
                stopped.discard(event["name"])
            assert len(stopped) <= 1


def test_many_files_are_enough_where_few_are_allowed(site: Site) -> None:
    site.write(f"[program.job]\n{SLEEP}processes = 60\n")

    def few() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 4096))

    process = site.foreground(preparation=few)
    read_until(process, "job:59: STARTING -> RUNNING")
    with open(f"/proc/{site.pid('job:5')}/limits") as file:
        assert "Max open files            64                   4096" in file.read()


def test_few_files_altogether_are_told_and_harm_nobody(site: Site) -> None:
    site.write(f'[program.job]\n{SLEEP}processes = 40\nbackoff = {{ initial = "50ms", cap = "50ms" }}\nretries = 1\n')

    def few() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

    process = site.foreground(preparation=few)
    seen = read_until(process, "-> FATAL", "genii [0-9.]+ runs")
    assert "no descriptors are left of the supervisor's 64" in seen
    assert process.poll() is None
    supervisor = process.pid
    with open(f"/proc/{supervisor}/task/{supervisor}/children") as file:
        children = {int(pid) for pid in file.read().split()}
    process.terminate()
    assert process.wait(30) == 0
    assert site.remaining() == []
    assert not [pid for pid in children if is_alive(pid)]
