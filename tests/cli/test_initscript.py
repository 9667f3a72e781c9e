from __future__ import annotations

import os
import pwd
import subprocess
from typing import TYPE_CHECKING

import pytest

from genii.cli.initscript import supervisor_script
from genii.cli.service import SupervisorService

if TYPE_CHECKING:
    from pathlib import Path


def write(folder: Path, *, genii: str = "exit 0", user: str = "") -> Path:
    """Write the script for something in genii's place, and a configuration; return its path."""
    folder.mkdir(exist_ok=True)
    (folder / "genii.toml").write_text("")
    command = folder / "genii"
    command.write_text(f"#!/bin/sh\n{genii}\n")
    command.chmod(0o755)
    service = SupervisorService(name="shop", command=(str(command),), config=str(folder / "genii.toml"), user=user)
    path = folder / "init"
    path.write_text(supervisor_script(service))
    return path


def run(script: Path, *words: str) -> tuple[int, str, str]:
    done = subprocess.run(["sh", script, *words], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("folder", ["plain", "with blank", "with'quote", "with$dollar`tick`"])
def test_each_action_is_a_command_of_genii(tmp_path: Path, folder: str) -> None:
    script = write(tmp_path / folder, genii='echo "$1 $2 $3 $4"')
    config = tmp_path / folder / "genii.toml"
    for action, commands in {
        "start": ["up -d"],
        "stop": ["down "],
        "restart": ["down ", "up -d"],
        "try-restart": ["down ", "up -d"],
        "reload": ["update "],
        "force-reload": ["update "],
        "status": ["status "],
    }.items():
        assert run(script, action) == (0, "".join(f"-c {config} {words}\n" for words in commands), "")


@pytest.mark.parametrize(
    ("action", "code", "expected"),
    [("start", 0, 0), ("start", 1, 1), ("start", 2, 6), ("status", 0, 0), ("status", 3, 3), ("reload", 3, 7),
     ("reload", 2, 2), ("stop", 124, 124), ("restart", 124, 124), ("try-restart", 3, 0)],
)  # fmt: skip
def test_exit_codes_are_those_of_lsb(tmp_path: Path, action: str, code: int, expected: int) -> None:
    assert run(write(tmp_path, genii=f"exit {code}"), action)[0] == expected


def test_what_it_does_not_know_is_refused(tmp_path: Path) -> None:
    script = write(tmp_path)
    assert run(script, "explode")[0] == 3
    assert run(script)[0] == 2
    assert "start|stop|restart" in run(script)[2]


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    script = write(tmp_path)
    (tmp_path / "genii.toml").unlink()
    assert (run(script, "start")[0], run(script, "status")[0]) == (6, 4)
    assert str(tmp_path / "genii.toml") in run(script, "start")[2]
    (tmp_path / "genii").unlink()
    assert (run(script, "start")[0], run(script, "status")[0], run(script, "stop")[0]) == (5, 4, 0)


def test_it_becomes_the_user_whose_file_it_is(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    user = pwd.getpwuid(65534).pw_name
    (tmp_path / "genii.toml").write_text("")
    command = ("/bin/sh", "-c", 'echo "$(id -un) $*"', "genii")
    service = SupervisorService(name="shop", command=command, config=str(tmp_path / "genii.toml"), user=user)
    (tmp_path / "init").write_text(supervisor_script(service))
    assert run(tmp_path / "init", "status") == (0, f"{user} -c {tmp_path}/genii.toml status\n", "")


def test_the_header_says_when_it_is_started(tmp_path: Path) -> None:
    lines = write(tmp_path).read_text().splitlines()
    assert lines[0] == "#!/bin/sh"
    assert "# Provides:          shop" in lines
    assert "# Default-Start:     2 3 4 5" in lines
    assert lines.index("### BEGIN INIT INFO") < lines.index("### END INIT INFO")
