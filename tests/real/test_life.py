"""The life of real programs under `genii up`: restart policies, back-off, giving up, stopping, groups."""

from __future__ import annotations

import itertools
import os
import signal
from typing import TYPE_CHECKING

import pytest
from tests.real.harness import is_alive
from tests.waiting import wait_gone

if TYPE_CHECKING:
    from tests.real.harness import Site

QUICK = 'startsecs = "0s"\nbackoff = { initial = "20ms", cap = "40ms", jitter = 0 }'


@pytest.mark.parametrize(
    ("policy", "code", "state"),
    [
        ("always", 0, "again"),
        ("always", 3, "again"),
        ("on-failure", 0, "EXITED"),
        ("on-failure", 3, "again"),
        ("never", 0, "EXITED"),
        ("never", 3, "EXITED"),
    ],
)
def test_restarts_as_the_policy_says(site: Site, policy: str, code: int, state: str) -> None:
    site.write(f'[program.job]\ncommand = "sh -c \'read x <go; exit {code}\'"\nrestart = "{policy}"\n')
    os.mkfifo(site.path / "go")
    site.up()
    first = site.pid("job")
    (site.path / "go").write_text("go\n")
    if state == "again":
        status = site.when("job", lambda status: status["restarts"] > 0 and status["state"] == "RUNNING")
        assert status["pid"] != first
    else:
        status = site.state_of("job", state)
        assert status["restarts"] == 0
        assert status["pid"] == 0
    assert status["exit_status"] == code


def test_success_is_what_the_exit_codes_say(site: Site) -> None:
    site.write("[program.job]\ncommand = \"sh -c 'exit 7'\"\nexit_codes = [0, 7]\n")
    site.up()
    assert site.state_of("job", "EXITED")["reason"] == "exited with 7"


def test_restarts_at_once_what_a_signal_killed(site: Site) -> None:
    site.write('[program.job]\ncommand = "sleep 1000"\n')
    site.up()
    first = site.pid("job")
    os.kill(first, signal.SIGSEGV)
    status = site.when("job", lambda status: status["pid"] not in (0, first))
    assert status["exit_status"] == -signal.SIGSEGV
    assert status["restarts"] == 1


def test_backs_off_longer_each_time_and_gives_up(site: Site) -> None:
    site.write(
        "[program.job]\ncommand = \"sh -c 'date +%s.%N; exit 1'\"\nstartsecs = '10s'\nretries = 4\n"
        'backoff = { initial = "100ms", factor = 2, cap = "400ms", jitter = 0 }\n'
    )
    site.genii("up", "-d", "--no-wait")
    status = site.state_of("job", "FATAL")
    assert "gave up after 5 failed starts" in status["reason"]
    assert "exited with 1" in status["reason"]
    site.act("stop", "job")
    assert site.genii("down").status == 0  # all output is in the logs now
    times = [float(line) for line in site.lines("job")]
    assert len(times) == 5
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert all(gap >= wanted for gap, wanted in zip(gaps, (0.1, 0.2, 0.4, 0.4), strict=True))


def test_a_fatal_program_starts_again_when_asked(site: Site) -> None:
    site.write(
        "[program.job]\ncommand = \"sh -c 'test -e ok || exit 1; exec sleep 1000'\"\nretries = 0\nstartsecs = 2\n"
    )
    outcome = site.genii("up", "-d")
    assert outcome.status == 1
    assert "job: exited with 1" in outcome.err
    assert site.status("job")["state"] == "FATAL"
    assert site.genii("status").status == 3
    (site.path / "ok").touch()
    assert site.genii("start", "job").status == 0
    assert site.status("job")["state"] == "RUNNING"


def test_counts_as_running_only_after_startsecs(site: Site) -> None:
    site.write('[program.job]\ncommand = "sleep 1000"\nstartsecs = "60s"\n')
    site.up("--no-wait")
    assert site.status("job")["state"] == "STARTING"
    (result,) = site.act("stop", "job")
    assert result["ok"]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("no-such-program-anywhere", "command not found: no-such-program-anywhere"),
        ("./missing", "command not found"),
        ("./plain", "not executable"),
        ("./empty", "not a program (no #! line?)"),
        ("./orphan", "the interpreter in its first line does not exist"),
        ("/tmp", "not executable: /tmp"),
    ],
)
def test_gives_up_at_once_what_can_never_start(site: Site, command: str, said: str) -> None:
    (site.path / "plain").write_text("text\n")
    (site.path / "empty").write_bytes(b"\x00\x01\x02")
    (site.path / "orphan").write_text("#!/no/such/interpreter\n")
    (site.path / "empty").chmod(0o755)
    (site.path / "orphan").chmod(0o755)
    site.write(f'[program.bad]\ncommand = ["{command}"]\n[program.good]\ncommand = "sleep 1000"\n')
    outcome = site.genii("up", "-d")
    assert outcome.status == 1
    assert said in outcome.err
    assert site.status("bad")["state"] == "FATAL"
    assert site.status("good")["state"] == "RUNNING"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('directory = "/no/such/directory"', "can't change to directory /no/such/directory"),
        ('user = "no-such-user"', "no-such-user"),
        ('group = "no-such-group"', "no-such-group"),
        ('limits = { nofile = [100, 200] }\ndirectory = "/no/such/directory"', "directory /no/such/directory"),
    ],
)
def test_says_what_is_missing_for_a_start(site: Site, line: str, said: str) -> None:
    site.write(f'[program.bad]\ncommand = "sleep 1000"\n{line}\n[program.good]\ncommand = "sleep 1000"\n')
    outcome = site.genii("up", "-d")
    assert outcome.status == 1
    assert said in outcome.err
    assert site.status("bad")["state"] == "FATAL"
    assert site.status("good")["state"] == "RUNNING"


