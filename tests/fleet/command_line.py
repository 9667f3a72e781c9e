"""Run the command line as users do."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fleet.conftest import Sshd


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Its lines of JSON."""
        return [json.loads(line) for line in self.out.splitlines()]


def words(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "genii", *arguments]


def genii(folder: Path, *arguments: str, given: str | None = None) -> Ended:
    ended = subprocess.run(
        words(*arguments), cwd=folder, input=given, stdin=subprocess.DEVNULL if given is None else None,
        capture_output=True, text=True, timeout=120, errors="replace",
    )  # fmt: skip
    return Ended(ended.returncode, ended.stdout, ended.stderr)


def write_configuration(folder: Path, sshd: Sshd, count: int, more: str = "", **fleet: str | int) -> None:
    """Write a genii.toml whose group ``web`` has so many hosts of the test server."""
    settings = {"ssh_config": str(sshd.folder / "ssh_config"), "connect_timeout": "30s", **fleet}
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    names = ", ".join(f'"{host.name}"' for host in sshd.hosts(count))
    text = "[fleet]\n" + "\n".join(lines) + f"\n[groups]\nweb = [{names}]\n{more}\n"
    (folder / "genii.toml").write_text(text)
