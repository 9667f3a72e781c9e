"""Settings on their way from the process that reads the configuration to the supervisor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from genii.config.load import load
from genii.control.loader import decode, load_encoded, prepare
from genii.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = (
    '[program.web]\ncommand = "serve"\n[program.jobs]\ncommand = "work"\nstartsecs = "3s"\nbackoff = { cap = "5s" }\n'
)


def test_the_supervisor_gets_what_was_read(tmp_path: Path) -> None:
    path = tmp_path / "genii.toml"
    path.write_text(PLAIN)
    prepare()
    assert decode(load_encoded(str(path))) == load(str(path))


def test_what_a_program_does_not_say_is_not_written_down(tmp_path: Path) -> None:
    path = tmp_path / "genii.toml"
    path.write_text(PLAIN)
    programs = msgspec.json.decode(load_encoded(str(path))[1:])["programs"]
    assert programs["web"].keys() == {"name", "command", "directory", "logs"}
    assert programs["jobs"].keys() == {"name", "command", "directory", "logs", "startsecs", "backoff"}


def test_what_programs_have_alike_is_kept_once(tmp_path: Path) -> None:
    path = tmp_path / "genii.toml"
    path.write_text("".join(f'[program.p{n}]\ncommand = "serve"\nstop = {{ timeout = "3s" }}\n' for n in range(2)))
    first, second = decode(load_encoded(str(path))).programs.values()
    assert first.stop is second.stop
    assert first.backoff is second.backoff
    assert first.directory is second.directory


def test_what_is_wrong_is_told_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "genii.toml"
    path.write_text('[program.web]\ncommand = "serve"\nstarts = 1\n')
    with pytest.raises(ConfigError, match=r"3:1: .*unknown key"):
        decode(load_encoded(str(path)))
