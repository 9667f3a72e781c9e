"""A running ``genii supervisord`` in a folder of its own, with a short path (unix sockets allow no long ones)."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from genii.errors import GeniiError
from genii.supervisord.client import Client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE = 60.0

HEAD = """
[unix_http_server]
file = {here}/s.sock
[supervisord]
logfile = {here}/main.log
pidfile = {here}/s.pid
childlogdir = {here}/logs
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl = unix://{here}/s.sock
"""


class Daemon:
    """One supervisord, ours unless another command is given."""

    def __init__(self, folder: Path, command: list[str] | None = None) -> None:
        self.folder = folder
        self.config = folder / "s.conf"
        self.socket = folder / "s.sock"
        self._command = command or [sys.executable, "-m", "genii", "supervisord"]
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "logs").mkdir(exist_ok=True)

    def write(self, *texts: str) -> None:
        """Write the configuration."""
        parts = [HEAD, *map(textwrap.dedent, texts)]
        self.config.write_text("".join(part.format(here=self.folder) for part in parts))

    def start(self, *texts: str, **environment: str) -> Daemon:
        """Start it, with more environment variables, and wait until it answers."""
        self.write(*texts)
        with open(self.folder / "out.txt", "ab") as out:
            self._process = subprocess.Popen(
                [*self._command, "-n", "-c", str(self.config)], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                env={**os.environ, **environment},
            )  # fmt: skip
        self.eventually(self.socket.exists)
        self.eventually(self.answers)
        return self

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def answers(self) -> bool:
        try:
            return bool(self.call("getState")["statecode"] == 1)
        except (OSError, GeniiError):
            return False

    def eventually(self, condition: Callable[[], object]) -> None:
        """Wait until something becomes true outside of this process."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, (self.folder / "out.txt").read_text()
            assert self._process is None or self._process.poll() is None, (self.folder / "out.txt").read_text()
            time.sleep(0.02)

    def call(self, method: str, *params: Any) -> Any:
        """Call a method of the namespace ``supervisor``."""
        client = Client(f"unix://{self.socket}")
        try:
            return client.call(f"supervisor.{method}", *params)
        finally:
            client.close()

    def state(self, name: str) -> str:
        return str(self.call("getProcessInfo", name)["statename"])

    def log(self) -> str:
        return (self.folder / "main.log").read_text()

    def wait(self) -> int:
        """Wait for its end; return the exit code."""
        assert self._process is not None
        status = self._process.wait(PATIENCE)
        self._process = None
        return status

    def stop(self) -> None:
        """End it, by force if need be."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


@pytest.fixture
def folder() -> Iterator[Path]:
    path = tempfile.mkdtemp(prefix="gsd-")
    os.chmod(path, 0o755)
    yield Path(path)
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def daemon(folder: Path) -> Iterator[Daemon]:
    found = Daemon(folder)
    yield found
    found.stop()
