"""Bootstrap for real: this machine's Python without a network, and a bare Debian that has no Python at all."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from tests.debian import install_packages

from genii.errors import UsageError
from genii.fleet.bootstrap import bootstrap
from genii.fleet.interpreter import INTERPRETER, Interpreter
from genii.fleet.local import LocalConnection, LocalTransport
from genii.fleet.remote import Settings
from genii.fleet.transport import Host
from genii.fleet.verbs import AsyncRemote
from genii.fleet.wheelhouse import Wheelhouse, digest
from genii.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from genii.fleet.transport import Connection, RemoteProcess


@pytest.fixture
def house() -> Iterator[Wheelhouse]:
    made = Wheelhouse()
    yield made
    made.close()


def own(house: Wheelhouse) -> Path:
    """The wheels for this machine's own Python."""
    found = subprocess.run(["sh", "-c", INTERPRETER.script], capture_output=True, timeout=60, check=True).stdout
    interpreter = INTERPRETER.read(found)
    ours = Interpreter(sys.executable, sys.version_info[:2], interpreter.machine, interpreter.libc)
    return house.folder_for(ours)


def test_the_same_wheels_have_the_same_fingerprint(house: Wheelhouse) -> None:
    other = Wheelhouse()
    try:
        first, second = own(house), own(other)
        assert digest(first) == digest(second)
        names = sorted(path.name.partition("-")[0] for path in first.iterdir())
        assert names == ["cronsim", "genii", "httptools", "msgspec"]
    finally:
        other.close()


def test_wheels_that_were_fetched_elsewhere_are_taken(house: Wheelhouse, tmp_path: Path) -> None:
    given = tmp_path / "wheels"
    shutil.copytree(own(house), given)
    for name in (
        "msgspec-0.1-cp39-cp39-manylinux2014_x86_64.whl",
        "msgspec-9.9-cp311-cp311-win_amd64.whl",
        "notes.txt",
    ):
        (given / name).write_bytes(b"")
    other = Wheelhouse(str(given))
    try:
        assert digest(own(other)) == digest(own(house))
        (missing,) = given.glob("cronsim-*")
        missing.unlink()
        with pytest.raises(UsageError, match=r"has no wheel of cronsim for Python 3\.11, riscv64, musl"):
            other.folder_for(Interpreter("python3", (3, 11), "riscv64", "musl"))
    finally:
        other.close()


def test_a_folder_that_is_not_there_is_told() -> None:
    other = Wheelhouse("/no/such/folder")
    try:
        with pytest.raises(UsageError, match="there is no folder /no/such/folder"):
            own(other)
    finally:
        other.close()


def on(connection: Connection, house: Wheelhouse, place: str, **settings: Any) -> tuple[str, list[bool]]:
    """Bootstrap; return what it says, and what was changed on the way."""
    changed: list[bool] = []

    async def run() -> str:
        remote = AsyncRemote(connection, Settings(**settings), observe=lambda result: changed.append(result.changed))
        try:
            return await bootstrap(remote, house, place)
        finally:
            await connection.close()

    return asyncio.run(run()), changed


def here() -> Connection:
    return asyncio.run(LocalTransport().connect(Host("here")))


