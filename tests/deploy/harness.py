"""A git repository, some hosts that are directories of this machine, and deployments from the one to the others."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.debian import install_packages

from genii.config.deploy import Deployment, Origin
from genii.deploy.deployer import Deployer, Identity
from genii.deploy.hosts import places
from genii.deploy.sources import Source
from genii.fleet.inventory import Inventory
from genii.fleet.local import LocalTransport

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from genii.deploy.deployer import Result
    from genii.deploy.session import Event
    from genii.fleet.transport import Transport


def git(folder: Path, *words: str) -> str:
    names = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org", "-c", "commit.gpgsign=false")
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    command = ["git", "-C", str(folder), *names, *words]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=50)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def need_git() -> None:
    """Install git where it is missing and we may; else leave the test out."""
    if shutil.which("git") is None:
        install_packages("git")
    if shutil.which("git") is None:
        pytest.skip("git is not here; install the Debian package git")


def make_repository(folder: Path) -> Path:
    need_git()
    folder.mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main")
    (folder / "lib").mkdir()
    for number in range(5):
        (folder / "lib" / f"part{number}.py").write_text(f"part = {number}\n")
    commit(folder, "v1")
    return folder


def commit(folder: Path, version: str) -> str:
    (folder / "VERSION").write_text(f"{version}\n")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", version)
    return git(folder, "rev-parse", "HEAD")


class Site:
    """A deployment and its hosts; those without a transport of their own are this machine."""

    def __init__(self, folder: Path, hosts: Sequence[str] = ("h1",)) -> None:
        self.folder = folder
        self.repository = make_repository(folder / "repository")
        self.events: list[Event] = []
        self.said: list[str] = []
        self.settings = Deployment(
            name="site",
            origin=Origin("git", str(self.repository)),
            to=f"{folder}/hosts/{{host}}/site",
            folder=str(folder),
            hosts=tuple(hosts),
            timeout=50.0,
        )

    def set(self, **changes: Any) -> None:
        self.settings = msgspec.structs.replace(self.settings, **changes)

    def commit(self, version: str) -> str:
        return commit(self.repository, version)

    def open_transport(self) -> Transport:
        return LocalTransport()

    def deployer(self, transport: Transport | None = None, **options: Any) -> Deployer:
        hosts = places(self.settings, Inventory(), options.pop("only", ()))
        return Deployer(
            self.settings, hosts, transport or LocalTransport(), Identity("somebody", "control"),
            notify=self.events.append, say=self.said.append, **options,
        )  # fmt: skip

    def source(self, branch: str = "") -> Source:
        return Source(self.settings.origin, str(self.folder / "state"), branch)

    def deploy(self, branch: str = "", **options: Any) -> Result:
        return self.run(lambda deployer: deployer.deploy(self.source(branch)), options)

    def rollback(self, wanted: str = "", **options: Any) -> Result:
        return self.run(lambda deployer: deployer.rollback(wanted), options)

    def run(self, order: Callable[[Deployer], Awaitable[Result]], options: dict[str, Any]) -> Result:
        async def carried_out() -> Result:
            transport = self.open_transport()
            try:
                return await order(self.deployer(transport, **options))
            finally:
                await transport.close()

        return asyncio.run(carried_out())

    # -- what is on a host ---------------------------------------------------------------------------------------------

    def root(self, host: str = "h1") -> Path:
        return Path(self.settings.at(host).to)

    def live(self, host: str = "h1") -> str:
        return (self.root(host) / "current" / "VERSION").read_text().strip()

    def releases(self, host: str = "h1") -> list[str]:
        return sorted(path.name for path in (self.root(host) / "releases").iterdir())

    def share(self, path: str, text: str, *hosts: str) -> None:
        for host in hosts or self.settings.hosts:
            file = self.root(host) / "shared" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    def log(self, host: str = "h1") -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.root(host) / "shared/log/deploy.jsonl").read_text().splitlines()]

    def output(self, step: str) -> str:
        return "".join(event.text for event in self.events if event.step == step and event.kind == "output")


def all_files(folder: Path) -> dict[str, str]:
    """Return the contents of all files of a release, but for what a deployment adds."""
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ("REVISION", "REVISION_TIME") and ".git" not in path.parts
    }
