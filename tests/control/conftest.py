"""A supervisor in memory behind a real control server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from genii.supervise.model import Program, Settings
from genii.testing.served import ServedTarget

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    web = Program(
        name="web",
        command=("serve", "--port", "80"),
        processes=2,
        processes_max=2,
        environment={"TOKEN": "hunter2", "MODE": "fast"},
        secret_variables=("TOKEN",),
        limits={"nofile": (4096, 4096)},
    )
    jobs = Program(name="jobs", command=("work",), depends_on=("web",))
    return Settings(path=str(tmp_path / "genii.toml"), programs={"web": web, "jobs": jobs})


@pytest.fixture
def served(settings: Settings, tmp_path: Path) -> Iterator[ServedTarget]:
    with ServedTarget(settings, str(tmp_path / "genii.sock")) as serving:
        yield serving
