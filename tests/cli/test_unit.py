from __future__ import annotations

import math
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from genii.cli.service import SupervisorService
from genii.cli.unit import supervisor_unit

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = SupervisorService(name="shop", command=("/opt/bin/genii",), config="/srv/shop/genii.toml", stop_seconds=19.5)


def settings(text: str) -> dict[str, str]:
    lines = [line for line in text.splitlines() if line and not line.startswith(("#", "["))]
    return dict(line.split("=", 1) for line in lines)


def test_the_unit_runs_and_updates_the_supervisor_of_the_configuration() -> None:
    found = settings(supervisor_unit(PLAIN))
    assert found["ExecStart"] == "/opt/bin/genii -c /srv/shop/genii.toml up --quiet"
    assert found["ExecReload"] == "/opt/bin/genii -c /srv/shop/genii.toml update"
    assert found["WorkingDirectory"] == "/srv/shop"
    assert found["Type"] == "notify"


def test_programs_survive_the_supervisor_and_have_the_time_to_stop() -> None:
    found = settings(supervisor_unit(PLAIN))
    assert found["KillMode"] == "process"
    assert found["OOMPolicy"] == "continue"
    assert found["Restart"] == "on-failure"
    assert found["TimeoutStopSec"] == "20"
    endless = SupervisorService(name="x", command=("/g",), config="/a/b", stop_seconds=math.inf, open_files=-1)
    found = settings(supervisor_unit(endless))
    assert (found["TimeoutStopSec"], found["LimitNOFILE"]) == ("infinity", "infinity")


def test_a_user_is_named_only_if_it_is_not_root() -> None:
    assert "User" not in settings(supervisor_unit(PLAIN))
    service = SupervisorService(name="x", command=("/g",), config="/a/b", user="ann")
    assert settings(supervisor_unit(service))["User"] == "ann"


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed")
    folder = tmp_path / "100% my $HOME d'or"
    folder.mkdir()
    service = SupervisorService(name="x", command=(sys.executable, "-m", "genii"), config=str(folder / "genii.toml"))
    path = tmp_path / "genii-test.service"
    path.write_text(supervisor_unit(service))
    done = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True, timeout=60)
    assert "genii-test.service" not in done.stderr
