"""What ``genii export`` writes for init systems, run as they would run it."""

from __future__ import annotations

import os
import select
import shlex
import signal
import subprocess
from typing import TYPE_CHECKING

from tests.real.harness import PATIENCE, is_alive

from genii.system.notify import NotifySocket

if TYPE_CHECKING:
    from tests.real.harness import Site

SLEEP = '[program.job]\ncommand = "sleep 1000"\n'


def _await_message(listener: NotifySocket, field: tuple[str, str]) -> int:
    """Wait for a message of sd_notify(3) with this field; return the pid of who sent it."""
    waiter = select.poll()
    waiter.register(listener, select.POLLIN)
    while waiter.poll(PATIENCE * 1000):
        for pid, fields in listener.messages():
            if fields.get(field[0]) == field[1]:
                return pid
    raise AssertionError(f"nobody said {field}")


def test_the_command_of_the_unit_says_when_it_is_ready_and_when_it_stops(site: Site) -> None:
    site.write(SLEEP)
    unit = site.genii("export", "systemd").out
    settings = dict(line.split("=", 1) for line in unit.splitlines() if "=" in line and not line.startswith("#"))
    with NotifySocket(str(site.path / "notify")) as listener:
        environment = {**site.environment, "NOTIFY_SOCKET": listener.address}
        process = subprocess.Popen(shlex.split(settings["ExecStart"]), cwd="/", env=environment, stderr=subprocess.PIPE)
        try:
            assert _await_message(listener, ("READY", "1")) == process.pid
            job = site.state_of("job", "RUNNING")["pid"]
            reloaded = subprocess.run(
                shlex.split(settings["ExecReload"]), cwd="/", env=site.environment, capture_output=True, timeout=60
            )
            assert reloaded.returncode == 0
            process.send_signal(signal.SIGTERM)
            assert _await_message(listener, ("STOPPING", "1")) == process.pid
            process.communicate(timeout=PATIENCE)
            assert process.returncode == 0
            assert job
            assert not is_alive(job)
        finally:
            process.kill()
            process.communicate()


def test_the_init_script_starts_tells_and_stops(site: Site) -> None:
    site.write(SLEEP)
    path = site.path / "init"
    path.write_text(site.genii("export", "sysv").out)

    def run(action: str) -> int:
        return subprocess.run(
            ["sh", path, action], cwd="/", env=site.environment, capture_output=True, timeout=4 * PATIENCE
        ).returncode

    assert run("status") == 3
    assert run("start") == 0
    assert run("status") == 0
    first = site.supervisor_pid()
    assert run("start") == 0
    assert site.supervisor_pid() == first
    assert run("reload") == 0
    assert run("restart") == 0
    assert site.supervisor_pid() != first
    assert run("stop") == 0
    assert run("stop") == 0
    assert run("status") == 3
    assert run("reload") == 7
    (site.path / "genii.toml").write_text("[program.job]\n")
    assert run("start") == 6


def test_a_wrong_configuration_is_told_instead(site: Site) -> None:
    site.write("[program.job]\ncolour = 1\n")
    for kind in ("systemd", "sysv", "docker"):
        status, out, err = site.genii("export", kind)
        assert (status, out) == (2, "")
        assert f"{os.path.join(site.path, 'genii.toml')}:" in err
