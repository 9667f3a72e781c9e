from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from genii.cli import init
from genii.config.load import examine
from genii.errors import NotAllowed

if TYPE_CHECKING:
    from genii.supervise.model import Program


def run() -> int:
    parser = argparse.ArgumentParser()
    init.configure(parser)
    return init.run(parser.parse_args([]))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written() -> dict[str, Program]:
    assert run() == 0
    examination = examine("genii.toml", {})
    assert examination.problems == []
    assert examination.settings is not None
    return examination.settings.programs


def test_an_empty_folder_gets_an_example(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert list(written()) == ["web"]
    out, err = capsys.readouterr()
    assert out == ""
    assert "genii check" in err


def test_never_overwrites(folder: Path) -> None:
    Path("genii.toml").write_text("mine")
    with pytest.raises(NotAllowed, match="left as it is"):
        run()
    assert Path("genii.toml").read_text() == "mine"


def test_every_commented_example_is_right(folder: Path) -> None:
    """Uncomment all: it must still be a configuration."""
    run()
    text = Path("genii.toml").read_text()
    before, mark, after = text.partition("# More that a program may say:\n")
    examples = "\n".join(line.removeprefix("# ") for line in after.splitlines())
    Path(".env").touch()
    Path("genii.toml").write_text(f'{before}{mark}{examples}\n[program.database]\ncommand = "true"\n')
    examination = examine("genii.toml", {})
    assert examination.problems == []
    assert examination.settings is not None
    assert list(examination.settings.programs) == ["web", "report", "assets", "database"]


@pytest.mark.parametrize(
    ("files", "commands"),
    [
        ({"main.py": ""}, {"main": ("python3", "-u", "main.py")}),
        (
            {"manage.py": "", "main.py": ""},
            {"web": ("python3", "manage.py", "runserver", "--noreload", "127.0.0.1:8000")},
        ),
        ({"package.json": '{"scripts": {"start": "x"}}'}, {"web": ("npm", "run", "start")}),
        ({"package.json": "{broken", "app.py": ""}, {"app": ("python3", "-u", "app.py")}),
        ({"package.json": "[]", "pyproject.toml": '[project.scripts]\nshop = "a:b"\n'}, {"shop": ("shop",)}),
        (
            {"Procfile": "# not: this\nweb: run -p ${PORT} {a}\nall: x\njob: sh ${X:-1} $$ 'q' \\n\n"},
            {
                "web": ("/bin/sh", "-c", "exec run -p $PORT {{a}}"),
                "job": ("sh", "-c", "sh ${X:-1} $$ 'q' \\n"),
            },
        ),
    ],
)  # fmt: skip
def test_recognises_a_folder(folder: Path, files: dict[str, str], commands: dict[str, tuple[str, ...]]) -> None:
    for name, text in files.items():
        Path(name).write_text(text)
    assert {name: program.command for name, program in written().items()} == commands