def only_our_python(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide other Pythons of this machine: for those wheels would have to be fetched."""
    folder.mkdir()
    for name in ("python3.13", "python3.12", "python3.11"):
        (folder / name).write_text("#!/bin/sh\nexit 1\n")
        (folder / name).chmod(0o755)
    (folder / "python3").symlink_to(getattr(sys, "_base_executable", sys.executable))
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.mark.slow
def test_genii_is_put_where_there_is_a_python_and_no_network(
    house: Wheelhouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_our_python(tmp_path / "bin", monkeypatch)
    place = tmp_path / "it's here"
    said, changed = on(here(), house, str(place))
    assert said.startswith(f"genii {__version__} at {place}/bin/genii")
    assert any(changed)
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    words = [str(place / "bin" / "genii"), "--version"]
    ran = subprocess.run(words, env=environment, cwd="/", capture_output=True, text=True, timeout=50)
    assert (ran.stdout, ran.stderr) == (f"genii {__version__}\n", "")
    (tmp_path / "genii.toml").write_text('[program.web]\ncommand = "sleep 60"\n')
    words = [str(place / "bin" / "genii"), "check"]  # it needs what genii needs
    ran = subprocess.run(words, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=50)
    assert "ok, 1 program" in ran.stdout, ran.stderr

    again, changed = on(here(), house, str(place))
    assert again == said
    assert not any(changed)

    (release,) = place.glob(f"{__version__}-*")
    (release / "complete").unlink()  # as if it had broken off
    on(here(), house, str(place))
    assert (release / "complete").exists()


def test_a_dry_run_leaves_nothing_behind(house: Wheelhouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only_our_python(tmp_path / "bin", monkeypatch)
    _, changed = on(here(), house, str(tmp_path / "place"), dry_run=True)
    assert any(changed)
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]


class Bare(LocalConnection):
    """A directory with a Debian of its own in it, as a host."""

    def __init__(self, root: Path) -> None:
        super().__init__(Host("bare"))
        self._root = root

    async def start(self, command: str, *, terminal: bool = False, no_input: bool = False) -> RemoteProcess:
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        words = ["exec", "chroot", str(self._root), "env", "-i", path, "HOME=/root", "sh", "-c", command]
        return await super().start(shlex.join(words), terminal=terminal, no_input=no_input)


@pytest.fixture(scope="module")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A freshly installed Debian without Python; it takes half a minute to a few, and the network."""
    if not os.environ.get("GENII_BARE"):
        pytest.skip("set GENII_BARE=1 to install a bare Debian into a folder")
    if os.geteuid() != 0:
        pytest.skip("only root can install a Debian into a folder")
    if shutil.which("debootstrap", path=os.environ["PATH"] + ":/usr/sbin") is None:
        install_packages("debootstrap")
    program = shutil.which("debootstrap", path=os.environ["PATH"] + ":/usr/sbin")
    if program is None:
        pytest.skip("debootstrap is not here")
    root = tmp_path_factory.mktemp("debian")
    mirror = _mirror()
    words = [program, "--variant=minbase", "bookworm", str(root), *([mirror] if mirror else [])]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=500)
    if ended.returncode:
        pytest.skip(f"debootstrap does not work here: {ended.stdout[-300:]} {ended.stderr[-300:]}")
    for name in ("etc/apt/apt.conf.d", "etc/apt/sources.list", "etc/apt/sources.list.d", "etc/resolv.conf"):
        _copy(name, root)  # as this machine reaches its packages
    yield root
    shutil.rmtree(root, ignore_errors=True)


def _mirror() -> str:
    """Return where this machine has its packages from."""
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(SITE)"], capture_output=True, text=True, timeout=60
    )
    return next((line for line in listed.stdout.splitlines() if "security" not in line and line), "")


def _copy(name: str, root: Path) -> None:
    source, target = f"/{name}", root / name
    if os.path.isdir(source):
        shutil.copytree(source, target, dirs_exist_ok=True)
    elif os.path.exists(source):
        target.unlink(missing_ok=True)
        shutil.copy(source, target)


@pytest.mark.slow
@pytest.mark.compat
@pytest.mark.timeout(900)
def test_a_bare_debian_gets_python_and_genii(house: Wheelhouse, debian: Path) -> None:
    assert not list(debian.glob("usr/bin/python3*"))
    said, _ = on(Bare(debian), house, "")
    assert said == f"genii {__version__} at /usr/local/bin/genii, Python 3.11"
    words = ["chroot", str(debian), "/usr/local/bin/genii"]
    ran = subprocess.run([*words, "--version"], capture_output=True, text=True, timeout=50)
    assert (ran.stdout, ran.stderr) == (f"genii {__version__}\n", "")
    (debian / "root" / "genii.toml").write_text('[program.web]\ncommand = "sleep 60"\n')
    ran = subprocess.run([*words, "check", "/root/genii.toml"], capture_output=True, text=True, timeout=50)
    assert "ok, 1 program" in ran.stdout, ran.stderr
    again, changed = on(Bare(debian), house, "")
    assert (again, any(changed)) == (said, False)
