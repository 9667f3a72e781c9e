"""The scoreboard as its writers and its readers use it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from genii.errors import NotRunning
from genii.serve.scoreboard import TELL_READY, TELL_SATURATED, Scoreboard
from genii.serve.worker import Place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECOND = 1_000_000_000


@pytest.fixture
def board() -> Iterator[Scoreboard]:
    made = Scoreboard.create(3)
    yield made
    made.close()


@pytest.fixture
def wake() -> Iterator[int]:
    descriptor = os.eventfd(0, os.EFD_NONBLOCK)
    yield descriptor
    os.close(descriptor)


def told(wake: int) -> bool:
    try:
        return os.eventfd_read(wake) > 0
    except BlockingIOError:
        return False


def test_gives_out_places_until_there_are_none(board: Scoreboard) -> None:
    assert [board.take(0) for _ in range(4)] == [0, 1, 2, -1]
    board.free(1)
    assert board.room == 1
    assert board.take(0) == 1


def seat(board: Scoreboard, wake: int) -> Place:
    """Give the next place to a worker that is this process."""
    place = Place(board, wake)
    place.occupy(board.take(0))
    return place


def test_a_new_worker_finds_nothing_of_the_one_before(board: Scoreboard, wake: int) -> None:
    place = seat(board, wake)
    place.begin(5)
    board.free(0)
    board.take(7 * SECOND)
    (row,) = board.rows(9 * SECOND)
    assert (row.state, row.served, row.request_age, row.age) == ("starting", 0, 0.0, 2.0)


def test_tells_what_each_worker_does(board: Scoreboard, wake: int) -> None:
    place = seat(board, wake)
    place.ready()
    place.begin(2 * SECOND)
    (row,) = board.rows(5 * SECOND)
    assert (row.pid, row.state, row.request_age, row.idle) == (os.getpid(), "busy", 3.0, 0.0)
    place.end(6 * SECOND)
    (row,) = board.rows(8 * SECOND)
    assert (row.state, row.served, row.request_age, row.idle) == ("idle", 1, 0.0, 2.0)
    place.leaving()
    assert board.rows(0)[0].state == "leaving"


def test_wakes_the_manager_only_for_what_it_asked(board: Scoreboard, wake: int) -> None:
    first, second = seat(board, wake), seat(board, wake)
    first.ready()
    assert not told(wake)
    board.ask(TELL_READY | TELL_SATURATED)
    second.ready()
    assert told(wake)
    first.begin(1)
    assert not told(wake)
    second.begin(1)
    assert told(wake)
    first.end(2)
    second.end(2)
    board.ask(0)
    first.begin(3)
    second.begin(3)
    assert not told(wake)


def test_others_look_at_a_file(tmp_path: Path, wake: int) -> None:
    path = str(tmp_path / "board")
    written = Scoreboard.create(2, path)
    written.sign(os.getpid(), 12.5)
    seat(written, wake).ready()
    read = Scoreboard.open(path)
    assert read.manager == (os.getpid(), 12.5)
    assert [row.state for row in read.rows(0)] == ["idle"]
    assert os.stat(path).st_mode & 0o777 == 0o600
    read.close()
    written.close()


@pytest.mark.parametrize("content", [b"", b"x" * 500, b"\0" * 8 + b"genii prefork 1\n" + b"\xff" * 16])
def test_refuses_what_is_no_scoreboard(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "board").write_bytes(content)
    with pytest.raises(NotRunning):
        Scoreboard.open(str(tmp_path / "board"))
    with pytest.raises(NotRunning):
        Scoreboard.open(str(tmp_path / "absent"))
