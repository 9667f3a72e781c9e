"""A real Salt master with two minions, all in a folder of their own."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MINIONS", "SaltSite", "install_salt", "run_salt"]

MINIONS = ("one", "two")
REQUIREMENTS = Path(__file__).with_name("salt_requirements.txt")
MASTER = """\
root_dir: {folder}/master
sock_dir: {folder}/m
interface: 127.0.0.1
publish_port: {publish}
ret_port: {answer}
user: {user}
auto_accept: true
worker_threads: 2
log_level: warning
log_file: log
"""
MINION = """\
root_dir: {folder}/{name}
sock_dir: {folder}/s
id: {name}
master: 127.0.0.1
publish_port: {publish}
master_port: {answer}
user: {user}
acceptance_wait_time: 1
log_level: warning
log_file: log
"""


def install_salt(folder: Path) -> Path:
    """Return the folder of Salt's programs: those that are here, or those of a virtual environment made for them."""
    found = shutil.which("salt-master")
    if found is not None and shutil.which("salt-minion") is not None:
        return Path(found).parent
    subprocess.run([sys.executable, "-m", "venv", folder], check=True, timeout=300)
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    python = str(folder / "bin" / "python")
    words: list[str | Path] = [uv, "pip", "install", "--python", python] if uv else [python, "-m", "pip", "install"]
    words += ["-q", "--no-deps", "-r", str(REQUIREMENTS)]
    try:
        ended = subprocess.run(words, capture_output=True, text=True, timeout=600)
    except subprocess.TimeoutExpired:
        pytest.skip("Salt can't be installed from the package index within ten minutes")
    if ended.returncode:
        pytest.skip(f"Salt can't be installed from the package index: {ended.stderr.strip()[-500:]}")
    return folder / "bin"


class SaltSite:
    """A master and its minions, as long as they run."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self.programs = programs
        self.folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def master_folder(self) -> Path:
        """The folder of the master's configuration."""
        return self.folder / "master"

    def start(self) -> None:
        """Start all, and wait until the minions answer."""
        ports = {"publish": free_port(), "answer": free_port(), "user": pwd.getpwuid(os.geteuid()).pw_name}
        for name, kind, text in (("master", "master", MASTER), *((name, "minion", MINION) for name in MINIONS)):
            (self.folder / name).mkdir()
            (self.folder / name / kind).write_text(text.format(folder=self.folder, name=name, **ports))
            self._run(name, f"salt-{kind}")
        deadline = time.monotonic() + 300
        while not self.answering():
            if time.monotonic() > deadline:
                logs = "\n".join(path.read_text()[-3000:] for path in self.folder.glob("*.log"))
                raise RuntimeError(f"Salt's minions do not answer: {logs}")

    def answering(self) -> bool:
        """Ask by Salt's own command whether all minions are there."""
        words = [
            "-c",
            str(self.master_folder),
            "--static",
            "--out=json",
            "-t",
            "5",
            "-L",
            ",".join(MINIONS),
            "test.ping",
        ]
        with suppress(ValueError, subprocess.TimeoutExpired):  # of a machine that is very busy
            asked = subprocess.run([self.programs / "salt", *words], capture_output=True, text=True, timeout=60)
            return bool(json.loads(asked.stdout) == dict.fromkeys(MINIONS, True))
        return False

    def _run(self, name: str, program: str) -> None:
        with (self.folder / f"{name}.log").open("wb") as log:
            self._running[name] = subprocess.Popen(
                [self.programs / program, "-c", self.folder / name],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def stop(self) -> None:
        """End all of it, with all that they started."""
        for process in self._running.values():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def run_salt(folder: Path) -> Iterator[SaltSite]:
    """Install Salt if it is not here, and run it."""
    programs = install_salt(folder / "salt")
    with tempfile.TemporaryDirectory(prefix="genii-salt-") as short:  # the paths of its sockets have to be short
        site = SaltSite(programs, Path(short))
        try:
            site.start()
            yield site
        finally:
            site.stop()
