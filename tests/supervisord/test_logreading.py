from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from genii.supervisord.faults import Fault
from genii.supervisord.logreading import read_log, tail_log

if TYPE_CHECKING:
    from pathlib import Path

TEXT = "0123456789abcdefghij"


@pytest.fixture
def log(tmp_path: Path) -> str:
    path = tmp_path / "log"
    path.write_text(TEXT)
    return str(path)


@pytest.mark.parametrize(
    ("offset", "length", "found"),
    [(0, 0, TEXT), (15, 0, "fghij"), (5, 3, "567"), (-4, 0, "ghij"), (-99, 0, TEXT), (99, 0, ""), (18, 9, "ij")],
)
def test_reads_by_the_rules_of_supervisord(log: str, offset: int, length: int, found: str) -> None:
    assert read_log(log, offset, length) == found


@pytest.mark.parametrize(("offset", "length"), [(-1, 1), (0, -1)])
def test_refuses_arguments_that_make_no_sense(log: str, offset: int, length: int) -> None:
    with pytest.raises(Fault, match="BAD_ARGUMENTS"):
        read_log(log, offset, length)


@pytest.mark.parametrize(
    ("offset", "length", "found"),
    [
        (0, 5, ("fghij", 20, True)),
        (15, 10, (TEXT[-10:], 20, False)),
        (20, 10, ("", 20, False)),
        (25, 10, ("", 20, False)),
        (0, 20, (TEXT, 20, False)),
        (0, 0, ("", 20, True)),
    ],
)
def test_tails_by_the_rules_of_supervisord(log: str, offset: int, length: int, found: tuple[str, int, bool]) -> None:
    assert tail_log(log, offset, length) == found


def test_a_missing_log_is_a_fault_to_read_and_empty_to_tail(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="FAILED"):
        read_log(str(tmp_path / "none"), 0, 0)
    assert tail_log(str(tmp_path / "none"), 0, 5) == ("", 0, False)


def test_bytes_that_are_no_text_are_no_error(tmp_path: Path) -> None:
    """The real one answers 500 (issues 1485, 1693)."""
    path = tmp_path / "log"
    path.write_bytes(b"\xff ok \xc3\xa9")
    assert read_log(str(path), 0, 0) == "\ufffd ok é"
    assert tail_log(str(path), 0, 1)[0] == "\ufffd"
