"""The files of a release on the control machine: a tar file, its index, and the parts of it that a host lacks."""

from __future__ import annotations

import hashlib
import mmap
import os
import tarfile
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec

from genii.deploy.tree import END_OF_TREE, Item, identity
from genii.errors import GeniiError

if TYPE_CHECKING:
    import io
    from collections.abc import Callable, Iterable, Iterator, Mapping

__all__ = ["Package", "Shelf", "index_tar", "pack"]

_CHUNK = 256 * 1024
_BLOCK = 512
_WORTH_PACKING = 1 << 20
_GAIN = 0.8
_KEPT_TARS = 3
_KEPT_INDEXES = 30


class Package:
    """A tree that can be sent, in whole or in parts; the tar file stays open, so it may be removed meanwhile."""

    def __init__(self, path: str, items: Mapping[str, Item]) -> None:
        self.items = items
        self.identity = identity(items)
        with open(path, "rb") as file:
            self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def payload(self, paths: Iterable[str]) -> tuple[int, Callable[[], Iterator[bytes]]]:
        """Return how many bytes bring these files, and what makes them; it may be called for many hosts."""
        spans = self._spans(paths)
        end = _end_of_tree() if spans else b""
        size = sum(stop - start for start, stop in spans) + len(end)

        def chunks() -> Iterator[bytes]:
            for start, stop in spans:
                for offset in range(start, stop, _CHUNK):
                    yield self._data[offset : min(offset + _CHUNK, stop)]
            if end:
                yield end

        return size, chunks

    def _spans(self, paths: Iterable[str]) -> list[tuple[int, int]]:
        """Return the places of some files in the tar file, neighbours joined."""
        spans: list[tuple[int, int]] = []
        for item in sorted((self.items[path] for path in paths), key=lambda item: item.start):
            if spans and spans[-1][1] == item.start:
                spans[-1] = (spans[-1][0], item.end)
            else:
                spans.append((item.start, item.end))
        return spans


def pack(chunks: Iterable[bytes], size: int) -> tuple[int, Callable[[], Iterator[bytes]]] | None:
    """Return how many bytes these are when compressed (gzip), and what makes them; None: it is not worth the while.

    It is done once, however many hosts it goes to: it takes 12 ms a MiB, and source code becomes a third.
    """
    if size < _WORTH_PACKING:
        return None
    import tempfile
    import zlib

    compressor = zlib.compressobj(1, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    with tempfile.TemporaryFile() as file:
        taken = 0
        for chunk in chunks:
            file.write(compressor.compress(chunk))
            taken += len(chunk)
            if taken >= _WORTH_PACKING and file.tell() > taken * _GAIN:
                return None
        file.write(compressor.flush())
        file.flush()
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return len(data), lambda: (data[start : start + _CHUNK] for start in range(0, len(data), _CHUNK))


def _end_of_tree() -> bytes:
    return tarfile.TarInfo(END_OF_TREE).tobuf(tarfile.GNU_FORMAT) + bytes(2 * _BLOCK)


def index_tar(path: str) -> dict[str, Item]:
    """Return what is in a tar file and where.

    Raises:
        GeniiError: it is none, or has what no release should have (a path that leads outside, a device).
    """
    found: dict[str, Item] = {}
    try:
        with tarfile.open(path, "r:") as tar, open(path, "rb") as file:
            members = list(tar)
            if not members:
                raise GeniiError("the release has no files at all; look at the source")
            ends = [after.offset for _, after in pairwise(members)]
            for member, end in zip(members, [*ends, -1], strict=True):
                name = os.path.normpath(member.name)
                _refuse_outside(name, member.name)
                if name == ".":
                    continue
                stop = end if end >= 0 else member.offset_data + -(-_size(member) // _BLOCK) * _BLOCK
                found[name] = Item(*_describe(member, file), member.offset, stop)
    except (tarfile.TarError, OSError) as error:
        raise GeniiError(f"{path} can't be read as a tar file: {error}") from error
    return found


def _size(member: tarfile.TarInfo) -> int:
    return member.size if member.isreg() else 0


def _describe(member: tarfile.TarInfo, file: io.BufferedReader) -> tuple[str, int, str]:
    if member.isreg():
        file.seek(member.offset_data)
        return "f", member.mode, hashlib.sha256(file.read(member.size)).hexdigest()
    if member.isdir():
        return "d", member.mode, ""
    if member.issym():
        return "l", 0o777, member.linkname
    raise GeniiError(f"{member.name} is neither file, directory nor symbolic link; leave it out of the release")


def _refuse_outside(name: str, written: str) -> None:
    if name.startswith("/") or name.split("/", maxsplit=1)[0] == "..":
        raise GeniiError(f"{written!r} in the archive leads outside of the release; make the archive anew")


class Shelf:
    """A folder that keeps the packages made last, by identity, and which revision was which."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        os.makedirs(folder, mode=0o700, exist_ok=True)

    def temporary(self) -> str:
        """Return the path of a new file; what makes it puts it away or removes it."""
        return os.path.join(self._folder, f"new-{os.getpid()}-{os.urandom(4).hex()}.tar")

    def put(self, tar: str, revision: str = "") -> Package:
        """Index a tar file and keep it; return the package.

        Raises:
            GeniiError: it can't be a release.
        """
        try:
            package = Package(tar, index_tar(tar))
        except BaseException:
            with suppress(OSError):
                os.unlink(tar)
            raise
        os.replace(tar, self._path(package.identity, "tar"))
        self._write(self._path(package.identity, "index"), msgspec.msgpack.encode(package.items))
        if revision:
            self._write(self._path(revision, "revision"), package.identity.encode())
        self._prune()
        return package

    def of_revision(self, revision: str) -> Package | None:
        """Return the package that was made of a revision, if it is still here."""
        with suppress(OSError, ValueError, msgspec.MsgspecError):
            with open(self._path(revision, "revision")) as file:
                found = file.read()
            items = self.index(found)
            package = Package(self._path(found, "tar"), items) if items else None
            if package is not None and package.identity == found:
                return package
        return None

    def index(self, wanted: str) -> dict[str, Item] | None:
        """Return the files of a package by its identity; None: it is not known here."""
        if not wanted.isalnum():
            return None
        with suppress(OSError, msgspec.MsgspecError), open(self._path(wanted, "index"), "rb") as file:
            return msgspec.msgpack.decode(file.read(), type=dict[str, Item])
        return None

    def _path(self, name: str, kind: str) -> str:
        return os.path.join(self._folder, f"{name}.{kind}")

    def _write(self, path: str, data: bytes) -> None:
        new = f"{path}.{os.getpid()}"
        with open(new, "wb") as file:
            file.write(data)
        os.replace(new, path)

    def _prune(self) -> None:
        for kind, kept in ((".tar", _KEPT_TARS), (".index", _KEPT_INDEXES), (".revision", _KEPT_INDEXES)):
            with os.scandir(self._folder) as entries:
                found = [entry for entry in entries if entry.name.endswith(kind) and not entry.name.startswith("new-")]
            for entry in sorted(found, key=lambda entry: entry.stat().st_mtime, reverse=True)[kept:]:
                with suppress(OSError):
                    os.unlink(entry.path)
