"""A host of the real Capistrano is taken over, and given back."""

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from tests.deploy.test_ssh import Remote
from tests.fleet.conftest import sshd, sshd_program, start_server

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.fleet.conftest import Sshd

__all__ = ["sshd", "sshd_program", "start_server"]

pytestmark = [pytest.mark.compat, pytest.mark.slow, pytest.mark.timeout(600)]

CAPFILE = """
require "capistrano/setup"
require "capistrano/deploy"
require "capistrano/scm/git"
install_plugin Capistrano::SCM::Git
"""
SETTINGS = """
set :application, "site"
set :repo_url, "file://{repository}"
set :branch, "main"
set :deploy_to, "{root}"
set :linked_dirs, %w[log]
set :linked_files, %w[config/settings.env]
set :keep_releases, 3
set :tmp_dir, "{folder}"
set :ssh_options, {{ keys: ["{key}"], keys_only: true, auth_methods: %w(publickey), config: false,
                     user_known_hosts_file: "{known_hosts}", forward_agent: false }}
"""


class Capistrano:
    """The command cap, for the one host of a site."""

    def __init__(self, program: str, site: Remote, sshd: Sshd) -> None:
        self.program = program
        self.folder = site.folder / "capistrano"
        (self.folder / "config" / "deploy").mkdir(parents=True)
        (self.folder / "Capfile").write_text(CAPFILE)
        host = site.settings.hosts[0]
        text = SETTINGS.format(
            repository=site.repository, root=site.root(host), folder=site.folder, key=sshd.folder / "user_key",
            known_hosts=sshd.folder / "known_hosts",
        )  # fmt: skip
        (self.folder / "config" / "deploy.rb").write_text(text)
        server = f'server "{host}", user: "{sshd.user}", port: {sshd.port}, roles: %w[app]\n'
        (self.folder / "config" / "deploy" / "production.rb").write_text(server)

    def __call__(self, task: str) -> None:
        environment = {**os.environ, "USER": "alice", "HOME": str(self.folder), "LANG": "C.UTF-8"}
        ended = subprocess.run(
            [self.program, "production", task], cwd=self.folder, env=environment, capture_output=True, text=True,
            timeout=200,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.fixture
def site(tmp_path: Path, sshd: Sshd) -> Remote:
    site = Remote(tmp_path, sshd, count=1)
    site.set(linked_dirs=("log",), linked_files=("config/settings.env",), keep=3)
    site.share("config/settings.env", "a=1\n")
    return site


@pytest.fixture
def cap(debian: Callable[[str, str], str], site: Remote, sshd: Sshd) -> Capistrano:
    return Capistrano(debian("cap", "capistrano"), site, sshd)


def next_second(site: Remote) -> None:
    """Wait until a release that Capistrano names by the clock is later than those that there are."""
    newest = max(site.releases(site.settings.hosts[0]))
    while time.strftime("%Y%m%d%H%M%S", time.gmtime()) <= newest:
        time.sleep(0.05)


def test_a_host_is_taken_over_and_given_back(site: Remote, cap: Capistrano) -> None:
    (host,) = site.settings.hosts
    cap("deploy")
    assert site.live(host) == "v1"

    site.commit("v2")  # taken over
    result = site.deploy()
    assert result.status == "good", result
    assert site.live(host) == "v2"
    assert (site.root(host) / "current/config/settings.env").read_text() == "a=1\n"
    assert site.rollback().status == "good"
    assert site.live(host) == "v1"
    assert site.rollback(result.release).status == "good"
    assert site.live(host) == "v2"

    site.commit("v3")  # given back
    next_second(site)
    cap("deploy")
    assert site.live(host) == "v3"
    cap("deploy:rollback")
    assert site.live(host) == "v2"

    site.commit("v4")  # and taken over again
    assert site.deploy().status == "good"
    assert site.live(host) == "v4"
    assert site.rollback().status == "good"
    assert site.live(host) == "v2"
    log = (site.root(host) / "revisions.log").read_text().splitlines()
    assert [line.split()[-1] for line in log if line.startswith("Branch")] == ["alice", "somebody", "alice", "somebody"]
