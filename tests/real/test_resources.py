"""What a program may use: user, groups, umask, directory, environment, limits, sockets, descriptors."""

from __future__ import annotations

import json
import os
import pwd
import resource
import socket
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from tests.real.harness import PATIENCE
from tests.waiting import wait_until

if TYPE_CHECKING:
    from tests.real.harness import Site

REPORT = """
import json, os, resource, signal, sys
umask = os.umask(0)
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps({
    "uid": os.getresuid(), "gid": os.getresgid(), "groups": sorted(os.getgroups()), "umask": umask,
    "directory": os.getcwd(), "environment": dict(os.environ), "nofile": resource.getrlimit(resource.RLIMIT_NOFILE),
    "core": resource.getrlimit(resource.RLIMIT_CORE), "nice": os.getpriority(os.PRIO_PROCESS, 0),
    "oom": int(open("/proc/self/oom_score_adj").read()), "pid": os.getpid(), "session": os.getsid(0),
    "files": sorted(int(name) for name in os.listdir("/proc/self/fd")), "stdin": os.readlink("/proc/self/fd/0"),
    "ignored": int(status["SigIgn"], 16), "blocked": int(status["SigBlk"], 16),
}), flush=True)
signal.pause()
"""

IGNORED_BY_PYTHON = 1 << 12 | 1 << 24
"""PIPE and XFSZ."""
STANDARD_SIGNALS = (1 << 31) - 1

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a program to another user")


def report(site: Site, name: str = "job", number: int = 1) -> dict[str, Any]:
    """Return what the program said of itself at its start."""
    found: dict[str, Any] = json.loads(site.line(name, *["{"] * number))
    return found


def up(site: Site, keys: str = "", text: str = REPORT) -> dict[str, Any]:
    site.write(f'[program.job]\ncommand = "{site.script("report.py", text)}"\n{keys}\n')
    site.up()
    return report(site)


@pytest.mark.parametrize("keys", ["", "limits = { core = 0 }"], ids=["spawned", "launched"])
def test_starts_clean(site: Site, keys: str) -> None:
    found = up(site, keys)
    assert found["session"] == found["pid"]
    assert found["stdin"] == "/dev/null"
    assert [number for number in found["files"] if number > 3] == []  # 3 is that of the listing itself
    assert found["ignored"] & STANDARD_SIGNALS == IGNORED_BY_PYTHON
    assert found["blocked"] == 0
    assert found["umask"] == 0o022
    assert found["directory"] == str(site.path)
    assert found["environment"]["GENII_PROCESS"] == "job"
    assert not {"GENII_SYS_PATH", "LISTEN_FDS", "LISTEN_PID"} & found["environment"].keys()


@pytest.mark.parametrize("keys", ["", "limits = { core = 0 }"], ids=["spawned", "launched"])
def test_inherits_nothing_that_genii_was_started_with(site: Site, keys: str) -> None:
    site.write(f'[program.job]\ncommand = "{site.script("report.py", REPORT)}"\n{keys}\n')
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    subprocess.run(site.command("up", "-d"), cwd=site.path, env=site.environment, pass_fds=[writing], check=True)
    os.close(writing)
    os.close(reading)
    assert [number for number in report(site)["files"] if number > 3] == []


def test_gets_directory_umask_and_environment(site: Site) -> None:
    (site.path / "below").mkdir()
    site.environment["FROM_GENII"] = "inherited"
    found = up(site, 'directory = "below"\numask = "027"\nenvironment = { COLOUR = "green", N = "{process_num}" }')
    assert found["directory"] == str(site.path / "below")
    assert found["umask"] == 0o027
    assert found["environment"]["COLOUR"] == "green"
    assert found["environment"]["N"] == "0"
    assert found["environment"]["FROM_GENII"] == "inherited"


def test_starts_with_an_empty_environment_where_declared(site: Site) -> None:
    site.environment["FROM_GENII"] = "inherited"
    found = up(site, 'clear_environment = true\nenvironment = { COLOUR = "green" }')
    assert "FROM_GENII" not in found["environment"]
    assert found["environment"]["COLOUR"] == "green"


def test_gets_its_limits_nice_and_oom_score(site: Site) -> None:
    found = up(site, "limits = { nofile = [123, 456], core = 0 }\nnice = 5\noom_score = 500")
    assert found["nofile"] == [123, 456]
    assert found["core"] == [0, 0]
    assert found["nice"] == 5
    assert found["oom"] == 500
    (details,) = site.client.details("job")
    assert details["limits"]["nofile"] == [123, 456]


