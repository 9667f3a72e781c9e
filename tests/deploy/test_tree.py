from __future__ import annotations

import gzip
import io
import random
import tarfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genii.deploy.package import Package, Shelf, index_tar, pack
from genii.deploy.tree import Item, compare, identity
from genii.errors import GeniiError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NAMES = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3).map("/".join)
CONTENTS = st.sampled_from(["one", "two", "three"])


def tree(files: Mapping[str, str]) -> dict[str, Item]:
    """Return a tree of files (and the directories they need); a path that is both loses."""
    found: dict[str, Item] = {}
    for path, content in sorted(files.items()):
        parents = path.split("/")[:-1]
        folders = ["/".join(parents[: number + 1]) for number in range(len(parents))]
        if any(found.get(folder, Item("d", 0o755, "")).kind != "d" for folder in folders) or path in found:
            continue
        found |= {folder: Item("d", 0o755, "") for folder in folders}
        found[path] = Item("f", 0o644, content)
    return found


def bring(have: Mapping[str, Item], want: Mapping[str, Item], altered: set[str]) -> dict[str, str]:
    """Do what a host does; return the contents it has then."""
    delta = compare(have, want, altered)
    files = {path: ("tampered" if path in altered else item.digest) for path, item in have.items()}
    if delta.whole:
        files = {}
    for gone in delta.remove:
        files = {path: text for path, text in files.items() if path != gone and not path.startswith(gone + "/")}
    for path in delta.send:
        assert not (want[path].kind == "f" and any(other.startswith(path + "/") for other in files))
        files[path] = want[path].digest
    return files


@given(st.dictionaries(NAMES, CONTENTS), st.dictionaries(NAMES, CONTENTS), st.sets(NAMES))
def test_a_delta_makes_the_wanted_tree_of_any_other(
    before: dict[str, str], after: dict[str, str], altered: set[str]
) -> None:
    have, want = tree(before), tree(after)
    written = {path for path in altered if path in have and have[path].kind == "f"}
    assert bring(have, want, written) == {path: item.digest for path, item in want.items()}


def test_an_unknown_tree_is_replaced() -> None:
    want = tree({"a": "one"})
    assert compare(None, want).whole
    assert compare(want, want, None).whole
    assert compare(want, want) == compare(want, want, ())
    assert compare(want, want).send == ()


def test_very_many_names_are_not_removed_one_by_one() -> None:
    assert compare(tree({f"f{number}": "x" for number in range(1000)}), tree({"a": "one"})).whole


def test_the_identity_is_that_of_names_kinds_modes_and_contents() -> None:
    files = tree({"a/b": "one", "c": "two"})
    assert identity(files) == identity(dict(reversed(files.items())))
    assert identity(files) != identity(files | {"c": Item("f", 0o755, "two")})
    assert identity(files) != identity(files | {"c": Item("f", 0o644, "three")})
    moved = {path: Item(item.kind, item.mode, item.digest, 512, 1024) for path, item in files.items()}
    assert identity(files) == identity(moved)


# -- tar files ---------------------------------------------------------------------------------------------------------


def make_tar(path: Path, files: Mapping[str, bytes], kind: int = tarfile.GNU_FORMAT) -> str:
    with tarfile.open(path, "w", format=kind) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return str(path)


LONG = "a/" * 80 + "name"


@pytest.mark.parametrize("kind", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_parts_of_a_tar_file_are_a_tar_file(tmp_path: Path, kind: int) -> None:
    files = {"first": b"1" * 700, LONG: b"long", "ü": b"umlaut", "last": b""}
    path = make_tar(tmp_path / "a.tar", files, kind)
    package = Package(path, index_tar(path))
    for chosen in (list(files), [LONG], ["first", "last"], ["ü"], []):
        size, chunks = package.payload(chosen)
        data = b"".join(chunks())
        assert len(data) == size
        if not chosen:
            assert data == b""
            continue
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            found = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
        assert found.pop(".genii-end-of-tree") == b""
        assert found == {name: files[name] for name in chosen}


@pytest.mark.parametrize("name", ["/etc/passwd", "../outside", "a/../../outside"])
def test_what_leads_outside_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(GeniiError, match="leads outside"):
        index_tar(make_tar(tmp_path / "a.tar", {name: b"x"}))


def test_devices_are_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        info = tarfile.TarInfo("device")
        info.type = tarfile.CHRTYPE
        tar.addfile(info)
    with pytest.raises(GeniiError, match="device is neither file, directory nor symbolic link"):
        index_tar(str(tmp_path / "a.tar"))


def test_an_empty_or_broken_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GeniiError, match="no files at all"):
        index_tar(make_tar(tmp_path / "a.tar", {}))
    (tmp_path / "b.tar").write_bytes(b"garbage" * 1000)
    with pytest.raises(GeniiError, match="can't be read as a tar file"):
        index_tar(str(tmp_path / "b.tar"))


def test_the_shelf_keeps_the_last_ones(tmp_path: Path) -> None:
    shelf = Shelf(str(tmp_path / "shelf"))
    made = []
    for number in range(5):
        make_tar(tmp_path / "new.tar", {"a": str(number).encode()})
        (tmp_path / "new.tar").rename(path := shelf.temporary())
        made.append(shelf.put(str(path), f"{number:040x}"))
    assert len(list((tmp_path / "shelf").glob("*.tar"))) <= 4
    found = shelf.of_revision(f"{4:040x}")
    assert found is not None
    assert found.identity == made[4].identity
    assert shelf.index(made[0].identity) == made[0].items
    assert shelf.of_revision("f" * 40) is None
    assert shelf.index("../../etc/passwd") is None


def test_what_is_large_is_compressed_where_that_helps() -> None:
    text = [b"some source code\n" * 10_000] * 10
    made = pack(text, sum(map(len, text)))
    assert made is not None
    size, chunks = made
    packed = b"".join(chunks())
    assert (len(packed), gzip.decompress(packed)) == (size, b"".join(text))
    assert b"".join(chunks()) == packed  # for the next host
    assert pack([b"small\n" * 1000], 6000) is None
    noise = random.Random(1)
    assert pack([noise.randbytes(1 << 18) for _ in range(8)], 1 << 21) is None
