"""Whatever is done to a tree, the changes that are told lead from what was there to what is there."""

from __future__ import annotations

import os
import random
import shutil
from typing import TYPE_CHECKING

import pytest

from genii.events.filter import PathFilter
from genii.events.snapshot import Batch, Kind
from genii.events.tree import Tree

if TYPE_CHECKING:
    from pathlib import Path


def listing(top: str) -> set[str]:
    found = {top} if os.path.lexists(top) else set()
    for folder, folders, files in os.walk(top):
        found |= {os.path.join(folder, name) for name in (*folders, *files)}
    return found


def apply(known: set[str], batch: Batch) -> set[str]:
    """Do to a set of paths what the batch says; sources are paths of before, so what lies deepest is taken first."""
    known = set(known)
    moves = sorted((change for change in batch if change.kind is Kind.MOVED), key=lambda change: -len(change.source))
    moved: set[str] = set()
    for change in moves:
        below = {path for path in known if path == change.source or path.startswith(change.source + "/")}
        known -= below
        moved |= {change.path + path[len(change.source) :] for path in below}
    for change in batch:
        if change.kind is Kind.DELETED:
            known.discard(change.path)
            moved -= {path for path in moved if path == change.path}
    known |= moved
    return known | {change.path for change in batch if change.kind is not Kind.DELETED}


def disturb(chance: random.Random, top: str) -> None:
    """Do one random thing to the tree."""
    paths = sorted(listing(top))
    folders = [path for path in paths if os.path.isdir(path)] or [os.path.dirname(top)]
    new = os.path.join(chance.choice(folders), chance.choice("abcdef"))
    victim = chance.choice(paths) if paths else top
    match chance.randrange(7):
        case 0 | 1:
            if not os.path.isdir(new) and os.path.isdir(os.path.dirname(new)):
                with open(new, "a", encoding="ascii") as file:
                    file.write("x")
        case 2 | 3:
            os.makedirs(new if os.path.exists(top) else top, exist_ok=os.path.isdir(new))
        case 4:
            if os.path.isdir(victim):
                shutil.rmtree(victim)
            elif os.path.exists(victim):
                os.unlink(victim)
        case 5 | 6:
            if victim != top and not (new + "/").startswith(victim + "/"):
                os.rename(victim, new)


@pytest.mark.parametrize("seed", range(15))
def test_the_changes_lead_to_what_is_there(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    top = str(tmp_path / "top")
    os.mkdir(top)
    tree = Tree([top], lambda root: PathFilter())
    tree.scan()
    known = listing(top)
    for _ in range(60):
        for _ in range(chance.randrange(1, 6)):
            try:
                disturb(chance, top)
            except (FileExistsError, NotADirectoryError, IsADirectoryError):
                continue
            except OSError as error:
                if error.errno != 39:  # ENOTEMPTY
                    raise
            if chance.random() < 0.5:
                tree.read()
        while tree.read()[0]:
            pass
        batch = tree.flush()
        known = apply(known, batch)
        assert known >= listing(top)
        assert {path for path in tree._known if path.startswith(top)} == listing(top)
        watched = {path for path in tree._watches if path.startswith(top)}
        assert watched == {path for path in listing(top) if os.path.isdir(path)}
    tree.close()
