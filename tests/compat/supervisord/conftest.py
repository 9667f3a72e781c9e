"""The real supervisor package, and Ansible, in virtual environments of their own, made once for all runs."""

from __future__ import annotations

import fcntl
import subprocess
import sys
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.supervisord.conftest import daemon, folder

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ansible", "daemon", "folder", "peer"]

PACKAGES = ("supervisor==4.3.0", "superlance==2.0.0", "setuptools<81")
ANSIBLE = ("ansible-core==2.19.4",)
COLLECTIONS = "ansible==12.3.0"
MODULE = "ansible_collections/community/general/plugins/modules/supervisorctl.py"


@contextmanager
def made_once(pytestconfig: pytest.Config, name: str) -> Iterator[Path]:
    """Give the folder to one process at a time; who finds no file ``ready`` in it fills it and makes that."""
    assert pytestconfig.cache is not None
    place = Path(pytestconfig.cache.mkdir(name))
    with open(place / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield place


def install(place: Path, *packages: str) -> None:
    run(sys.executable, "-m", "venv", str(place / "venv"))
    run(str(place / "venv/bin/pip"), "install", "-q", *packages)


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if done.returncode:
        pytest.skip(f"{' '.join(command[-2:])} can't be installed here: {done.stderr[-300:]}")


@pytest.fixture(scope="session")
def peer(pytestconfig: pytest.Config) -> Path:
    """The folder of the real package's commands."""
    with made_once(pytestconfig, "supervisor-4.3.0") as place:
        if not (place / "ready").exists():
            install(place, *PACKAGES)
            (place / "ready").touch()
    return place / "venv/bin"


@pytest.fixture(scope="session")
def ansible(pytestconfig: pytest.Config) -> Path:
    """The folder of Ansible's commands; beside it, in ``library``, its module for supervisorctl.

    The module comes with 85 collections in one package, of which nothing else is kept.
    """
    with made_once(pytestconfig, "ansible-12.3.0") as place:
        if not (place / "ready").exists():
            install(place, *ANSIBLE)
            run(str(place / "venv/bin/pip"), "download", "-q", "--no-deps", "-d", str(place), COLLECTIONS)
            (wheel,) = place.glob("ansible-*.whl")
            (place / "library").mkdir(exist_ok=True)
            with zipfile.ZipFile(wheel) as archive:
                (place / "library/supervisorctl.py").write_bytes(archive.read(MODULE))
            wheel.unlink()
            (place / "ready").touch()
    return place / "venv/bin"
