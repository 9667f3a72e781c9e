"""``genii deploy``, ``rollback`` and ``releases``, as people type them."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from tests.deploy.harness import Site
from tests.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

FILE = """\
[fleet]
transport = "local"

[deploy.site]
repository = "repository"
branch = "main"
to = "{here}/hosts/{host}/site"
hosts = ["h1", "h2"]
install = "echo building; echo $TOKEN"
secrets = ["TOKEN"]
"""


class Commands(Site):
    """Runs commands beside a genii.toml."""

    def __init__(self, folder: Path, more: str = "") -> None:
        super().__init__(folder, ("h1", "h2"))
        (folder / "genii.toml").write_text(FILE + more)

    def start(self, *words: str) -> subprocess.Popen[str]:
        environment = {**os.environ, "TOKEN": "hunter2-hunter2", "USER": "alice", "NO_COLOR": "1"}
        return subprocess.Popen(
            [sys.executable, "-m", "genii", *words], cwd=self.folder, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def genii(self, *words: str, status: int = 0) -> tuple[str, str]:
        process = self.start(*words)
        out, said = process.communicate(timeout=120)
        assert process.returncode == status, (out, said)
        assert "Traceback" not in said
        assert "hunter2" not in out + said
        return out, said


def test_deploys_shows_and_goes_back(tmp_path: Path) -> None:
    site = Commands(tmp_path)
    out, _ = site.genii("deploy", "check")
    assert out == "h1  ok\nh2  ok\n"
    out, _ = site.genii("deploy", "--dry-run", "-v")
    assert "h1 (4 round trips)" in out
    assert "prepare  install        echo building" in out
    assert not site.root().exists()
    out, said = site.genii("deploy", "-v")
    assert out.startswith("h1: good\nh2: good\n")
    assert "h1 install: [secret]" in said
    site.commit("v2")
    result = json.loads(site.genii("deploy", "site", "--only", "h2", "--json", "-q")[0])
    assert (result["status"], result["hosts"]) == ("good", {"h2": "good"})
    assert [site.live(host) for host in ("h1", "h2")] == ["v1", "v2"]
    out, _ = site.genii("rollback", "--only", "h2")
    assert "h2: good" in out
    assert site.live("h2") == "v1"
    shown = json.loads(site.genii("releases", "--json")[0])
    assert [row["state"] for row in shown["h2"]["releases"]] == ["rolled-back", "good"]
    assert shown["h1"]["releases"][0]["by"] == "alice"
    out, _ = site.genii("releases", "--log")
    assert [line.split()[0] for line in out.splitlines()] == ["NUMBER", "3", "2", "1"]
    out, _ = site.genii("releases", "--log", "1")
    assert "h1 install: building" in out
    out, _ = site.genii("deploy", "unlock")
    assert out == "h1  was not locked\nh2  was not locked\n"


def test_mistakes_are_told(tmp_path: Path) -> None:
    site = Commands(tmp_path)
    assert "did you mean 'site'?" in site.genii("deploy", "sit", status=2)[1]
    assert "did you mean 'main'" in site.genii("deploy", "--branch", "mian", status=1)[1]
    assert "leaves no host" in site.genii("deploy", "--only", "h9", status=2)[1]
    assert "no deployment 7" in site.genii("releases", "--log", "7", status=2)[1]
    assert "no good release" in site.genii("rollback", status=1)[0]
    (tmp_path / "genii.toml").write_text(FILE.replace('"TOKEN"', '"NOT_THERE_AT_ALL"'))
    assert "set the variable NOT_THERE_AT_ALL" in site.genii("deploy", status=2)[1]
    (tmp_path / "genii.toml").write_text(FILE + 'chekc = "x"\n')
    assert "genii.toml:11:1: chekc: unknown key (did you mean 'check'?)" in site.genii("deploy", status=2)[1]
    (tmp_path / "genii.toml").write_text("")
    assert "has no [deploy.NAME]" in site.genii("deploy", status=2)[1]


def test_an_interrupted_deployment_takes_back_and_is_recorded(tmp_path: Path) -> None:
    site = Commands(tmp_path, f'check = "touch {tmp_path}/$DEPLOY_HOST; sleep 1000"\n')
    process = site.start("deploy")
    for host in ("h1", "h2"):
        wait_until((tmp_path / host).exists)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "taking back what was begun" in said
    assert site.releases("h1") == []
    (row,) = json.loads(site.genii("releases", "--log", "--json")[0])
    assert (row["status"], row["hosts"]) == ("interrupted", {"h1": "unchanged", "h2": "unchanged"})


def test_a_deployment_goes_on_when_nobody_reads(tmp_path: Path) -> None:
    site = Commands(tmp_path)
    process = site.start("deploy", "-v")
    assert process.stderr is not None
    process.stderr.close()
    out, _ = process.communicate(timeout=120)
    assert (process.returncode, out.splitlines()[:2]) == (0, ["h1: good", "h2: good"])
    assert [site.live(host) for host in ("h1", "h2")] == ["v1", "v1"]


def test_a_record_that_fails_on_the_way_is_told(tmp_path: Path) -> None:
    site = Commands(
        tmp_path, f'check = "touch {tmp_path}/$DEPLOY_HOST; while [ ! -e {tmp_path}/go ]; do sleep 0.1; done"\n'
    )
    process = site.start("deploy")
    for host in ("h1", "h2"):
        wait_until((tmp_path / host).exists)
    with closing(sqlite3.connect(tmp_path / ".genii/deploy.sqlite")) as base:
        base.execute("DROP TABLE lines")
    (tmp_path / "go").touch()
    out, said = process.communicate(timeout=120)
    assert (process.returncode, out.splitlines()[:2]) == (0, ["h1: good", "h2: good"])
    assert "warning: the record" in said


def test_a_failure_is_one_even_when_nobody_reads(tmp_path: Path) -> None:
    site = Commands(tmp_path, 'check = "echo no; exit 3"\n')
    process = site.start("deploy", "-v")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    process.stderr.close()
    assert process.wait(120) == 1
