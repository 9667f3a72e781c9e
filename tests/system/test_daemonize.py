"""Real daemons: each test writes a small program, starts it, and asks the kernel what became of it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest
from tests.waiting import wait_gone, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can change its user, or make namespaces")

PREAMBLE = """
import json, os, signal, sys
import genii
def tell():
    with open('/proc/self/status') as file:
        status = dict(line.split(':', 1) for line in file)
    return json.dumps({
        'pid': os.getpid(), 'group': os.getpgrp(), 'session': os.getsid(0), 'cwd': os.getcwd(),
        'umask': int(status['Umask'], 8), 'blocked': int(status['SigBlk'], 16), 'ignored': int(status['SigIgn'], 16),
        'fds': {name: os.readlink('/proc/self/fd/' + name) for name in os.listdir('/proc/self/fd')
                if os.path.exists('/proc/self/fd/' + name)},
        'terminal': int(open('/proc/self/stat').read().rsplit(')', 1)[1].split()[4]),
        'name': open('/proc/self/comm').read().strip(), 'uid': os.getresuid(), 'gid': os.getresgid(),
        'groups': os.getgroups(), 'home': os.environ.get('HOME'), 'limit': status['Max open files'] if 0 else None,
        'variable': os.environ.get('VARIABLE'),
    })
"""


class Programs:
    """Programs to start; whatever they leave behind is ended with the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pids: list[int] = []

    def write(self, code: str) -> list[str]:
        path = self.folder / "program.py"
        path.write_text(PREAMBLE + textwrap.dedent(code))
        return [sys.executable, str(path)]

    def run(self, code: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.write(code), text=True, capture_output=True, timeout=50, cwd=self.folder, **options)

    def facts(self, code: str, **options: Any) -> dict[str, Any]:
        """Run a program whose daemon tells about itself; return what it told."""
        ended = self.run(code, **options)
        assert ended.returncode == 0, ended.stderr
        facts: dict[str, Any] = json.loads(ended.stdout)
        self.pids.append(facts["pid"])
        return facts


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Programs]:
    made = Programs(tmp_path)
    yield made
    for pid in made.pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def test_leaves_terminal_session_group_folder_and_umask(programs: Programs) -> None:
    facts = programs.facts(
        "d = genii.daemonize(wait=True, name='a-daemon-with-a-long-name'); d.ready(tell()); signal.pause()",
        umask=0o077,
        start_new_session=True,
    )
    assert facts["session"] not in (facts["pid"], os.getsid(0))
    assert facts["group"] == facts["pid"]
    assert (facts["cwd"], facts["umask"], facts["terminal"]) == ("/", 0o022, 0)
    assert facts["name"] == "a-daemon-with-a"


def test_closes_every_descriptor_but_those_to_keep(programs: Programs, tmp_path: Path) -> None:
    code = """
    for number in (50, 60, 70):
        os.dup2(os.open('kept', os.O_RDWR | os.O_CREAT), number)
    d = genii.daemonize(wait=True, keep_fds=[60]); d.ready(tell()); signal.pause()
    """
    descriptors = programs.facts(code)["fds"]
    assert {descriptors.pop(number) for number in "012"} == {"/dev/null"}
    assert descriptors.pop("60") == str(tmp_path / "kept")
    assert all(target.startswith("pipe:") for target in descriptors.values())  # the way to the parent


def test_closing_is_fast_whatever_the_limit_and_needs_no_descriptor_free(programs: Programs) -> None:
    from genii.system.surroundings import close_descriptors

    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.dup2(reader, 4000)
            close_descriptors({0, 1, 2, writer})
            os.write(writer, " ".join(os.listdir("/proc/self/fd")).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader) as file:
        left = {int(name) for name in file.read().split()}
    assert os.waitpid(pid, 0)[1] == 0
    assert {0, 1, 2, writer} <= left
    assert len(left) == 5  # and the one that listed the folder
    assert max(left) < 4000


def test_keeps_folder_umask_and_descriptors_when_asked(programs: Programs, tmp_path: Path) -> None:
    code = """
    os.dup2(0, 50)
    d = genii.daemonize(wait=True, directory=None, umask=None, close_fds=False); d.ready(tell()); signal.pause()
    """
    facts = programs.facts(code, umask=0o027)
    assert (facts["cwd"], facts["umask"]) == (str(tmp_path), 0o027)
    assert "50" in facts["fds"]


