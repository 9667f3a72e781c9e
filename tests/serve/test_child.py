"""The manager's view of one worker, by histories of its processes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from genii.serve.child import Child
from genii.serve.model import DEFAULT_SIGNALS, Settings, worker_bounds
from genii.serve.scoreboard import IDLE, LEAVING, Scoreboard
from genii.supervise.machine import Spawned, StartWanted
from genii.supervise.state import State

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def board() -> Iterator[Scoreboard]:
    board = Scoreboard.create(2)
    yield board
    board.close()


@pytest.fixture
def child(board: Scoreboard) -> Child:
    """One whose first process, 101, was forked at 10 s."""
    child = Child(1, 0, Settings(worker_bounds(2), DEFAULT_SIGNALS), board)
    child.handle(StartWanted(), 10.0)
    child.place = board.take(0)
    child.born(101, -1, 10.0)
    child.handle(Spawned(101), 10.0)
    return child


def leaves(child: Child, state: int = LEAVING, status: int = 0) -> None:
    child.board.memory[child.board.state_index(child.place)] = state
    child.status = status


def is_followed(child: Child, pid: int, now: float) -> bool:
    leaves(child)
    if not child.follow(now):
        return False
    child.board.renew(child.place, int(now * 1e9))
    child.born(pid, -1, now)
    return True


def test_who_leaves_in_order_is_followed_again_and_again(child: Child) -> None:
    for number in range(1, 50):
        assert is_followed(child, 101 + number, 10 + number / 100)
    assert (child.pid, child.life.state) == (150, State.RUNNING)


def test_who_ends_otherwise_is_not_followed(child: Child) -> None:
    leaves(child, IDLE)
    assert not child.follow(10.1)


def test_who_was_told_to_go_is_not_followed(child: Child) -> None:
    assert is_followed(child, 102, 10.1)
    child.retire(10.2)
    assert child.life.pid == 102
    leaves(child)
    assert not child.follow(10.3)
    child.ended(10.3, 0.5)
    assert child.life.state is State.STOPPED


def test_a_successor_that_dies_at_once_is_a_failed_start(child: Child) -> None:
    for number in range(1, 5):
        assert is_followed(child, 101 + number, 10 + number)
    leaves(child, IDLE, status=-11)
    assert child.ended(14.1, 0.5) == ()
    assert (child.life.state, child.life.attempts) == (State.BACKOFF, 1)


def test_a_successor_that_has_proved_itself_is_no_failed_start(child: Child) -> None:
    assert is_followed(child, 102, 11.0)
    leaves(child, IDLE, status=-11)
    child.ended(15.0, 0.5)
    assert (child.life.state, child.life.attempts) == (State.STARTING, 0)


def test_frees_its_place_when_it_is_gone_for_good(child: Child, board: Scoreboard) -> None:
    assert board.room == 1
    leaves(child)
    child.ended(10.1, 0.5)
    assert board.room == 2


def test_who_nobody_may_wait_for_has_ended_in_an_unknown_way(child: Child) -> None:
    child.pid = os.getppid()  # no child of ours, as one that was reaped because the program ignores SIGCHLD
    child.pidfd = os.pidfd_open(os.getpid())
    assert child.reap()
    assert (child.status, child.pidfd) == (None, -1)
