from __future__ import annotations

import os
import resource
import signal
from typing import TYPE_CHECKING, Any

import pytest

from genii.system.spawn import Command, Spawner, SpawnError

if TYPE_CHECKING:
    from collections.abc import Iterator

FILES = resource.RLIMIT_NOFILE


@pytest.fixture
def limit() -> Iterator[tuple[int, int]]:
    """The limit on open files, which a spawner raises; it is put back."""
    before = resource.getrlimit(FILES)
    yield before
    resource.setrlimit(FILES, before)


def end(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_a_limit_that_somebody_changes_while_a_program_is_spawned_stays_as_they_set_it(
    limit: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    soft, hard = limit
    spawner = Spawner()
    spawner.pass_on((min(soft, 1000), hard))
    spawn = os.posix_spawn
    changed = (min(soft, 1000) - 100, hard)

    def meanwhile(*words: Any, **more: Any) -> int:
        resource.prlimit(os.getpid(), FILES, changed)
        return spawn(*words, **more)

    null = os.open(os.devnull, os.O_RDWR)
    command = Command(("sleep", "1000"), dict(os.environ), null, null, null)
    before = resource.getrlimit(FILES)
    end(spawner.spawn(command))
    assert resource.getrlimit(FILES) == before
    monkeypatch.setattr(os, "posix_spawn", meanwhile)
    end(spawner.spawn(command))
    assert resource.getrlimit(FILES) == changed
    os.close(null)


def test_the_last_descriptors_are_not_used_up_by_programs(limit: tuple[int, int]) -> None:
    spawner = Spawner()
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(FILES, (lowest + 20, limit[1]))
    spawner.require_room(4)
    with pytest.raises(SpawnError, match=f"no descriptors are left of the supervisor's {lowest + 20}"):
        spawner.require_room(5)
