from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from genii.deploy.record import Record, record_path
from genii.errors import GeniiError

if TYPE_CHECKING:
    from pathlib import Path


def begun(record: Record, name: str = "shop") -> int:
    return record.begin(
        name=name, action="deploy", release="", revision="", branch="", by="alice", control="ci-3", started=100.0,
        hosts=["h1", "h2"],
    )  # fmt: skip


def test_a_deployment_is_told_from_its_beginning_to_its_end(tmp_path: Path) -> None:
    record = Record(record_path(str(tmp_path / "state")))
    assert record.deployments() == []
    assert record.lines(1) == []
    number = begun(record)
    record.name_release(number, "20261121120000", "abc", "main")
    (row,) = record.deployments()
    assert (row.status, row.release, row.by, row.control, row.ended) == (
        "running",
        "20261121120000",
        "alice",
        "ci-3",
        None,
    )
    record.add(
        number, [(101.0, "h1", "install", "begin", "", 0, 0.0), (102.0, "h1", "install", "output", "hü\n", 0, 0.0)]
    )
    first = record.lines(number)
    assert [(line.kind, line.text) for line in first] == [("begin", ""), ("output", "hü\n")]
    record.add(number, [(103.0, "h1", "install", "end", "", 1, 2.0)])
    (last,) = record.lines(number, after=first[-1].id)
    assert (last.kind, last.status, last.seconds) == ("end", 1, 2.0)
    record.end(number, 110.0, "failed", "why", {"h1": "failed", "h2": "unchanged"})
    found = record.deployment(number)
    assert found is not None
    assert (found.status, found.message, found.hosts["h2"], found.ended) == ("failed", "why", "unchanged", 110.0)


def test_the_newest_are_first_and_names_apart(tmp_path: Path) -> None:
    record = Record(record_path(str(tmp_path)))
    numbers = [begun(record, name) for name in ("shop", "blog", "shop")]
    assert [row.number for row in record.deployments()] == numbers[::-1]
    assert [row.number for row in record.deployments("shop", limit=1)] == [numbers[2]]
    assert record.deployment(99) is None


def test_one_that_was_killed_is_not_running(tmp_path: Path) -> None:
    code = "import os, sys; from tests.deploy.test_record import *; begun(Record(sys.argv[1])); os.kill(os.getpid(), 9)"
    path = record_path(str(tmp_path))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", code, path], env=environment, timeout=50).returncode == -9
    (row,) = Record(path).deployments()
    assert row.status == "interrupted"


def test_nobody_else_reads_it(tmp_path: Path) -> None:
    begun(Record(record_path(str(tmp_path))))
    assert os.stat(record_path(str(tmp_path))).st_mode & 0o077 == 0


def test_what_is_written_together_is_read_meanwhile(tmp_path: Path) -> None:
    path = record_path(str(tmp_path))
    with Record(path) as record:
        number = begun(record)
        record.add(number, [(101.0, "h1", "install", "begin", "", 0, 0.0)])
        assert [row.status for row in Record(path).deployments()] == ["running"]
        assert len(Record(path).lines(number)) == 1
        record.end(number, 110.0, "good", "", {"h1": "good"})
    assert os.listdir(tmp_path) == ["deploy.sqlite"]  # all is in the file itself


def test_a_file_that_is_no_record_is_told(tmp_path: Path) -> None:
    path = record_path(str(tmp_path))
    with open(path, "w") as file:
        file.write("something else " * 100)
    with pytest.raises(GeniiError, match=r"deploy\.sqlite can't be used: file is not a database; .* move it away"):
        Record(path).deployments()
    with pytest.raises(GeniiError, match="file is not a database"), Record(path):
        pass
