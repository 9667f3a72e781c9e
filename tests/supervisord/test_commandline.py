"""``genii supervisord`` as a command: its options, its signals, and names that lead to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.supervisord.conftest import Daemon

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

CAT = "[program:cat]\ncommand = /bin/cat\nstartsecs = 0\nstdout_logfile = {here}/cat.log\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_signals_end_it(number: signal.Signals, daemon: Daemon) -> None:
    daemon.start(CAT)
    os.kill(daemon.pid, number)
    assert daemon.wait() == 0
    assert f"WARN received {number.name} indicating exit request" in daemon.log()


def test_hup_restarts_it_with_the_same_pid(daemon: Daemon) -> None:
    daemon.start(CAT)
    pid = daemon.call("getProcessInfo", "cat")["pid"]
    os.kill(daemon.pid, signal.SIGHUP)
    daemon.eventually(lambda: "WARN received SIGHUP indicating restart request" in daemon.log())
    daemon.eventually(lambda: daemon.answers() and daemon.call("getProcessInfo", "cat")["pid"] not in (0, pid))
    assert daemon.call("getPID") == daemon.pid


def test_usr2_opens_the_logs_anew(daemon: Daemon) -> None:
    daemon.start(CAT)
    for name in ("main.log", "cat.log"):
        (daemon.folder / name).rename(daemon.folder / f"{name}.moved")
    os.kill(daemon.pid, signal.SIGUSR2)
    daemon.eventually((daemon.folder / "cat.log").exists)
    daemon.call("sendProcessStdin", "cat", "new\n")
    daemon.eventually(lambda: (daemon.folder / "cat.log").read_text() == "new\n")
    daemon.call("stopProcess", "cat")
    assert "stopped: cat" in daemon.log()
    assert "stopped: cat" not in (daemon.folder / "main.log.moved").read_text()


def test_options_win_over_the_file(daemon: Daemon) -> None:
    folder = daemon.folder
    options = (
        f"-l {folder}/other.log -y 1MB -z 2 -e debug -j {folder}/other.pid -i other -q {folder} -k -a 512 -t -s -m 027"
        f" -d {folder} --minprocs 10"
    )
    Daemon.__init__(daemon, folder, [sys.executable, "-m", "genii", "supervisord", *options.split()])
    daemon.start(CAT)
    assert daemon.call("getIdentification") == "other"
    assert (folder / "other.pid").read_text() == f"{daemon.pid}\n"
    assert "spawned: 'cat'" in (folder / "other.log").read_text()
    assert not (folder / "main.log").exists()


def link(folder: Path, name: str) -> list[str]:
    """Make a symbolic link to the command of genii, and return how it is run."""
    (folder / name).symlink_to(os.path.join(os.path.dirname(sys.executable), "genii"))
    return [str(folder / name)]


def test_symbolic_links_have_the_names_of_the_originals(folder: Path) -> None:
    daemon = Daemon(folder, link(folder, "supervisord"))
    daemon.start(CAT)
    try:
        done = subprocess.run(
            [*link(folder, "supervisorctl"), "-c", str(daemon.config), "status", "cat"],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.stdout.split()[:2] == ["cat", "RUNNING"]
    finally:
        daemon.stop()
    done = subprocess.run([folder / "supervisord", "-v"], capture_output=True, text=True, timeout=60)
    assert done.stdout.count(".") == 2
    done = subprocess.run(link(folder, "echo_supervisord_conf"), capture_output=True, text=True, timeout=60)
    assert "[rpcinterface:supervisor]" in done.stdout
    words = [*link(folder, "pidproxy"), str(folder / "pid"), "sh", "-c", "exit 3"]
    assert subprocess.run(words, timeout=60).returncode == 3


@pytest.mark.parametrize("words", ["-x", "-n -n extra", "--nothing", "-c", "-e loud"])
def test_what_it_does_not_know_is_refused(words: str, daemon: Daemon) -> None:
    daemon.write(CAT)
    config = [] if words == "-c" else ["-c", str(daemon.config)]
    done = subprocess.run(
        [sys.executable, "-m", "genii", "supervisord", *words.split(), *config],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
