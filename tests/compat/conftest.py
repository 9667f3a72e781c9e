from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.debian import install_packages
from tests.ports import free_port, wait_for_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def debian(install: Callable[..., None]) -> Callable[[str, str], str]:
    """Return the path of a command, installing its Debian package when it is missing and we may."""

    def find(command: str, package: str) -> str:
        path = shutil.which(command, path=os.environ["PATH"] + ":/usr/sbin")
        if path is None:
            install(package)
            path = shutil.which(command, path=os.environ["PATH"] + ":/usr/sbin")
        if path is None:
            pytest.skip(f"{command} is not here; install the Debian package {package}")
        return path

    return find


@pytest.fixture(scope="session")
def install() -> Callable[..., None]:
    """Install Debian packages, if we may."""
    return install_packages


@pytest.fixture
def gearmand(debian: Callable[[str, str], str], tmp_path: Path) -> Iterator[Callable[..., int]]:
    """Start Debian's gearmand with more options, as often as it is called; return its port."""
    program = debian("gearmand", "gearman-job-server")
    running: list[subprocess.Popen[bytes]] = []

    def start(*options: str) -> int:
        for _ in range(5):  # somebody else may take the free port first
            port = free_port()
            words = [program, "-L", "127.0.0.1", "-p", str(port), "-l", "none", f"--pid-file={tmp_path}/gearmand.pid"]
            process = subprocess.Popen([*words, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            running.append(process)
            if wait_for_port(port, process):
                return port
        raise RuntimeError("gearmand does not start")

    yield start
    for process in running:
        process.kill()
        process.wait()


SERVE = (
    "import argparse, sys; from genii.cli import jobs_serve; parser = argparse.ArgumentParser();"
    "jobs_serve.configure(parser); sys.exit(jobs_serve.run(parser.parse_args()))"
)


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[int]:
    """Run our job server as users do, with its journal; return its port."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-c", SERVE, "-p", str(port), "--journal", str(tmp_path / "journal")])
    assert wait_for_port(port, process)
    yield port
    process.terminate()
    assert process.wait(20) == 0
