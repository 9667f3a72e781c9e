"""A folder with a configuration and a supervisor in memory, and the command line to talk to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest

from genii.cli.main import main
from genii.supervise.model import Program, Settings
from genii.testing.served import ServedTarget

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Outcome(NamedTuple):
    status: int
    out: str
    err: str


@pytest.fixture
def genii(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """Run a command in this process."""
    for name in ("GENII_CONFIG", "GENII_SERVER", "GENII_PASSWORD", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)

    def run(*words: str) -> Outcome:
        capsys.readouterr()
        status = main(list(words))
        return Outcome(status, *capsys.readouterr())

    return run


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a configuration, in which we are."""
    (tmp_path / "genii.toml").write_text('[program.web]\ncommand = "serve"\n')
    (tmp_path / ".genii").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def served(site: Path) -> Iterator[ServedTarget]:
    web = Program(name="web", command=("serve", "the web"), processes=2, processes_max=2)
    jobs = Program(name="jobs", command=("work",), limits={"nofile": (4096, 8192), "as": (-1, -1)})
    settings = Settings(path=str(site / "genii.toml"), programs={"web": web, "jobs": jobs})
    with ServedTarget(settings, str(site / ".genii" / "genii.sock")) as serving:
        yield serving
