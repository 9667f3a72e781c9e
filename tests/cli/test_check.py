from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from genii.cli import check


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    check.configure(parser)
    return check.run(parser.parse_args(words))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GENII_CONFIG", raising=False)
    return tmp_path


def test_says_ok_and_how_many(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("genii.toml").write_text('[program.a]\ncommand = "true"\n[program.b]\ncommand = "true"\n')
    assert run() == 0
    assert capsys.readouterr() == ("genii.toml: ok, 2 programs\n", "")


def test_says_what_to_do_with_an_empty_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty.toml").touch()
    assert run("empty.toml") == 0
    assert capsys.readouterr().out == "empty.toml: ok, 0 programs (add [program.NAME] with a command)\n"


def test_prints_errors_for_an_editor_to_jump_to(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("genii.toml").write_text('[program.a]\ncommand = "true"\nnise = 1\npriority = "x"\n')
    assert run() == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "genii.toml:3:1: nise: unknown key (did you mean 'nice'?)",
        "genii.toml:4:12: priority: expected a whole number, not 'x'",
    ]


def test_prints_one_object_for_programs_to_read(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("genii.toml").write_text('[program.a]\ncommand = "no-such-command-here"\n')
    assert run("--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["ok"], report["programs"], report["file"]) == (True, 1, str(folder / "genii.toml"))
    (problem,) = report["problems"]
    assert (problem["line"], problem["column"], problem["severity"]) == (2, 11, "warning")
    Path("genii.toml").write_text("x")
    assert run("--json") == 2
    assert json.loads(capsys.readouterr().out)["ok"] is False


def test_doubts_what_this_machine_does_not_have(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("run").touch(mode=0o644)
    Path("genii.toml").write_text("""
[program.a]
command = "no-such-command-here --now"
[program.b]
command = "exec-free && whatever"
[program.c]
command = "no-such-command-either $HOME"
[program.d]
command = "./run"
directory = "absent"
[program.e]
command = ["echo", "$HOME"]
user = "no-such-user-here"
group = "no-such-group-here"
groups = ["root", "no-such-group-either"]
[program.f]
command = "{here}/run"
check = "true"
""")
    assert run() == 0
    out, err = capsys.readouterr()
    assert out == "genii.toml: ok, 6 programs\n"
    doubts = [line.partition(": warning: ")[::2] for line in err.splitlines()]
    assert [place for place, _ in doubts if "only root" not in _] == [
        f"genii.toml:{place}" for place in ("3:11", "7:11", "10:13", "9:11", "12:11", "13:8", "14:9", "15:19", "17:11")
    ]
    assert "'no-such-command-either' is not an executable on the PATH" in err
    assert "run without a shell, so $NAME stays" in err
