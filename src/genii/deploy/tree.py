"""The files of a release as they travel: an index of a tar file, and what differs between two. No I/O."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

__all__ = ["END_OF_TREE", "Delta", "Item", "Shipment", "compare", "identity"]

END_OF_TREE = ".genii-end-of-tree"
"""The last entry of what travels: where it arrives, all has arrived."""
MOST_REMOVED = 300
"""More names than this are not worth a command; everything is brought anew."""


class Item(msgspec.Struct, frozen=True, array_like=True):
    """A file, directory or link of a tree: what it is and where it lies in the tar file."""

    kind: str
    """``f`` file, ``d`` directory, ``l`` symbolic link."""
    mode: int
    digest: str
    """Of the contents, or the target of a link."""
    start: int = 0
    end: int = 0


class Delta(msgspec.Struct, frozen=True):
    """What turns the tree that a host has into the wanted one."""

    whole: bool
    """Whether the host begins with an empty tree."""
    remove: tuple[str, ...]
    send: tuple[str, ...]


class Shipment(msgspec.Struct, frozen=True):
    """A delta as it travels: a tar file of the files to send, maybe compressed."""

    delta: Delta
    size: int = 0
    """Bytes that travel."""
    unpacked: int = 0
    """Bytes of the tar file; as many if it is not compressed."""

    @property
    def packed(self) -> bool:
        """Whether it is compressed (gzip)."""
        return self.size != self.unpacked


def identity(items: Mapping[str, Item]) -> str:
    """Return 40 hexadecimal digits that stand for the contents of a tree."""
    digest = hashlib.sha256()
    for path in sorted(items):
        item = items[path]
        digest.update(f"{path}\0{item.kind}\0{item.mode:o}\0{item.digest}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()[:40]


def compare(have: Mapping[str, Item] | None, want: Mapping[str, Item], altered: Collection[str] | None = ()) -> Delta:
    """Return what to remove from and what to send to a host that has a tree.

    ``have`` is None where it is not known what the host has. ``altered`` are files that were written on the host since;
    they are sent again. None: too many were.
    """
    if have is None or altered is None:
        return Delta(True, (), tuple(want))
    changed = [path for path, item in want.items() if _differs(have.get(path), item) or path in altered]
    gone = [path for path in have if path not in want]
    # What changes its kind is in the way of what comes; directories go with all that is in them.
    gone += [path for path in changed if path in have and have[path].kind != want[path].kind]
    gone += [path for path in altered if path not in have]
    remove = tuple(_topmost(gone))
    if len(remove) > MOST_REMOVED:
        return Delta(True, (), tuple(want))
    return Delta(False, remove, tuple(changed))


def _differs(have: Item | None, want: Item) -> bool:
    return have is None or (have.kind, have.mode, have.digest) != (want.kind, want.mode, want.digest)


def _topmost(paths: Iterable[str]) -> Iterable[str]:
    """Yield the paths that lie in none of the others."""
    last = ""
    for path in sorted(set(paths), key=lambda path: path.split("/")):
        if not last or not path.startswith(last + "/"):
            last = path
            yield path
