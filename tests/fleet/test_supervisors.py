"""The supervisors of hosts, steered from here: a real one, behind a real sshd."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest
from tests.fleet.command_line import Ended, genii, write_configuration

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fleet.conftest import Sshd

pytestmark = pytest.mark.timeout(300)

PROGRAM = "import time; print('it works', flush=True); time.sleep(3600)"


@pytest.fixture
def client(sshd: Sshd, tmp_path: Path, short_path: Path) -> Iterator[Path]:
    """Run a supervisor in one folder; return another, whose configuration reaches it as two hosts."""
    command = json.dumps([sys.executable, "-c", PROGRAM])
    (short_path / "genii.toml").write_text(
        f"[program.app]\ncommand = {command}\n[program.other]\ncommand = {command}\n"
    )
    started = genii(short_path, "up", "-d")
    assert started.status == 0, started.err
    folder = tmp_path / "client"
    folder.mkdir()
    write_configuration(folder, sshd, 2, socket=str(short_path / ".genii" / "genii.sock"))
    yield folder
    assert genii(short_path, "down").status == 0


@pytest.fixture
def short_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("up")  # the path of a unix socket has at most 107 bytes


def on(folder: Path, *arguments: str) -> Ended:
    return genii(folder, *arguments, "--on", "web")


@pytest.mark.parametrize("transport", ["asyncssh", "openssh"])
def test_one_table_of_all_hosts(client: Path, transport: str) -> None:
    configuration = client / "genii.toml"
    configuration.write_text(configuration.read_text().replace("[fleet]", f'[fleet]\ntransport = "{transport}"'))
    shown = on(client, "status")
    assert shown.status == 0, shown.err
    lines = shown.out.splitlines()
    assert lines[0].split() == ["HOST", "NAME", "STATE", "PID", "UPTIME", "RESTARTS"]
    assert [line.split()[:3] for line in lines[1:]] == [
        [host, program, "running"] for host in ("127.7.0.1", "127.7.0.2") for program in ("app", "other")
    ]


@pytest.mark.slow
def test_programs_are_steered_and_their_logs_read(client: Path) -> None:
    stopped = on(client, "stop", "app")
    assert stopped.status == 0, stopped.err
    assert "127.7.0.1: app: " in stopped.out
    after = on(client, "status", "--json")
    assert after.status == 0  # what should run does
    assert on(client, "status", "app").status == 3
    states = {(host["host"], row["name"]): row["state"] for host in json.loads(after.out)["hosts"]
              for row in host["processes"]}  # fmt: skip
    assert states["127.7.0.2", "app"] == "STOPPED"
    assert states["127.7.0.2", "other"] == "RUNNING"
    assert on(client, "start", "app").status == 0
    assert on(client, "restart", "app").status == 0
    assert "127.7.0.2 other | it works" in on(client, "logs", "other").out
    assert on(client, "check").out.splitlines() == ["127.7.0.1: ok", "127.7.0.2: ok"]
    assert "nothing has changed" in on(client, "update").out
    unknown = on(client, "start", "nothing")
    assert unknown.status == 4
    assert "127.7.0.1: " in unknown.err


def test_a_host_without_a_supervisor_is_told(sshd: Sshd, tmp_path: Path) -> None:
    write_configuration(tmp_path, sshd, 2, socket=str(tmp_path / "nowhere.sock"))
    shown = on(tmp_path, "status")
    assert shown.status == 3
    assert "127.7.0.1: no supervisor answers at" in shown.err
