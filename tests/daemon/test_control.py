"""Control programs as processes: each test writes one and gives it commands."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.waiting import wait_gone, wait_until

from genii.daemon.lines import status_line
from genii.system.pidfile import PidFile
from genii.system.procfs import read_stat

if TYPE_CHECKING:
    from collections.abc import Iterator

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can change its user")

CALLABLE = """
def program(control, *words):
    if words: print(*words, flush=True)
    signal.sigwait([signal.SIGHUP]) if 'deaf' not in words else None
    while True: signal.pause()
"""


class Script:
    """A control program in a folder of its own; the daemon is ended with the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "control.py"
        self.set("program=['sleep', '99']")

    def set(self, options: str, before: str = "", after: str = "") -> None:
        if options.startswith("program=["):
            words = options[len("program=[") :].partition("]")
            program, _, rest = words[0].partition(", ")
            options = f"program={program}, program_args=[{rest}]{words[2]}"
        self.path.write_text(
            "import os, re, signal, sys, time\nimport genii\n"
            + textwrap.dedent(before)
            + f"\ncontrol = genii.Control(name='Test Daemon', pid_file={str(self.pid_file)!r}, {options})\n"
            + textwrap.dedent(after)
            + "\nif __name__ == '__main__': control.run()\n"
        )

    @property
    def pid_file(self) -> Path:
        return self.folder / "run" / "daemon.pid"

    @property
    def pid(self) -> int:
        return int(self.pid_file.read_text())

    def run(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(self.path), *words],
            text=True, capture_output=True, timeout=50, cwd=self.folder, env={**os.environ, **variables},
        )  # fmt: skip

    def check(self, command: str, message: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Give a command; it must print this message (``""``: nothing) and end with this code."""
        ended = self.run(command)
        expected = f"{status_line('Test Daemon', message)}\n" if message else ""
        assert (ended.stdout, ended.returncode) == (expected, code), ended.stderr
        return ended


@pytest.fixture
def script(tmp_path: Path) -> Iterator[Script]:
    made = Script(tmp_path)
    yield made
    pid = PidFile(made.pid_file).read().pid
    if pid:
        os.kill(pid, signal.SIGKILL)
        wait_gone(pid)


def test_the_life_of_a_daemon(script: Script) -> None:
    script.check("status", "Not Running", 3)
    script.check("start", "Started")
    first = script.pid
    script.check("status", "Running")
    script.check("start", "Duplicate Running")
    assert script.pid == first
    assert (
        script.run("restart").stdout
        == f"{status_line('Test Daemon', 'Stopped')}\n{status_line('Test Daemon', 'Started')}\n"
    )
    assert script.pid != first
    script.check("stop", "Stopped")
    assert not script.pid_file.exists()
    script.check("stop", "Not Running")
    script.check("status", "Not Running", 3)
    script.check("reload", "Not Running", 7)
    script.check("restart", "Started")


def test_a_killed_daemon_is_told_apart_and_replaced(script: Script) -> None:
    script.check("start", "Started")
    os.kill(script.pid, signal.SIGKILL)
    wait_gone(script.pid)
    script.check("status", "Not Running", 1)
    script.check("reload", "Not Running", 7)
    script.check("start", "Started")
    script.check("status", "Running")


def test_another_programs_pid_is_never_believed_or_signalled(script: Script) -> None:
    script.pid_file.parent.mkdir()
    with subprocess.Popen(["sleep", "99"]) as stranger:
        for content in (f"{stranger.pid}\n", "-1", "0", "1", ""):
            script.pid_file.write_text(content)
            assert script.run("status").returncode in (1, 3)
            script.check("reload", "Not Running", 7)
            script.check("stop", "Not Running")
            assert not script.pid_file.exists()
        assert stranger.poll() is None
        stranger.kill()


def test_what_is_no_pid_file_is_left_alone(script: Script) -> None:
    script.pid_file.parent.mkdir()
    script.pid_file.write_text("important\n")
    script.check("status", "Not Running", 4)
    assert "holds something else than a pid" in script.check("start", "Failed to Start", 1).stderr
    script.check("stop", "Not Running")
    assert script.pid_file.read_text() == "important\n"


def test_a_callable_is_run_with_the_control_and_its_arguments(script: Script) -> None:
    script.set("program=program, program_args=['deaf', 'x'], stdout_file='log'", CALLABLE)
    script.check("start", "Started")
    wait_until(lambda: (script.folder / "log").read_text() == "deaf x\n", "the program does not run")
    with open(f"/proc/{script.pid}/comm") as file:
        assert file.read() == "Test Daemon\n"
    script.check("stop", "Stopped")


def test_the_pid_file_of_a_callable_goes_when_it_returns(script: Script) -> None:
    os.mkfifo(script.folder / "fifo")
    before = f"def program(control):\n    open({str(script.folder / 'fifo')!r}).read()\n    return 5"
    script.set("program=program", before)
    script.check("start", "Started")
    pid = script.pid
    (script.folder / "fifo").write_text("end")
    wait_gone(pid)
    script.check("status", "Not Running", 3)


def test_what_a_callable_returns_is_the_exit_code_of_the_foreground(script: Script) -> None:
    script.set("program=program", "def program(control):\n    print(control.read_pid() == os.getpid())\n    return 5")
    ended = script.run("foreground")
    assert (ended.returncode, ended.stdout) == (5, "True\n")
    assert not script.pid_file.exists()


def test_reload_sends_the_signal_of_choice(script: Script) -> None:
    os.mkfifo(script.folder / "fifo")
    before = f"""
    def program(control):
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        control.ready()
        open({str(script.folder / "fifo")!r}, 'w').write(str(signal.sigwait([signal.SIGUSR1])))
    """
    script.set("program=program, reload_signal='USR1', ready_call=True", before)
    script.check("start", "Started")
    script.check("reload", "Reloaded")
    assert (script.folder / "fifo").read_text() == str(signal.SIGUSR1.value)


def test_stop_goes_on_to_stronger_signals(script: Script) -> None:
    text = "trap 'echo TERM' TERM; trap 'echo INT' INT; exec 3<>fifo; echo up; while :; do read line <&3; done"
    os.mkfifo(script.folder / "fifo")
    script.set(
        f"program=['sh', '-c', {text!r}], directory={str(script.folder)!r}, stdout_file='log', ready_line='up', "
        "kill_timeout=0.3, stop_signals=['TERM', 'INT', 'KILL']"
    )
    script.check("start", "Started")
    script.check("stop", "Stopped")
    assert (script.folder / "log").read_text() == "up\nTERM\nINT\n"


def test_a_daemon_that_survives_everything_is_told_so(script: Script) -> None:
    text = "trap '' TERM; echo up; exec sleep 99"
    script.set(f"program=['sh', '-c', {text!r}], ready_line='up', kill_timeout=0.2, stop_signals=['TERM']")
    script.check("start", "Started")
    pid = script.pid
    script.check("stop", "Failed to Stop", 1)
    script.check("restart", "Failed to Stop", 1)
    assert script.pid == pid


def test_the_group_can_be_stopped_with_it(script: Script) -> None:
    text = "sleep 98 & echo $! > child; echo up; wait"
    script.set(f"program=['sh', '-c', {text!r}], directory={str(script.folder)!r}, ready_line='up', kill_group=True")
    script.check("start", "Started")
    script.check("stop", "Stopped")
    wait_gone(int((script.folder / "child").read_text()))


def test_a_start_that_fails_says_why(script: Script) -> None:
    for options, code, text in (
        ("program='no-such-program'", 5, "command 'no-such-program' was not found"),
        ("program='/etc/passwd'", 5, "not executable"),
        ("program='sleep', user='no-such-user'", 6, "there is no user 'no-such-user'"),
        ("program='sleep', directory='/no/such'", 6, "folder /no/such does not exist"),
        ("program='sleep', stdout_file='/no/such/log'", 1, "/no/such/log: No such file or directory"),
        ("program='sh', program_args=['-c', 'echo why; exit 4'], ready_line='x'", 1, "why\n"),
        ("program='sleep', program_args=['99'], ready_line='x', ready_timeout=0.3", 1, "timed out after 0.3 seconds"),
    ):
        script.set(options)
        assert text in script.check("start", "Failed to Start", code).stderr
        assert "Traceback" not in script.run("start").stderr
        assert not PidFile(script.pid_file).read().pid


def test_mistakes_in_the_settings_are_named(script: Script) -> None:
    for options, text in {
        "program=''": "program must be given",
        "program='x', fork=3": "fork is 0",
        "program='x', stop_signals=['TREM']": "stop_signals: 'TREM' is not a signal",
    }.items():
        script.set(options)
        assert text in script.run("status").stderr


def test_unknown_commands_and_words_too_many_are_refused(script: Script) -> None:
    for words in (["bogus"], ["start", "now"]):
        ended = script.run(*words)
        assert ended.returncode == 2
        assert "Must be called with an action: [start|stop|restart|" in ended.stderr
    assert not script.pid_file.exists()


def test_dashes_before_a_command_do_no_harm(script: Script) -> None:
    assert script.run("--status").returncode == 3
    assert script.run("-help").stdout.startswith("Syntax: ")
    assert script.run().stdout == script.run("help").stdout


def test_a_command_of_ones_own_is_one_function(script: Script) -> None:
    after = """
    @control.command
    def hello(control):
        \"\"\"Say hello.

        At length.\"\"\"
        control.pretty_print(f"Hello {control.read_pid()} {control.pid_running()}", "red")
        return 42
    """
    script.set("program='sleep', program_args=['99'], help='More help.'", after=after)
    script.check("hello", "Hello 0 False", 42)
    script.check("start", "Started")
    script.check("hello", f"Hello {script.pid} True", 42)
    text = script.run("help").stdout
    assert "|help|hello]" in text
    assert "  hello                Say hello.\n" in text
    assert text.endswith("More help.\n")


def test_fork_1_stays_in_the_callers_session(script: Script) -> None:
    script.set("program=['sleep', '99'], fork=1")
    # It keeps the caller's output, so that must not be a pipe that is read to its end.
    ended = subprocess.run([sys.executable, str(script.path), "start"], stdout=subprocess.DEVNULL, timeout=50)
    assert ended.returncode == 0
    assert os.getsid(script.pid) == os.getsid(0)
    script.check("status", "Running")
    script.check("stop", "Stopped")


def test_the_foreground_is_known_to_the_others(script: Script) -> None:
    script.set("program=['sh', '-c', 'echo here; exec sleep 99']")
    with subprocess.Popen(
        [sys.executable, str(script.path), "foreground"], stdout=subprocess.PIPE, text=True
    ) as foreground:
        assert foreground.stdout is not None
        assert foreground.stdout.readline() == "here\n"
        assert script.pid == foreground.pid
        script.check("status", "Running")
        script.check("start", "Duplicate Running")
        script.check("stop", "Stopped")
        assert foreground.wait() == -signal.SIGTERM
    script.set("program=['sh', '-c', 'exit 7']")
    assert script.run("foreground").returncode == 7
    assert script.run("start", GENII_FOREGROUND="1").returncode == 7


def test_the_monitor_removes_the_pid_file_and_starts_it_again(script: Script) -> None:
    script.set("program=['sleep', '99'], respawn=True")
    script.check("start", "Started")
    monitor = script.pid
    with open(f"/proc/{monitor}/task/{monitor}/children") as file:
        daemon = int(file.read())
    os.kill(daemon, signal.SIGKILL)
    wait_gone(daemon)
    script.check("status", "Running")
    assert script.pid == monitor
    script.check("stop", "Stopped")
    script.check("status", "Not Running", 3)


def test_a_process_that_must_not_run_prevents_the_start(script: Script) -> None:
    with subprocess.Popen(["sleep", "98.125"]) as other:
        script.set("program='true', prereq_no_process=re.compile(r'^sleep 98\\.125$')")
        script.check("start", f"Duplicate Running? (pid {other.pid})", 1)
        other.kill()
    script.set("program='sleep', program_args=['98.126'], prereq_no_process=r'sleep 98\\.126'")
    script.check("start", "Started")


def test_scan_name_recognizes_a_pid_file_that_somebody_else_wrote(script: Script) -> None:
    script.set("program='true', scan_name=r'^sleep 98\\.127$'")
    script.pid_file.parent.mkdir()
    with subprocess.Popen(["sleep", "98.127"]) as other, subprocess.Popen(["sleep", "98"]) as stranger:
        script.pid_file.write_text(f"{other.pid}\n")
        wait_until(lambda: script.run("status").returncode == 0, "it is not recognized")
        script.pid_file.write_text(f"{stranger.pid}\n")
        script.check("status", "Not Running", 1)
        script.pid_file.write_text(str(other.pid))
        script.check("stop", "Stopped")
        assert other.wait() == -signal.SIGTERM
        stranger.kill()


def test_logs_are_appended_to_or_emptied(script: Script) -> None:
    log = script.folder / "log"
    log.write_text("before\n")
    script.set("program=['sh', '-c', 'echo ready; exec sleep 99'], stdout_file='log', ready_line='ready'")
    script.check("start", "Started")
    assert log.read_text() == "before\nready\n"
    script.set("program=['sh', '-c', 'echo ready; exec sleep 99'], stdout_file=('w', 'log'), ready_line='ready'")
    assert script.run("restart").returncode == 0
    assert log.read_text() == "ready\n"


def test_quiet_says_nothing(script: Script) -> None:
    script.set("program=['sleep', '99'], quiet=True")
    for command, code in (("status", 3), ("start", 0), ("status", 0), ("stop", 0)):
        script.check(command, "", code)


def test_warnings_go_to_stderr(script: Script) -> None:
    ended = script.check("show_warnings", "")
    assert ended.stderr == "stdout_file is not set: output is discarded\nstderr_file is not set: errors are discarded\n"


def test_the_terminal_gets_colours(script: Script) -> None:
    reader, terminal = pty.openpty()
    with subprocess.Popen(
        [sys.executable, str(script.path), "status"],
        stdout=terminal,
        env={**os.environ, "TERM": "xterm", "NO_COLOR": ""},
    ) as process:
        assert process.wait() == 3
    os.close(terminal)
    assert os.read(reader, 4096).decode() == status_line("Test Daemon", "Not Running", "red") + "\r\n"
    os.close(reader)


def test_the_init_script_runs_this_control_program(script: Script) -> None:
    init = script.folder / "init"
    init.write_text(script.run("get_init_file").stdout)
    ended = subprocess.run(["sh", str(init), "status"], capture_output=True, text=True, timeout=50)
    assert (ended.returncode, ended.stdout) == (3, status_line("Test Daemon", "Not Running") + "\n")
    unit = script.run("get_init_file", "--systemd").stdout
    assert f"ExecStart={sys.executable} {script.path} foreground\n" in unit


@needs_root
def test_folders_and_logs_are_made_for_the_user(script: Script) -> None:
    script.folder.chmod(0o755)
    script.set(
        "program=['sh', '-c', 'umask; id -un; pwd; exec sleep 99'], user='nobody', umask=0o27, directory='/usr', "
        "stdout_file='log', resource_dir='data/deep', ready_line='/usr'"
    )
    script.check("start", "Started")
    assert (script.folder / "log").read_text() == "0027\nnobody\n/usr\n"
    uid = os.stat(f"/proc/{script.pid}").st_uid
    assert uid == (script.folder / "data").stat().st_uid == (script.folder / "data" / "deep").stat().st_uid
    script.check("stop", "Stopped")
    assert not script.pid_file.exists()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users may read, unlike tmp_path."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)


@needs_root
def test_another_users_daemon_is_seen_but_not_stopped(open_folder: Path) -> None:
    script = Script(open_folder)
    script.check("start", "Started")
    # The interpreter's own files may be readable for root alone, so everything is imported before.
    code = (
        "import os, re, sys, time, signal, select, genii, genii.daemon.control, genii.errors, genii.units\n"
        "genii.Control; del sys.argv[0]; os.setresuid(65534, 65534, 65534)\n"
        "exec(compile(open(sys.argv[0]).read(), sys.argv[0], 'exec'))"
    )

    def run(command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code, str(script.path), command], capture_output=True, text=True, timeout=50
        )

    assert run("status").returncode == 0
    refused = run("stop")
    assert (refused.returncode, "Failed to Stop" in refused.stdout) == (4, True)
    assert not read_stat(script.pid).ended
    script.check("stop", "Stopped")