def test_stops_with_the_signal_that_is_declared(site: Site) -> None:
    site.write(
        "[program.job]\n"
        'command = "sh -c \'trap \\"echo got it; exit 0\\" USR1; echo ready; while :; do sleep 0.05; done\'"\n'
        'stop = "USR1"\nready = { line = "ready" }\n'
    )
    site.up()
    (result,) = site.act("stop", "job")
    assert result["message"] == "stopped"
    assert site.genii("down").status == 0
    assert site.lines("job")[-1] == "got it"


def test_kills_what_ignores_its_stop_signal(site: Site) -> None:
    site.write(
        "[program.job]\ncommand = \"sh -c 'trap : TERM; echo ready; while :; do sleep 1; done'\"\n"
        'stop = { timeout = "200ms" }\nready = { line = "ready" }\n'
    )
    site.up()
    pid = site.pid("job")
    (result,) = site.act("stop", "job")
    assert result["message"] == "killed"
    assert not is_alive(pid)
    assert "did not end within 0.2 s" in site.own_log()


def test_nothing_of_the_group_survives_a_stop(site: Site) -> None:
    site.write(
        '[program.job]\ncommand = ["sh", "-c", "sh -c \'trap : TERM; echo $$$$; while :; do sleep 1; done\' & wait"]\n'
        'stop = { timeout = "200ms" }\n'
    )
    site.up()
    main = site.pid("job")
    member = int(site.line("job", ""))
    assert os.getpgid(member) == main
    (result,) = site.act("stop", "job")
    assert result["ok"]
    assert not is_alive(main)
    assert not is_alive(member)
    assert site.status("job")["state"] == "STOPPED"


def test_the_rest_of_a_group_ends_before_a_successor_starts(site: Site) -> None:
    site.write(
        '[program.job]\ncommand = ["sh", "-c", "sh -c \'trap : TERM; echo $$$$; while :; do sleep 1; done\' & wait"]\n'
        'stop = { timeout = "200ms" }\n'
    )
    site.up()
    first = site.pid("job")
    member = int(site.line("job", ""))
    os.kill(first, signal.SIGKILL)
    site.when("job", lambda status: status["pid"] not in (0, first))
    assert not is_alive(member)


def test_leaves_the_group_alone_where_that_is_declared(site: Site) -> None:
    site.write('[program.job]\ncommand = ["sh", "-c", "sleep 1000 & echo $!; wait"]\nstop = { group = false }\n')
    site.up()
    member = int(site.line("job", ""))
    site.act("stop", "job")
    assert is_alive(member)


def test_a_stopped_process_can_be_stopped(site: Site) -> None:
    site.write('[program.job]\ncommand = "sleep 1000"\n')
    site.up()
    os.kill(site.pid("job"), signal.SIGSTOP)
    (result,) = site.act("stop", "job")
    assert result["message"] == "stopped"


def test_a_program_that_leaves_its_group_is_still_stopped(site: Site) -> None:
    # As the leader of its session it can't leave its group itself; what it starts can.
    text = "import os, signal\nif not os.fork():\n    os.setsid()\nprint(os.getpid(), flush=True)\nsignal.pause()\n"
    site.write(f'[program.job]\ncommand = "{site.script("leave.py", text)}"\n')
    site.up()
    site.line("job", "", "")
    (result,) = site.act("stop", "job")
    assert result["message"] == "stopped"
    assert site.status("job")["pid"] == 0


def test_a_program_that_forks_away_ends_with_its_group(site: Site) -> None:
    site.write('[program.job]\ncommand = ["sh", "-c", "sleep 1000 & echo $!; exit 0"]\n')
    site.up()
    member = int(site.line("job", ""))
    wait_gone(member)
    assert site.state_of("job", "EXITED")["exit_status"] == 0


def test_a_program_that_ends_at_once_for_ever_harms_nobody(site: Site) -> None:
    site.write(
        '[program.bad]\ncommand = "true"\nrestart = "always"\nstartsecs = 0.1\nretries = 3\n'
        'backoff = { initial = "20ms", cap = "40ms" }\n[program.good]\ncommand = "sleep 1000"\n'
    )
    site.genii("up", "-d")
    assert "before it was running" in site.state_of("bad", "FATAL")["reason"]
    assert site.status("good")["state"] == "RUNNING"


def test_restart_gives_a_new_process(site: Site) -> None:
    site.write('[program.job]\ncommand = "sleep 1000"\n')
    site.up()
    first = site.pid("job")
    (result,) = site.act("restart", "job")
    assert result["message"] == "restarted"
    assert site.pid("job") != first
    assert not is_alive(first)


def test_reload_sends_the_reload_signal(site: Site) -> None:
    site.write(
        '[program.job]\ncommand = "sh -c \'trap \\"echo reloaded\\" HUP; echo ready; while :; do sleep 0.05; done\'"\n'
        'ready = { line = "ready" }\n'
    )
    site.up()
    pid = site.pid("job")
    assert site.genii("reload", "job").status == 0
    site.line("job", "reloaded")
    assert site.pid("job") == pid


def test_no_zombie_is_left(site: Site) -> None:
    site.write('[program.job]\ncommand = "sh -c \'sleep 0.01\'"\nrestart = "always"\nprocesses = 4\n')
    site.up()
    site.when("job:0", lambda status: status["restarts"] > 5)
    supervisor = site.supervisor_pid()
    site.act("stop", "all")
    with open(f"/proc/{supervisor}/task/{supervisor}/children") as file:
        children = [int(pid) for pid in file.read().split()]
    assert children == [site.keeper_pid()]
