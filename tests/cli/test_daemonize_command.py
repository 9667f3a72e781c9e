"""``genii daemonize`` and ``genii nohup`` as processes."""

from __future__ import annotations

import json
import os
import pty
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from tests.ports import free_port
from tests.waiting import wait_gone, wait_until

from genii.system.pidfile import PidFile
from genii.system.procfs import read_stat

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can change its user")


class Shell:
    """Run genii in a folder; pid files there are cleaned up with the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def words(self, command: str, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "genii", command, *arguments]

    def daemonize(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.words("daemonize", *arguments),
            text=True, capture_output=True, timeout=50, cwd=self.folder, **options,
        )  # fmt: skip

    def pid(self, name: str = "pid") -> int:
        return int((self.folder / name).read_text())


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    made = Shell(tmp_path)
    yield made
    for path in tmp_path.glob("pid*"):
        pid = PidFile(path).read().pid
        if pid:
            os.kill(pid, signal.SIGKILL)


def script(text: str) -> list[str]:
    return ["--", "sh", "-c", text]


def test_prints_the_ready_line_and_exits_0(shell: Shell) -> None:
    started = shell.daemonize(
        "--pid-file", "pid", "--ready-line", "^addr: ", *script("echo starting; echo addr: here; exec sleep 99")
    )
    assert (started.returncode, started.stdout, started.stderr) == (0, "addr: here\n", "")
    pid = shell.pid()
    assert os.getpgid(pid) == pid
    assert os.getsid(pid) != os.getsid(0)
    assert os.readlink(f"/proc/{pid}/cwd") == "/"


def test_the_ready_line_is_found_in_a_log_file(shell: Shell) -> None:
    (shell.folder / "log").write_text("addr: of an earlier run\n")
    started = shell.daemonize(
        "--stdout", "log", "--ready-line", "^addr: ", "--pid-file", "pid", *script("echo addr: new; exec sleep 99")
    )
    assert (started.returncode, started.stdout) == (0, "addr: new\n")


def test_a_failure_is_printed_with_its_output_and_code(shell: Shell) -> None:
    for log in ([], ["--stdout", "log"]):
        failed = shell.daemonize("--ready-line", "x", *log, *script("echo one; echo two >&2; exit 9"))
        assert failed.returncode == 9
        assert failed.stderr == "one\ntwo\ngenii: the daemon ended with exit code 9 before it was ready\n"


def test_the_name_stands_before_the_reason(shell: Shell) -> None:
    failed = shell.daemonize("--name", "web", "--ready-line", "x", *script("kill -KILL $$"))
    assert (failed.returncode, failed.stderr) == (
        137,
        "genii: web: the daemon was killed by KILL before it was ready\n",
    )


def test_a_line_of_failure_ends_the_wait(shell: Shell) -> None:
    failed = shell.daemonize(
        "--ready-line", "x", "--fail-line", "^Error", "--pid-file", "pid", *script("echo Error: no disk; exec sleep 99")
    )
    assert failed.returncode == 1
    assert "genii: the daemon said: Error: no disk" in failed.stderr
    assert not (shell.folder / "pid").exists()


def test_a_ready_line_that_never_comes_ends_with_124_and_nothing_left(shell: Shell) -> None:
    os.mkfifo(shell.folder / "fifo")
    text = "echo $$ > fifo; echo starting; sleep 99 & exec sleep 98"
    with subprocess.Popen(
        shell.words("daemonize", "--no-chdir", "--timeout", "700ms", "--ready-line", "x", *script(text)),
        cwd=shell.folder, stderr=subprocess.PIPE, text=True,
    ) as started:  # fmt: skip
        pid = int((shell.folder / "fifo").read_text())
        assert started.stderr is not None
        assert "starting\ngenii: timed out after 0.7 seconds, waiting for a line" in started.stderr.read()
    assert started.returncode == 124
    wait_gone(pid)


SERVER = "import socket, sys; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); s.accept(); s.accept()"


def test_is_ready_when_the_port_opens_and_refuses_one_that_is_taken(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused = shell.daemonize("--ready-port", port, "--", sys.executable, "-c", SERVER, port)
        assert refused.returncode == 1
        assert f"port {port} is taken already" in refused.stderr
    port = str(free_port())
    started = shell.daemonize("--pid-file", "pid", "--ready-port", port, "--", sys.executable, "-c", SERVER, port)
    assert (started.returncode, started.stderr) == (0, "")
    socket.create_connection(("127.0.0.1", int(port)), timeout=10).close()


def test_is_ready_by_sd_notify(shell: Shell) -> None:
    code = "from genii.system.notify import notify; import signal; notify('READY=1\\nSTATUS=at work'); signal.pause()"
    started = shell.daemonize("--pid-file", "pid", "--ready-notify", "--", sys.executable, "-c", code)
    assert (started.returncode, started.stdout) == (0, "at work\n")


def test_messages_of_strangers_do_not_make_it_ready(shell: Shell) -> None:
    os.mkfifo(shell.folder / "fifo")
    text = "echo $NOTIFY_SOCKET > fifo; exec sleep 99"
    with subprocess.Popen(
        shell.words("daemonize", "--no-chdir", "--timeout", "700ms", "--ready-notify", *script(text)),
        cwd=shell.folder, stderr=subprocess.DEVNULL,
    ) as started:  # fmt: skip
        address = (shell.folder / "fifo").read_text().strip()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"READY=1", "\0" + address[1:])
        assert started.wait() == 124


def test_a_program_that_goes_into_the_background_itself_is_told_about(shell: Shell) -> None:
    failed = shell.daemonize("--ready-line", "x", *script("true"))
    assert failed.returncode == 1
    assert "if it goes into the background by itself, tell it not to" in failed.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["--", "no-such-command"], 127, "command 'no-such-command' was not found in PATH"),
        (["--", "./no/such"], 127, "command './no/such' was not found"),
        (["--", "/etc/passwd"], 126, "/etc/passwd is not executable"),
        (["--user", "no-such-user", "--", "true"], 2, "there is no user 'no-such-user'"),
        (["--chdir", "/no/such", "--", "true"], 2, "folder /no/such does not exist"),
        (["--umask", "9", "--", "true"], 2, "--umask: '9' is not an octal mode"),
        (["--timeout", "soon", "--", "true"], 2, "--timeout: 'soon' is not a duration"),
        (["--env", "NAME", "--", "true"], 2, "'NAME' is not NAME=VALUE"),
        (["--nofile", "many", "--", "true"], 2, "'nofile=many' is not a limit"),
        (["--limit", "nofiles=1", "--", "true"], 2, "'nofiles' is not a resource limit"),
        (["--ignore", "NOSUCH", "--", "true"], 2, "'NOSUCH' is not a signal"),
        (["--ready-line", "(", "--", "true"], 2, "'(' is not a regular expression"),
        (["--ready-port", "http", "--", "true"], 2, "'http' is not a port"),
        (["--fail-line", "x", "--", "true"], 2, "--fail-line needs"),
        (["--respawn", "--no-monitor", "--", "true"], 2, "--respawn needs the monitor"),
        (["--ready-line", "x", "--stdout", "/dev/full", "--", "true"], 2, "no ready line can be read"),
        (["--stdout", "/no/such/log", "--", "true"], 1, "/no/such/log: No such file or directory"),
        (["--pid-file", "/no/such/pid", "--", "true"], 1, "pid file /no/such/pid: No such file"),
        (["--pid-file", "/", "--", "true"], 1, "pid file /: Is a directory"),
        (["--pid-file", "/etc/passwd", "--", "true"], 1, "holds something else than a pid"),
    ],
)
def test_mistakes_are_told_in_one_line(shell: Shell, arguments: list[str], code: int, text: str) -> None:
    failed = shell.daemonize(*arguments)
    assert (failed.returncode, failed.stdout) == (code, "")
    assert text in failed.stderr
    assert failed.stderr.count("\n") == 1


def test_the_monitor_removes_the_pid_file_however_the_program_ends(shell: Shell) -> None:
    for text in ("exit 0", "exit 5", "kill -KILL $$"):
        os.mkfifo(shell.folder / "fifo")
        assert shell.daemonize("--no-chdir", "--pid-file", "pid", *script(f"read line < fifo; {text}")).returncode == 0
        pid = shell.pid()
        (shell.folder / "fifo").write_text("end\n")
        wait_gone(pid)
        wait_until(lambda: not (shell.folder / "pid").exists(), "the pid file is still there")
        (shell.folder / "fifo").unlink()


def test_a_killed_monitor_leaves_a_daemon_that_can_be_found_and_replaced(shell: Shell) -> None:
    shell.daemonize("--pid-file", "pid", "--", "sleep", "99")
    pid = shell.pid()
    monitor = read_stat(pid).parent
    os.kill(monitor, signal.SIGKILL)
    wait_gone(monitor)
    again = shell.daemonize("--pid-file", "pid", "--", "sleep", "99")
    assert again.returncode == 1
    assert f"already running as process {pid}" in again.stderr
    os.kill(pid, signal.SIGKILL)
    wait_gone(pid)
    assert shell.daemonize("--pid-file", "pid", "--", "sleep", "99").returncode == 0


def test_without_a_monitor_only_the_program_stays(shell: Shell) -> None:
    assert shell.daemonize("--pid-file", "pid", "--no-monitor", "--", "sleep", "99").returncode == 0
    pid = shell.pid()
    session = os.getsid(pid)
    wait_gone(session)
    assert "already running" in shell.daemonize("--pid-file", "pid", "--no-monitor", "--", "sleep", "99").stderr


def test_respawn_starts_it_again_until_it_is_told_to_end(shell: Shell) -> None:
    os.mkfifo(shell.folder / "fifo")
    text = "echo $$ > fifo; trap 'echo got >> got; exit 0' TERM; read line < again; exit 3"
    os.mkfifo(shell.folder / "again")
    with subprocess.Popen(
        shell.words("daemonize", "--no-chdir", "--respawn", "--pid-file", "pid", "--stdout", "log", *script(text)),
        cwd=shell.folder,
    ) as started:
        first = int((shell.folder / "fifo").read_text())
        assert started.wait() == 0
    monitor = shell.pid()
    assert monitor != first
    (shell.folder / "again").write_text("end\n")
    second = int((shell.folder / "fifo").read_text())
    assert second != first
    assert "genii: the daemon ended with exit code 3, starting again in" in (shell.folder / "log").read_text()
    os.kill(monitor, signal.SIGTERM)
    wait_gone(second)
    wait_gone(monitor)
    assert not (shell.folder / "pid").exists()
    assert (shell.folder / "got").read_text() == "got\n"


def test_a_program_gets_fresh_signals_limits_environment_and_descriptors(shell: Shell) -> None:
    code = (
        "import json, os, resource\n"
        "status = dict(line.split(':', 1) for line in open('/proc/self/status'))\n"
        "print('facts', json.dumps([int(status['SigIgn'], 16), int(status['SigBlk'], 16), status['Umask'].strip(),\n"
        "  resource.getrlimit(resource.RLIMIT_NOFILE), resource.getrlimit(resource.RLIMIT_CORE),\n"
        "  os.environ['VARIABLE'], sorted(os.listdir('/proc/self/fd')), os.getsid(0) == os.getpid()]))"
    )

    def set_up() -> None:
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
        os.dup2(0, 50)
        os.dup2(0, 60)

    started = shell.daemonize(
        "--ready-line", "^facts", "--ignore", "HUP", "--umask", "027", "--nofile", "100:200", "--limit", "core=0",
        "--env", "VARIABLE=a b", "--keep-fd", "60", "--no-double-fork", "--", sys.executable, "-I", "-S", "-c", code,
        preexec_fn=set_up, close_fds=False,
    )  # fmt: skip
    assert started.returncode == 0, started.stderr
    ignored, blocked, umask, nofile, core, variable, descriptors, leads = json.loads(started.stdout.partition(" ")[2])
    python_ignores = 1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1
    standard = (1 << 31) - 1  # what lies above belongs to the C library, and may come from whoever runs the tests
    assert ignored & standard & ~python_ignores == 1 << signal.SIGHUP - 1
    assert (blocked, umask, nofile, core) == (0, "0027", [100, 200], [0, 0])
    assert variable == "a b"
    assert descriptors == ["0", "1", "2", "3", "60"]  # 3: the listing itself
    assert leads


@needs_root
def test_runs_as_another_user(shell: Shell) -> None:
    started = shell.daemonize("--ready-line", "^me", "--user", "nobody", *script("echo me $(id -un) $(id -G) $HOME"))
    assert started.stdout == "me nobody 65534 /nonexistent\n"


@needs_root
def test_a_full_disk_is_named(shell: Shell) -> None:
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4k", "none", str(shell.folder)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"can't mount here: {mounted.stderr}")
    try:
        failed = shell.daemonize(
            "--stdout", str(shell.folder / "log"), "--ready-line", "^x", "--timeout", "1s",
            *script("head -c 9000 /dev/zero; echo x; exec sleep 99"),
        )  # fmt: skip
        assert failed.returncode == 124
        assert f"(the disk of {shell.folder / 'log'} is full)" in failed.stderr
    finally:
        subprocess.run(["umount", str(shell.folder)], check=True)


@needs_root
@pytest.mark.skipif(shutil.which("unshare") is None, reason="unshare is not installed")
def test_as_pid_1_of_a_container_it_becomes_the_command(shell: Shell) -> None:
    words = shell.words("daemonize", "--pid-file", "pid", "--ready-line", "x", *script("cat pid; echo $$; exit 5"))
    words.insert(words.index("--"), "--no-chdir")
    ended = subprocess.run(
        ["unshare", "--pid", "--fork", "--mount-proc", *words],
        cwd=shell.folder, text=True, capture_output=True, timeout=50,
    )  # fmt: skip
    if "unshare failed" in ended.stderr:
        pytest.skip(f"no namespaces here: {ended.stderr}")
    assert (ended.stdout, ended.returncode) == ("1\n1\n", 5)


def test_returns_though_the_caller_waits_for_its_pipes_as_ssh_does(shell: Shell) -> None:
    # No terminal, no input, output read until its end: ssh host command, cron.
    words = shell.words("daemonize", "--pid-file", "pid", "--", "sleep", "99")
    ended = subprocess.run(
        words, stdin=subprocess.DEVNULL, capture_output=True, cwd=shell.folder, timeout=40,
        env={"PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")


def test_starts_without_any_standard_stream(shell: Shell) -> None:
    words = shlex.join(shell.words("daemonize", "--pid-file", "pid", "--", "sleep", "60"))
    ended = subprocess.run(["sh", "-c", f"{words} <&- >&- 2>&-"], cwd=shell.folder, timeout=50)
    assert ended.returncode == 0
    streams = [os.readlink(f"/proc/{PidFile(shell.folder / 'pid').read().pid}/fd/{number}") for number in range(3)]
    assert streams == [os.devnull] * 3


def test_nohup_survives_the_end_of_the_terminal_and_keeps_the_output(shell: Shell) -> None:
    os.mkfifo(shell.folder / "fifo")
    command = shell.words("nohup", *script("read line < fifo; echo survived"))
    shell_pid, terminal = pty.fork()
    if shell_pid == 0:
        os.chdir(shell.folder)
        os.execvp("sh", ["sh", "-c", shlex.join(command) + "; exec sleep 99"])
    printed = b""
    while b"\n" not in printed:
        printed += os.read(terminal, 4096)
    pid = int(printed.split()[0])
    os.close(terminal)  # hangs up
    os.kill(shell_pid, signal.SIGKILL)
    os.waitpid(shell_pid, 0)
    (shell.folder / "fifo").write_text("go on\n")
    wait_gone(pid)
    assert (shell.folder / "nohup.out").read_text() == "survived\n"


def test_nothing_heavy_is_loaded_on_the_way(shell: Shell) -> None:
    code = (
        "import sys; from genii.cli.main import main; code = main(sys.argv[1:])\n"
        "print(code, *sorted({'asyncio', 'socket', 'ssl', 'subprocess', 'tempfile', 'msgspec'} & {*sys.modules}))"
    )
    words = [sys.executable, "-c", code, "daemonize", "--pid-file", str(shell.folder / "pid"), "--", "sleep", "99"]
    ended = subprocess.run(words, text=True, capture_output=True, timeout=50)
    assert (ended.stdout, ended.stderr) == ("0\n", "")
