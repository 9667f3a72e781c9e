"""``genii task`` over SSH, as people run it: the example of the fleet on a group of hosts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.fleet.conftest import Sshd

EXAMPLE = Path(__file__).parents[2] / "examples" / "fleet" / "tasks.py"


@pytest.fixture
def site(tmp_path: Path, sshd: Sshd) -> Path:
    """A folder with a configuration: a group of hosts, and one that refuses."""
    hosts = [host.name for host in sshd.hosts(5)]
    (tmp_path / "genii.toml").write_text(
        f'[fleet]\nssh_config = "{sshd.settings.ssh_config}"\n'
        f'[hosts]\nrefusing = {{ address = "127.0.0.1", port = 1 }}\n'
        f"[groups]\nweb = {json.dumps(hosts[2:])}\nstaging = {json.dumps(hosts[:3])}\n"
    )
    return tmp_path


def genii(site: Path, *words: str) -> subprocess.CompletedProcess[str]:
    words = (sys.executable, "-m", "genii", "task", "-f", str(EXAMPLE), *words)
    return subprocess.run(words, cwd=site, capture_output=True, text=True, timeout=55)


@pytest.mark.parametrize("transport", ["asyncssh", "openssh"])
def test_uptime_on_a_group(site: Path, transport: str) -> None:
    found = genii(site, "uptime", "--transport", transport)
    assert found.returncode == 0, found.stderr
    lines = found.stdout.splitlines()
    assert sorted(line.partition(" | ")[0] for line in lines) == ["127.7.0.3", "127.7.0.4", "127.7.0.5"]
    assert all("load average" in line for line in lines)


def test_a_host_that_refuses_stops_no_other(site: Path) -> None:
    found = genii(site, "report", "--on", "web,refusing", "--json")
    assert found.returncode == 1, found.stderr
    rows = {row["host"]: row for row in json.loads(found.stdout)}
    assert [row["ok"] for row in rows.values()] == [True, True, True, False]
    assert "refused" in rows["refusing"]["error"]["message"]
    assert "% used" in rows["127.7.0.4"]["value"]


def test_a_task_for_several_groups_does_each_host_once(site: Path) -> None:
    path = site / "tasks.py"
    path.write_text("import genii\n@genii.task(hosts=['staging', 'web'], limit=1)\ndef name(host):\n    print(host)\n")
    found = genii(site, "-f", str(path), "name")
    assert found.returncode == 0, found.stderr
    names = [line.partition(" | ")[0] for line in found.stdout.splitlines()]
    assert names == ["127.7.0.1", "127.7.0.2", "127.7.0.3", "127.7.0.4", "127.7.0.5"]


def test_a_group_that_is_not_there_is_told(site: Path) -> None:
    found = genii(site, "uptime", "--on", "@wbe")
    assert found.returncode == 2
    assert "wbe" in found.stderr
    assert "Traceback" not in found.stderr