def test_a_changed_limit_reaches_it_at_its_next_restart(site: Site) -> None:
    command = site.script("report.py", REPORT)
    site.write(f'[program.job]\ncommand = "{command}"\nlimits = {{ nofile = [100, 1000] }}\n')
    site.up()
    pid = site.pid("job")
    site.write(f'[program.job]\ncommand = "{command}"\nlimits = {{ nofile = [200, 2000] }}\n')
    outcome = site.genii("update")
    assert outcome.status == 0
    assert "limits" in outcome.out + outcome.err
    assert site.pid("job") == pid
    (details,) = site.client.details("job")
    assert details["limits"]["nofile"] == [100, 1000]
    assert details["declared_limits"]["nofile"] == [200, 2000]
    assert site.act("restart", "job")[0]["ok"]
    assert report(site, number=2)["nofile"] == [200, 2000]


def test_its_limit_on_files_is_the_one_that_genii_was_started_with(site: Site) -> None:
    found = up(site)
    assert found["nofile"] == list(resource.getrlimit(resource.RLIMIT_NOFILE))


@needs_root
def test_runs_as_its_user_with_all_that_belongs_to_it(public_site: Site) -> None:
    site = public_site
    nobody = pwd.getpwnam("nobody")
    site.write(
        "[program.job]\n"
        'command = ["sh", "-c", "echo $$USER $$HOME; cat /proc/self/status; echo file*; exec sleep 1000"]\n'
        'user = "nobody"\ngroups = ["0", "daemon"]\nlimits = { nofile = [50, 60] }\nsecret_variables = []\n'
    )
    site.up()
    assert site.line("job", "") == f"nobody {nobody.pw_dir}"
    site.line("job", "file*")
    status = dict(line.split(":\t", 1) for line in site.lines("job") if ":\t" in line)
    assert status["Uid"].split() == [str(nobody.pw_uid)] * 4
    assert status["Gid"].split() == [str(nobody.pw_gid)] * 4
    assert status["Groups"].split() == ["0", "1"]
    assert int(status["CapPrm"], 16) == int(status["CapEff"], 16) == 0
    assert len(os.listdir(f"/proc/{site.pid('job')}/fd")) == 3


@needs_root
def test_a_program_of_another_user_tells_that_it_is_ready(public_site: Site) -> None:
    site = public_site
    script = site.path / "notify.pl"
    script.write_text(
        "use Socket; use IO::Socket::UNIX;\n"
        "my $to = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Peer => $ENV{NOTIFY_SOCKET}) or die $!;\n"
        "syswrite $to, 'READY=1'; sleep 1000;\n"
    )
    site.write(f'[program.job]\ncommand = "perl {script}"\nuser = "nobody"\nready = {{ notify = true }}\n')
    site.up()
    assert site.status("job")["state"] == "RUNNING"


SOCKETS = """
import os, socket, sys
assert os.environ["LISTEN_PID"] == str(os.getpid())
assert os.environ["LISTEN_FDS"] == "2"
names = os.environ["LISTEN_FDNAMES"].split(":")
number = int(os.environ["LISTEN_FD_WEB"])
assert number == 3 + names.index("web")
assert os.environ["LISTEN_FD_LOCAL"] == str(3 + names.index("local"))
print("serving", flush=True)
server = socket.socket(fileno=number)
while True:
    client, _ = server.accept()
    client.sendall(str(os.getpid()).encode())
    client.close()
"""


def ask(port: int) -> int:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        return int(connection.recv(100))