def test_one_fork_less_makes_it_the_leader_of_its_session(programs: Programs) -> None:
    facts = programs.facts("d = genii.daemonize(wait=True, double_fork=False); d.ready(tell()); signal.pause()")
    assert facts["session"] == facts["pid"] == facts["group"]


def test_output_is_appended_to_the_log(programs: Programs, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before\n")
    code = """
    d = genii.daemonize(wait=True, stdout='log'); print('out'); sys.stdout.flush(); print('err', file=sys.stderr)
    d.ready(tell())
    """
    descriptors = programs.facts(code)["fds"]
    assert descriptors["1"] == descriptors["2"] == str(log)
    assert log.read_text() == "before\nout\nerr\n"


def test_a_descriptor_can_stay_a_stream(programs: Programs) -> None:
    ended = programs.run("genii.daemonize(stdout=2, stderr=1); print('to err', flush=True); os.write(2, b'to out')")
    assert (ended.stdout, ended.stderr) == ("to out", "to err\n")


def test_signals_are_unblocked_and_the_chosen_ones_ignored(programs: Programs) -> None:
    code = """
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1, signal.SIGTERM])
    d = genii.daemonize(wait=True, ignore_signals=['ALRM', 'PIPE']); d.ready(tell()); signal.pause()
    """
    facts = programs.facts(code)
    assert facts["blocked"] == 0
    for number in (signal.SIGALRM, signal.SIGPIPE):
        assert facts["ignored"] >> number - 1 & 1


def test_a_parent_that_ignores_its_children_is_no_trouble(programs: Programs) -> None:
    code = "signal.signal(signal.SIGCHLD, signal.SIG_IGN); d = genii.daemonize(wait=True); sys.exit(9)"
    assert programs.run(code).returncode == 9


def test_without_waiting_the_parent_ends_when_the_surroundings_stand(programs: Programs, tmp_path: Path) -> None:
    ended = programs.run("genii.daemonize(pid_file='pid'); signal.pause()")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    pid = int((tmp_path / "pid").read_text())
    programs.pids.append(pid)
    assert os.getpgid(pid) == pid


def test_the_program_says_when_it_is_ready(programs: Programs) -> None:
    ended = programs.run("d = genii.daemonize(wait=True); d.ready('addr: 127.0.0.1:8080'); d.ready('again')")
    assert (ended.returncode, ended.stdout) == (0, "addr: 127.0.0.1:8080\n")


def test_sd_notify_says_so_too(programs: Programs) -> None:
    ended = programs.run("genii.daemonize(wait=True); genii.notify('READY=1\\nSTATUS=serving')")
    assert (ended.returncode, ended.stdout) == (0, "serving\n")


def test_a_line_of_the_output_says_so_and_the_rest_of_it_stops_nobody(programs: Programs, tmp_path: Path) -> None:
    code = """
    genii.daemonize(ready_line='addr: .*:[0-9]+', pid_file='pid')
    print('starting'); print('addr: 127.0.0.1:8080', flush=True)
    for _ in range(20000): print('more than a pipe holds')
    sys.stdout.flush(); open(sys.path[0] + '/done', 'w').close()
    """
    ended = programs.run(code)
    assert (ended.returncode, ended.stdout) == (0, "addr: 127.0.0.1:8080\n")
    wait_until((tmp_path / "done").exists, "the daemon is stuck")
    wait_until(lambda: not (tmp_path / "pid").exists(), "the pid file is still there")


def test_an_exception_is_told_with_its_reason(programs: Programs) -> None:
    ended = programs.run("genii.daemonize(wait=True, stdout='log'); raise OSError('port is taken')")
    assert ended.returncode == 1
    assert "Traceback" in ended.stderr
    assert ended.stderr.endswith("genii: OSError: port is taken\n")


def test_the_reason_is_told_from_a_with_block_too(programs: Programs) -> None:
    ended = programs.run("with genii.daemonize(wait=True, pid_file='pid'): sys.exit('no such table')")
    assert (ended.returncode, ended.stderr) == (1, "genii: no such table\n")
    assert not (programs.folder / "pid").exists()


@pytest.mark.parametrize(
    ("end", "code", "text"),
    [
        ("sys.exit(7)", 7, "ended with exit code 7 before it was ready"),
        ("sys.exit(0)", 1, "ended with exit code 0 before it was ready"),
        ("os.kill(os.getpid(), signal.SIGKILL)", 137, "killed by KILL before it was ready"),
        ("d.fail('sorry', 3)", 3, "sorry"),
    ],
)
def test_the_exit_code_is_passed_on(programs: Programs, end: str, code: int, text: str) -> None:
    ended = programs.run(f"d = genii.daemonize(wait=True); {end}")
    assert ended.returncode == code
    assert text in ended.stderr


def test_a_daemon_that_is_never_ready_is_ended_with_its_children(programs: Programs, tmp_path: Path) -> None:
    code = """
    genii.daemonize(wait=True, timeout=1, pid_file='pid')
    os.chdir(sys.path[0])
    with open('pids', 'w') as file: file.write(str(os.getpid()))
    if os.fork() == 0:
        with open('pids', 'a') as file: file.write(' ' + str(os.getpid()))
    signal.pause()
    """
    ended = programs.run(code)
    assert ended.returncode == 124
    assert "timed out after 1 seconds, waiting for READY=1 or its call of ready()" in ended.stderr
    for pid in (tmp_path / "pids").read_text().split():
        wait_gone(int(pid))
    assert not (tmp_path / "pid").exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_when_the_waiting_parent_is_killed(programs: Programs, number: int) -> None:
    os.mkfifo(programs.folder / "fifo")
    code = """
    genii.daemonize(wait=True, directory=None, pid_file='pid')
    with open('fifo', 'w') as file: file.write(str(os.getpid()))
    signal.pause()
    """
    with subprocess.Popen(programs.write(code), cwd=programs.folder, stderr=subprocess.DEVNULL) as parent:
        pid = int((programs.folder / "fifo").read_text())
        parent.send_signal(number)
        wait_gone(pid)
        assert parent.wait() == -number
    wait_until(lambda: not (programs.folder / "pid").exists(), "the pid file is still there")


def test_an_interrupt_right_after_the_fork_leaves_nothing(programs: Programs) -> None:
    code = """
    from genii.system import waiting
    def interrupted(*_):
        raise KeyboardInterrupt
    waiting.await_ready = interrupted
    genii.daemonize(wait=True, pid_file='pid', directory=None)
    signal.pause()
    """
    assert programs.run(code).returncode == -signal.SIGINT
    wait_until(lambda: not (programs.folder / "pid").exists(), "the pid file is still there")


def test_the_pid_file_goes_with_the_daemon(programs: Programs, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for end in ("pass", "sys.exit(3)", "raise RuntimeError", "os.kill(os.getpid(), signal.SIGTERM)"):
        code = f"""
        d = genii.daemonize(wait=True, pid_file='pid', directory=None); d.ready(tell())
        open('fifo').read()
        {end}
        """
        facts = programs.facts(code)
        assert (tmp_path / "pid").read_text() == f"{facts['pid']}\n"
        (tmp_path / "fifo").write_text("end")
        wait_gone(facts["pid"])
        assert not (tmp_path / "pid").exists(), end


def test_a_second_start_is_refused_and_a_killed_one_is_replaced(programs: Programs, tmp_path: Path) -> None:
    code = "d = genii.daemonize(wait=True, pid_file='pid'); d.ready(tell()); signal.pause()"
    first = programs.facts(code)["pid"]
    second = programs.run(code)
    assert second.returncode == 1
    assert f"already running as process {first}" in second.stderr
    os.kill(first, signal.SIGKILL)
    wait_gone(first)
    assert (tmp_path / "pid").exists()
    assert programs.facts(code)["pid"] != first


@pytest.mark.slow
def test_fifty_simultaneous_starts_give_one_daemon(programs: Programs, tmp_path: Path) -> None:
    command = programs.write("d = genii.daemonize(wait=True, pid_file='pid'); d.ready(tell()); signal.pause()")
    starts = [
        subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(50)
    ]
    results = [(*start.communicate(), start.returncode) for start in starts]
    winners = [json.loads(out) for out, _, code in results if code == 0]
    assert len(winners) == 1
    programs.pids.append(winners[0]["pid"])
    assert sum("already running as process" in text for _, text, _ in results) == 49


def test_faults_of_the_call_are_told_before_anything_is_forked(programs: Programs) -> None:
    for argument, text in {
        "user='no-such-user'": "there is no user 'no-such-user'",
        "directory='/no/such/folder'": "folder /no/such/folder does not exist",
        "ready_line='('": "is not a regular expression",
    }.items():
        ended = programs.run(
            f"try: genii.daemonize({argument})\nexcept genii.errors.UsageError as error: print(error)".replace(
                "genii.errors", "__import__('genii.errors').errors"
            )
        )
        assert text in ended.stdout


def test_faults_of_the_start_are_told(programs: Programs, tmp_path: Path) -> None:
    for argument, text in {
        "stdout='/no/such/log'": "/no/such/log: No such file or directory",
        "pid_file='/no/such/pid'": "pid file /no/such/pid: No such file or directory",
        f"pid_file={str(tmp_path)!r}": "Is a directory",
        "limits={'nofile': (2000000000, 2000000000)}": "could not set limit nofile",
    }.items():
        ended = programs.run(f"genii.daemonize({argument}); open({str(tmp_path / 'ran')!r}, 'w')")
        assert ended.returncode == 1
        assert text in ended.stderr
    assert not (tmp_path / "ran").exists()


def test_a_log_on_a_full_disk_fails_loudly(programs: Programs) -> None:
    ended = programs.run("d = genii.daemonize(wait=True, stdout='/dev/full'); print('x', flush=True)")
    assert ended.returncode == 1
    assert "OSError: [Errno 28] No space left on device" in ended.stderr


def test_works_without_standard_streams(programs: Programs) -> None:
    command = programs.write("d = genii.daemonize(wait=True, pid_file='pid', stdout='log'); print('here'); d.ready()")
    ended = subprocess.run(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command], cwd=programs.folder, timeout=50)
    assert ended.returncode == 0
    wait_until(lambda: (programs.folder / "log").read_text() == "here\n", "the log is empty")


def test_environment_and_limits_are_set(programs: Programs) -> None:
    code = """
    import resource
    d = genii.daemonize(wait=True, environment={'VARIABLE': 'value'}, limits={'nofile': (99, 100)})
    d.ready(os.environ['VARIABLE'] + str(resource.getrlimit(resource.RLIMIT_NOFILE)))
    """
    assert programs.run(code).stdout == "value(99, 100)\n"


@needs_root
def test_drops_user_and_groups_but_makes_files_before(programs: Programs, tmp_path: Path) -> None:
    code = """
    os.setgroups([0, 4])
    d = genii.daemonize(wait=True, name='other', user='nobody', pid_file='pid', stdout='log'); d.ready(tell())
    """
    os.chmod(tmp_path, 0o755)
    facts = programs.facts(code)
    log = (tmp_path / "log").stat()
    assert facts["uid"] == [log.st_uid] * 3
    assert facts["gid"] == facts["groups"] * 3 == [log.st_gid] * 3
    assert facts["home"] == "/nonexistent"
    assert log.st_uid != 0
    wait_gone(facts["pid"])
    # It may not remove a file from root's folder, but empties it.
    assert (tmp_path / "pid").read_text() == ""


@needs_root
@pytest.mark.skipif(shutil.which("unshare") is None, reason="unshare is not installed")
def test_as_pid_1_it_stays(programs: Programs) -> None:
    code = "d = genii.daemonize(wait=True, pid_file='pid', stdout=1); d.ready(); print(tell())"
    command = ["unshare", "--pid", "--fork", "--mount-proc", *programs.write(code)]
    ended = subprocess.run(command, cwd=programs.folder, text=True, capture_output=True, timeout=50)
    if "unshare failed" in ended.stderr:
        pytest.skip(f"no namespaces here: {ended.stderr}")
    assert json.loads(ended.stdout)["pid"] == 1
    assert ended.returncode == 0
    assert not (programs.folder / "pid").exists()
