from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

import jsonschema
import pytest

from genii.cli import export

if TYPE_CHECKING:
    from pathlib import Path


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    export.configure(parser)
    return export.run(parser.parse_args(words))


def test_writes_the_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("schema") == 0
    schema = json.loads(capsys.readouterr().out)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["title"] == "genii.toml"


def test_writes_the_service_of_the_configuration_it_finds(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "genii.toml").write_text('[program.web]\ncommand = "serve"\nstop = { timeout = "50s" }\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GENII_CONFIG", raising=False)
    assert run("systemd") == 0
    assert f"-c {tmp_path}/genii.toml up" in (unit := capsys.readouterr().out)
    assert "TimeoutStopSec=60\n" in unit
    assert run("sysv") == 0
    assert f"config={tmp_path}/genii.toml\n" in capsys.readouterr().out
    assert run("docker") == 0
    assert f"FROM python:{sys.version_info.major}.{sys.version_info.minor}-slim\n" in capsys.readouterr().out
    assert run("man") == 0
    assert capsys.readouterr().out.splitlines()[1].startswith(".TH GENII 1")


def test_refuses_what_it_does_not_know(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run("nonsense")
    assert caught.value.code == 2
    assert "schema" in capsys.readouterr().err
