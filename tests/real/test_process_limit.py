"""When the system gives no more processes (EAGAIN of fork(2) and clone(2)); needs the pids controller of cgroups(7)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.real.harness import PATIENCE, read_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.real.harness import Site

CONTROLLERS = (Path("/sys/fs/cgroup/pids"), Path("/sys/fs/cgroup"))
"""Where the pids controller is mounted: of its own (version 1), or with all others (version 2)."""


class Room:
    """A control group with room for so many processes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def limit(self, most: int) -> None:
        (self.path / "pids.max").write_text(str(most))

    def enter(self) -> None:
        """Move this process into it."""
        (self.path / "cgroup.procs").write_text(str(os.getpid()))


@pytest.fixture
def room(site: Site) -> Iterator[Room]:
    for controller in CONTROLLERS:
        path = controller / f"genii-test-{os.getpid()}"
        try:
            path.mkdir()
        except OSError:
            continue
        if (path / "pids.max").exists():
            break
        path.rmdir()
    else:
        pytest.skip("no pids controller that we may use: run as root, with cgroups mounted")
    yield Room(path)
    site.close()
    path.rmdir()


def test_programs_wait_for_room_and_the_others_are_unharmed(site: Site, room: Room) -> None:
    site.write(
        '[program.first]\ncommand = "sleep 1000"\n'
        '[program.more]\ncommand = "sleep 1000"\nprocesses = 8\nretries = 1000\nbackoff = { cap = "200ms" }\n'
    )
    room.limit(6)
    process = site.foreground(preparation=room.enter)
    read_until(process, "genii [0-9.]+ runs")
    site.when("more:7", lambda status: "Resource temporarily unavailable" in status["reason"])
    first = site.pid("first")
    room.limit(50)
    for number in range(8):
        site.state_of(f"more:{number}", "RUNNING")
    assert site.pid("first") == first
    assert site.genii("down").status == 0
    assert process.wait(PATIENCE) == 0


@pytest.mark.parametrize("most", [1, 2])
def test_without_room_for_itself_it_says_so(site: Site, room: Room, most: int) -> None:
    site.write('[program.job]\ncommand = "sleep 1000"\n')
    room.limit(most)
    process = site.foreground(preparation=room.enter)
    seen, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert "Resource temporarily unavailable" in seen
    assert "Traceback" not in seen
