"""What a tree of files is made of, and which of it differs between two places. No I/O."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from genii.errors import PeerError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Entry", "differing", "listing_command", "part_name", "read_listing"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One file, directory or symbolic link; ``path`` is relative to the top of its tree."""

    path: str
    kind: str
    """``f``, ``d`` or ``l``."""
    mode: int = 0o644
    size: int = 0
    digest: str = ""
    """SHA-256 of a file's contents, in hex; of a link: where it leads."""
    modified: int = 0


def differing(wanted: Iterable[Entry], there: Mapping[str, Entry]) -> list[Entry]:
    """Return what is missing or other at the other place, in mode or contents.

    Raises:
        PeerError: a file is wanted where there is a directory, or the other way round.
    """
    found = []
    for entry in wanted:
        other = there.get(entry.path)
        if other is not None and (other.kind == "d") != (entry.kind == "d"):
            raise PeerError(f"{entry.path} is {_kind(other)} there and {_kind(entry)} here; remove one of them")
        same = other is not None and (entry.kind, entry.digest) == (other.kind, other.digest)
        if not same or (entry.kind != "l" and other is not None and entry.mode != other.mode):
            found.append(entry)
    return found


def _kind(entry: Entry) -> str:
    return {"d": "a directory", "l": "a symbolic link"}.get(entry.kind, "a file")


def part_name(path: str, digest: str) -> str:
    """Return the path of the file that grows until it is whole; the same for the same contents, so that it goes on."""
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}.{name[:180]}.genii-{digest[:16]}"


def listing_command() -> str:
    """Return shell text that tells type, mode, size and checksum of each path on its input; for GNU and busybox."""
    # The input is lines: xargs -0 would do without tr, but then names could not come from a shell either.
    inner = 'stat -c \'s %f %s %n\' -- "$@" 2>/dev/null; sha256sum -- "$@" 2>/dev/null; true'
    return f"tr '\\n' '\\000' | xargs -0 sh -c '{_quoted(inner)}' sh"


def _quoted(text: str) -> str:
    return text.replace("'", "'\\''")


def read_listing(text: bytes) -> dict[str, Entry]:
    """Read what ``listing_command`` says, by path.

    Raises:
        PeerError: a line is none of its lines.
    """
    modes: dict[str, tuple[int, int]] = {}
    digests: dict[str, str] = {}
    for raw in text.split(b"\n"):
        line = raw.decode("utf-8", "surrogateescape")
        if not line:
            continue
        if line.startswith("s "):
            _, hexadecimal, length, path = line.split(" ", 3)
            modes[path] = (int(hexadecimal, 16), int(length))
        elif len(line) > 66 and line[64:66] == "  ":
            digests[line[66:]] = line[:64]
        else:
            raise PeerError(f"the host lists its files in an unknown way: {line[:80]!r}")
    found = {}
    for path, (mode, size) in modes.items():
        kind = "d" if stat.S_ISDIR(mode) else "l" if stat.S_ISLNK(mode) else "f"
        digest = digests.get(path, "") if kind == "f" else ""
        found[path] = Entry(path, kind, stat.S_IMODE(mode), size, digest)
    return found
