from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genii.errors import AlreadyRunning, NotAllowed
from genii.system.pidfile import PID_FILE_VARIABLE, PidFile, make_stamp, parse_pid

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOLDER = (
    "import sys, os\nfrom genii.system.pidfile import PidFile\n"
    "file = PidFile(sys.argv[1]); file.acquire(); file.write(); print(os.getpid(), flush=True); sys.stdin.read()\n"
    "file.remove()"
)


class Holder:
    """Another process that holds a pid file until it is told to end."""

    def __init__(self, path: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.pid = int(self.process.stdout.readline())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "daemon.pid"


@pytest.fixture
def holder(path: Path) -> Iterator[Holder]:
    made = Holder(path)
    yield made
    made.process.kill()
    made.process.communicate()


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_the_file_holds_a_plain_number_and_goes_away_at_the_end(path: Path) -> None:
    with PidFile(path):
        assert path.read_text() == f"{os.getpid()}\n"
        assert path.stat().st_mode & 0o777 == 0o644
        reading = PidFile(path).read()
        assert (reading.state, reading.pid) == ("running", os.getpid())
    assert not path.exists()
    assert PidFile(path).read().state == "absent"


def test_a_second_start_is_told_who_runs(path: Path, holder: Holder) -> None:
    with pytest.raises(AlreadyRunning, match=f"already running as process {holder.pid}") as caught:
        PidFile(path).acquire()
    assert caught.value.pid == holder.pid
    assert PidFile(path).remove_stale() is False
    assert PidFile(path).read().pid == holder.pid


def test_a_killed_daemon_blocks_nobody(path: Path, holder: Holder) -> None:
    holder.process.kill()
    os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)  # it stays a zombie: dead all the same
    reading = PidFile(path).read()
    assert (reading.state, reading.pid, reading.content_pid) == ("stale", 0, holder.pid)
    with PidFile(path):
        assert PidFile(path).read().pid == os.getpid()


def test_a_clean_end_removes_the_file(path: Path, holder: Holder) -> None:
    holder.process.communicate("")
    assert not path.exists()


def test_the_pid_of_another_program_is_stale(path: Path, stranger: subprocess.Popen[bytes]) -> None:
    path.write_text(f"{stranger.pid}\n")
    assert PidFile(path).read().state == "stale"
    assert PidFile(path).remove_stale() is True
    assert not path.exists()
    assert stranger.poll() is None


def test_a_monitor_that_is_about_to_remove_the_file_is_waited_for(path: Path) -> None:
    monitor = PidFile(path)
    monitor.acquire()
    path.write_text("4194304\n")  # of nobody: the largest pid is one less
    assert PidFile(path).remove_stale(timeout=0.05) is False
    assert path.exists()
    removal = threading.Timer(0.2, monitor.remove)
    removal.start()
    PidFile(path).remove_stale(timeout=60)
    removal.join()
    assert not path.exists()


def test_a_program_known_by_other_means_counts(path: Path, stranger: subprocess.Popen[bytes]) -> None:
    path.write_text(f"{stranger.pid}\n")
    assert PidFile(path, recognize=lambda pid: pid == stranger.pid).read().pid == stranger.pid
    assert PidFile(path, recognize=lambda _pid: False).read().pid == 0


def test_a_program_that_rewrites_its_own_pid_file_is_known_by_its_environment(path: Path) -> None:
    environment = {**os.environ, PID_FILE_VARIABLE: str(path)}
    code = "import os, sys; open(sys.argv[1], 'w').write(str(os.getpid())); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert PidFile(path).read().pid == process.pid
        process.kill()


def test_a_touched_file_still_refuses_a_second_start(path: Path, holder: Holder) -> None:
    os.utime(path, (1, 1))
    assert PidFile(path).read().state == "stale"
    with pytest.raises(AlreadyRunning, match="locked by another process"):
        PidFile(path).acquire(timeout=0.05)


def test_children_do_not_hold_the_lock(path: Path) -> None:
    code = (
        "import os, sys, signal\nfrom genii.system.pidfile import PidFile\n"
        "file = PidFile(sys.argv[1]); file.acquire(); file.write(); file.keep_from_children()\n"
        "r, w = os.pipe()\n"
        "child = os.fork()\n"
        "if child == 0: os.write(w, b'x'); signal.pause()\n"
        "os.read(r, 1)\n"
        "print(child, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
    assert ended.stdout is not None
    child = int(ended.stdout.readline())
    try:
        assert ended.wait() == -signal.SIGKILL
        PidFile(path).acquire(timeout=0)
    finally:
        os.kill(child, signal.SIGKILL)
        ended.stdout.close()


@pytest.mark.parametrize("content", ["", "\n", "-1\n", "0\n", "1\n", "4194304\n", "99999999999\n", "\0\0\0"])
def test_what_names_no_process_is_overwritten_and_never_signalled(path: Path, content: str) -> None:
    path.write_text(content)
    assert PidFile(path).read().pid == 0
    with PidFile(path):
        assert PidFile(path).read().pid == os.getpid()


@pytest.mark.parametrize("content", ["[daemon]\nkey = 1\n", "12 34\n", "1e3", "7" * 1_000_000, "x" * 1_000_000])
def test_what_is_no_pid_file_is_left_alone(path: Path, content: str) -> None:
    path.write_text(content)
    assert PidFile(path).read().state == "garbage"
    with pytest.raises(NotAllowed, match="holds something else than a pid"):
        PidFile(path).acquire()
    assert path.read_text() == content


def test_a_folder_a_link_and_a_pipe_are_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(tmp_path / "pipe")
    for name, text in {"": "Is a directory", "link": "is a symbolic link", "pipe": "not a regular file"}.items():
        with pytest.raises(NotAllowed, match=text):
            PidFile(tmp_path / name).acquire()
    assert not (tmp_path / "elsewhere").exists()


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotAllowed, match=r"missing/daemon\.pid: No such file or directory"):
        PidFile(tmp_path / "missing" / "daemon.pid").acquire()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_another_user_cannot_point_at_our_processes(path: Path, holder: Holder) -> None:
    os.chown(path, 65534, 65534)
    assert PidFile(path).read().state == "stale"


def test_of_many_simultaneous_starts_one_wins(path: Path) -> None:
    code = HOLDER.replace("file.acquire()", "sys.stdin.readline(); file.acquire()")
    starts = [
        subprocess.Popen(
            [sys.executable, "-S", "-c", code, str(path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        for _ in range(12)
    ]  # fmt: skip
    for start in starts:
        assert start.stdin is not None
        start.stdin.write("\n")
        start.stdin.flush()
    winner = None
    for start in starts:
        assert start.stdout is not None
        line = start.stdout.readline()
        if line:
            assert winner is None
            winner = start
            assert path.read_text() == line
    assert winner is not None
    texts = [start.communicate()[1] for start in starts if start is not winner]
    assert all(f"already running as process {winner.pid}" in text for text in texts)
    winner.communicate()


@given(st.binary(max_size=40))
def test_parsing_never_yields_a_pid_that_must_not_be_signalled(content: bytes) -> None:
    pid = parse_pid(content)
    assert pid is None or pid == 0 or 1 < pid <= 1 << 22


@given(st.integers(0, 1 << 62), st.uuids())
def test_stamps_are_whole_steps_of_a_coarse_clock(start: int, boot: object) -> None:
    stamp = make_stamp(start, str(boot))
    assert 0 < stamp < 1_000_000_000
    assert stamp % 100 == 0
    assert stamp != make_stamp(start + 1, str(boot))
