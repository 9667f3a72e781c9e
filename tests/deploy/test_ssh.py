"""Deployments over a real OpenSSH server, by both SSH transports."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from tests.deploy.harness import Site

from genii.config.deploy import Health
from genii.fleet.ways import open_transport

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fleet.conftest import Sshd

    from genii.fleet.transport import Transport

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CUT = """
process=$$
while :; do
  case $(cat /proc/$process/comm) in sshd*) break ;; esac
  read -r a b c process rest </proc/$process/stat
done
kill -9 $process; sleep 1000"""
"""Ends the connection that it comes by, from the host's side."""


class Remote(Site):
    """A site whose hosts are reached over SSH."""

    def __init__(self, folder: Path, sshd: Sshd, transport: str = "asyncssh", count: int = 2) -> None:
        self.fleet = sshd.configured(transport=transport)
        super().__init__(folder, [host.name for host in sshd.hosts(count)])

    def open_transport(self) -> Transport:
        return open_transport(self.fleet)


@pytest.fixture(params=["asyncssh", "openssh"])
def remote(request: pytest.FixtureRequest, tmp_path: Path, sshd: Sshd) -> Remote:
    return Remote(tmp_path, sshd, request.param)


def versions(site: Site) -> list[str]:
    return [site.live(host) for host in site.settings.hosts]


def test_deploys_and_rolls_back(remote: Remote) -> None:
    remote.set(install=("cp VERSION installed",), check=("cmp VERSION installed",))
    assert remote.deploy().status == "good"
    (remote.repository / "large").write_bytes(os.urandom(3 << 20))
    remote.commit("v2")
    assert remote.deploy().status == "good"
    assert versions(remote) == ["v2", "v2"]
    for host in remote.settings.hosts:
        large = remote.root(host) / "current" / "large"
        assert large.read_bytes() == (remote.repository / "large").read_bytes()
    assert remote.rollback().status == "good"
    assert versions(remote) == ["v1", "v1"]


def test_a_host_that_dies_between_switch_and_restart_comes_back_to_the_old_release(tmp_path: Path, sshd: Sshd) -> None:
    site = Remote(tmp_path, sshd)
    site.set(steps={"restart": ("cat VERSION >$DEPLOY_TO/running",)})
    assert site.deploy().status == "good"
    site.commit("v2")
    second = site.settings.hosts[1]
    dying = f"[ $DEPLOY_HOST != {second} ] || [ $RELEASE = $PREVIOUS_RELEASE ] || {{ {CUT}\n}}"
    site.set(steps={"restart": (dying, "cat VERSION >$DEPLOY_TO/running")})
    result = site.deploy()
    assert result.status == "rolled back"
    assert result.hosts[second].startswith("failed, rolled back: ")
    assert versions(site) == ["v1", "v1"]
    assert [(site.root(host) / "running").read_text() for host in site.settings.hosts] == ["v1\n", "v1\n"]


def test_a_connection_that_is_cut_leaves_no_lock_and_nothing_that_runs(tmp_path: Path, sshd: Sshd) -> None:
    site = Remote(tmp_path, sshd, count=1)
    site.set(check=(f"echo $$ >{tmp_path}/pid; {CUT}",))
    result = site.deploy()
    assert result.status == "failed"
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
    site.set(check=())
    assert site.deploy(lock_wait=30.0).status == "good"
    assert len(site.releases(site.settings.hosts[0])) == 1


def test_one_host_that_is_not_reached_stops_all_before_anything(tmp_path: Path, sshd: Sshd) -> None:
    site = Remote(tmp_path, sshd)
    site.set(hosts=(*site.settings.hosts, "127.7.9.9:1"))
    result = site.deploy()
    assert result.status == "failed"
    assert "refused" in result.hosts["127.7.9.9:1"]
    assert [site.releases(host) for host in site.settings.hosts[:2]] == [[], []]
    site.set(min_ok=-60)
    result = site.deploy()
    assert (result.status, result.message) == ("good", "left behind: 127.7.9.9:1")


def test_an_unhealthy_release_goes_back_everywhere(remote: Remote) -> None:
    remote.deploy()
    remote.commit("v2")
    remote.set(health=Health(command="grep -q v1 VERSION", timeout=1.0))
    assert remote.deploy().status == "rolled back"
    assert versions(remote) == ["v1", "v1"]
