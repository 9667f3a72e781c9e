"""Kill, stop and starve everything; after each round what is declared runs, once, and no line and no job is lost."""

from __future__ import annotations

import os
import random
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from tests.chaos.disk import SmallDisk
from tests.chaos.faults import Chaos, Disks
from tests.chaos.plant import Plant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from tests.real.harness import Site

ROUNDS = int(os.environ.get("GENII_CHAOS") or 0)
"""Of faults at random; the short campaign does each fault twice."""
KINDS = ("moments", "deaths", "shortages")
LOSES_LINES = frozenset({"kill_keeper", "kill_both", "read_only_logs", "remove_state"})
"""What a keeper had read and not yet written dies with it; everything else is kept."""


@pytest.fixture
def chance() -> random.Random:
    """What chooses: the same each time, unless somebody searches; the seed is shown where a test fails."""
    seed = int(os.environ.get("GENII_CHAOS_SEED") or (random.SystemRandom().randrange(1 << 32) if ROUNDS else 7))
    print(f"GENII_CHAOS_SEED={seed}")
    return random.Random(seed)


@pytest.fixture
def disks(site: Site) -> Iterator[Disks | None]:
    """Small file systems for state, logs and journal, where we may make some."""
    made: list[SmallDisk] = []
    try:
        for name, size in ((".genii", 2), ("logs", 2), ("journal", 64)):
            made.append(SmallDisk(site.path / name, size))
    except (OSError, subprocess.CalledProcessError):
        assert not made
    try:
        yield Disks(*made) if made else None
    finally:
        site.close()
        for disk in made:
            disk.close()


def campaign(site: Site, faults: Iterable[Callable[[], Any]]) -> dict[str, int]:
    """Let faults happen one after the other, and see after each that all is well; return how often each did."""
    done: dict[str, int] = {}
    with Plant(site) as plant:
        for number, fault in enumerate(faults):
            name = fault.__name__
            print(number, name, flush=True)
            plant.submit()
            fault()
            if name in LOSES_LINES:
                plant.forgive()
            plant.check()
            done[name] = done.get(name, 0) + 1
        plant.down()
    return done


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", KINDS)
def test_survives_each_fault(kind: str, site: Site, disks: Disks | None, chance: random.Random) -> None:
    faults = 2 * Chaos(site, chance, disks).faults()[kind]
    chance.shuffle(faults)
    campaign(site, faults)


@pytest.mark.skipif(not ROUNDS, reason="make chaos does this")
@pytest.mark.timeout(60 + 30 * ROUNDS)
def test_survives_whatever_happens(
    site: Site, disks: Disks | None, chance: random.Random, capsys: pytest.CaptureFixture[str]
) -> None:
    only = os.environ.get("GENII_CHAOS_FAULTS", "").split()
    faults = [fault for kind in Chaos(site, chance, disks).faults().values() for fault in kind]
    faults = [fault for fault in faults if not only or fault.__name__ in only]
    begun = time.monotonic()
    done = campaign(site, (chance.choice(faults) for _ in range(ROUNDS)))
    with capsys.disabled():
        print(f"\n{ROUNDS} rounds in {time.monotonic() - begun:.0f} s: {done}")