def test_sockets_are_passed_on_and_kept_over_restarts(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    site.write(
        f'[program.job]\ncommand = "{site.script("serve.py", SOCKETS)}"\nready = {{ line = "serving" }}\n'
        f'sockets = {{ web = "tcp://127.0.0.1:{port}", local = "unix://{site.path}/local.sock" }}\n'
    )
    site.up()
    first = site.pid("job")
    assert ask(port) == first
    site.act("stop", "job")
    with socket.create_connection(("127.0.0.1", port), timeout=30) as waiting:  # nobody serves, nobody refuses
        site.act("start", "job")
        assert int(waiting.recv(100)) == site.pid("job") != first
    assert oct((site.path / "local.sock").stat().st_mode & 0o777) == "0o600"
    assert site.genii("down").status == 0
    with pytest.raises(ConnectionRefusedError):
        ask(port)


def test_says_that_a_port_is_taken_and_tries_again(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        site.write(
            f'[program.job]\ncommand = "sleep 1000"\nsockets = {{ web = "tcp://127.0.0.1:{port}" }}\n'
            'backoff = { initial = "20ms", cap = "50ms" }\nretries = 1000\n[program.good]\ncommand = "sleep 1000"\n'
        )
        outcome = site.genii("up", "-d")
        assert outcome.status == 1
        assert f"can't listen on tcp://127.0.0.1:{port}: Address already in use" in outcome.err
        assert site.status("good")["state"] == "RUNNING"
    site.state_of("job", "RUNNING")


def test_adopted_programs_keep_serving_and_restart_on_the_same_port(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    site.write(
        f'[program.job]\ncommand = "{site.script("serve.py", SOCKETS)}"\nready = {{ line = "serving" }}\n'
        f'sockets = {{ web = "tcp://127.0.0.1:{port}", local = "unix://{site.path}/local.sock" }}\n'
    )
    site.up()
    first = site.pid("job")
    site.kill_supervisor()
    assert ask(port) == first
    site.up()
    assert ask(port) == first
    (result,) = site.act("restart", "job")
    assert result["ok"], result
    assert ask(port) == site.pid("job") != first


def test_a_socket_that_adopted_programs_share_stays_theirs(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    site.write(
        f'[program.job]\ncommand = "{site.script("serve.py", SOCKETS)}"\nready = {{ line = "serving" }}\n'
        "processes = 2\n"
        f'sockets = {{ web = "tcp://127.0.0.1:{port}", local = "unix://{site.path}/local.sock" }}\n'
    )
    site.up()
    site.kill_supervisor()
    site.up()
    inode = (site.path / "local.sock").stat().st_ino
    for name in ("job:0", "job:1"):
        (result,) = site.act("restart", name)
        assert result["ok"], result
    site.act("stop", "job:1")
    assert ask(port) == site.pid("job:0")
    assert (site.path / "local.sock").stat().st_ino == inode


@pytest.mark.slow
def test_an_idle_launcher_ends_and_leaves_no_zombie(site: Site) -> None:
    site.write('[program.job]\ncommand = "sleep 1000"\nlimits = { core = 0 }\n')
    site.up()
    supervisor, pid, keeper = site.supervisor_pid(), site.pid("job"), site.keeper_pid()
    for _, beat in zip(site.client.events(heartbeat=1.0), range(40), strict=False):
        with open(f"/proc/{supervisor}/task/{supervisor}/children") as file:
            if {int(child) for child in file.read().split()} == {pid, keeper}:
                break
        assert beat < 39
    assert site.act("restart", "job")[0]["ok"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to somebody else")
def test_a_state_directory_of_somebody_else_is_refused(site: Site) -> None:
    site.write('[program.job]\ncommand = "sleep 1000"\n')
    site.state_dir.mkdir()
    os.chown(site.state_dir, 12345, 12345)
    outcome = site.genii("up", "-d")
    assert outcome.status == 1
    assert "belongs to another user (12345)" in outcome.err
    os.chown(site.state_dir, 0, 0)
    site.state_dir.chmod(0o777)
    assert "anybody may write to the state directory" in site.genii("up", "-d").err
    assert site.remaining() == []
    site.state_dir.chmod(0o755)
    site.up()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be led astray")
def test_no_log_is_written_through_the_link_of_somebody_else(site: Site) -> None:
    victim, folder = site.path / "victim", site.path / "theirs"
    victim.write_text("untouched")
    folder.mkdir()
    (folder / "job.log").symlink_to(victim)
    for path in (folder, folder / "job.log"):
        os.chown(path, 12345, 12345, follow_symlinks=False)
    site.write(
        f'[program.job]\ncommand = "sh -c \'echo gotcha; exec sleep 1000\'"\nlogs = {{ stdout = "{folder}/job.log" }}\n'
    )
    site.up()
    assert "a symbolic link of user 12345" in site.wait_own_log("a symbolic link of user 12345")
    assert site.status("job")["state"] == "RUNNING"
    assert victim.read_text() == "untouched"


def test_programs_leave_descriptors_to_those_who_ask(site: Site) -> None:
    site.write('[program.job]\ncommand = "sleep 1000"\nprocesses = 100\n')
    words = " ".join(site.command("up", "-d", "--no-wait"))
    subprocess.run(["sh", "-c", f"ulimit -n 64; exec {words}"], cwd=site.path, env=site.environment, timeout=PATIENCE)

    def settled() -> dict[str, str]:
        """Return what is said of each state, once no program is on its way."""
        said = {row["state"]: row["reason"] for row in site.client.statuses()}
        return said if said.keys() <= {"RUNNING", "BACKOFF"} else {}

    assert wait_until(settled, "each to run, or to be told why not") == {
        "RUNNING": "",
        "BACKOFF": "no descriptors are left of the supervisor's 64; raise its limit on open files",
    }
