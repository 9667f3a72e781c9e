"""Files and trees to and from one host: only what differs, checked, in place at once, and going on where it broke off.

Everything goes through commands (``cat``, ``tar``, ``sha256sum``, ``stat``; GNU's or busybox's), so that it works over
every transport, and with sudo. A file grows beside its place under a name made of its checksum, and is renamed when the
checksum is right: nobody sees half a file, and what was cut off is continued.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass, replace
from functools import partial
from io import FileIO
from typing import TYPE_CHECKING

from genii.errors import CommandFailed, PeerError, UsageError
from genii.fleet.capture import Capture
from genii.fleet.execute import execute
from genii.fleet.manifest import Entry, differing, listing_command, part_name, read_listing
from genii.fleet.tree import SUMS, checksum, read_pieces, tar_pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from genii.fleet.command import Command
    from genii.fleet.transport import Connection

__all__ = ["Access", "Get", "Moved", "Put", "get", "put"]

_LARGE = 1 << 18
"""From this size on a file is sent by itself, so that it can be continued."""
_FEW = 3
_CUT_OFF = 75
_MOST_SAID = 1 << 26


@dataclass(frozen=True, slots=True)
class Moved:
    """What was moved between two places."""

    files: int = 0
    bytes: int = 0
    same: int = 0
    """How many files were there already."""


@dataclass(frozen=True, slots=True)
class Access:
    """As whom the commands run, and how long each may take."""

    command: Command
    """A pattern for all of them: sudo, user."""
    password: str | None = None
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class Put:
    """What is to be sent where."""

    source: str
    entries: Sequence[Entry]
    """What ``tree.scan`` found."""
    destination: str
    is_tree: bool
    access: Access
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Get:
    """What is to be fetched into which folder."""

    source: str
    destination: str
    access: Access
    dry_run: bool = False


class _Shell:
    """Run the commands of a transfer on one host."""

    def __init__(self, connection: Connection, access: Access) -> None:
        self._connection = connection
        self._access = access

    async def run(self, text: str, source: Iterable[bytes] | None = None) -> bytes:
        """Run a command and return what it says.

        Raises:
            CommandFailed: it failed.
        """
        said = Capture(_MOST_SAID)
        await self.stream(text, said.add, source)
        if not said.whole:
            raise PeerError(f"{self._connection.host.name}: the list of files is too long")
        return said.kept

    async def stream(
        self, text: str, on_output: Callable[[bytes], object], source: Iterable[bytes] | None = None
    ) -> None:
        errors = Capture(1 << 12)
        status = await execute(
            self._connection,
            replace(self._access.command, text=text),
            on_output=on_output,
            on_error=errors.add,
            password=self._access.password,
            timeout=self._access.timeout,
            source=source,
            wrapped=True,
        )
        if status:
            said = errors.kept.decode("utf-8", "replace").strip().splitlines()
            reason = said[-1] if said else f"exit {status}"
            raise CommandFailed(f"{self._connection.host.name}: {reason}", status)


# -- put --------------------------------------------------------------------------------------------------------------


async def put(connection: Connection, order: Put, on_bytes: Callable[[int], object] = lambda _: None) -> Moved:
    """Bring files to a host; ``on_bytes`` is told how many bytes were sent.

    Raises:
        CommandFailed: the host can't write them (full disk, permissions), or they did not arrive whole.
        ConnectionFailed: the connection broke; the next attempt goes on from there.
    """
    shell = _Shell(connection, order.access)
    base, entries = await _place(shell, order)
    there = await _look(shell, base, entries)
    wanted = differing(entries, there)
    files = [entry for entry in wanted if entry.kind == "f"]
    moved = Moved(len(files), sum(entry.size for entry in files), sum(e.kind == "f" for e in entries) - len(files))
    if order.dry_run or not wanted:
        return moved
    by_itself = [entry for entry in files if entry.size >= _LARGE or len(wanted) <= _FEW]
    source = order.source if order.is_tree else os.path.dirname(order.source)
    together = [entry for entry in wanted if entry not in by_itself]
    if together:
        await shell.run(_unpack(base, together), _counted(tar_pieces(source, together), on_bytes))
    for entry in by_itself:
        origin = os.path.join(source, entry.path) if order.is_tree else order.source
        await _send(shell, base, entry, origin, there, on_bytes)
    if folders := [entry for entry in together if entry.kind == "d"]:
        await shell.run(_modes(base, folders))
    return moved


async def _place(shell: _Shell, order: Put) -> tuple[str, Sequence[Entry]]:
    """Return the folder on the host, and the entries below it; a file goes into a directory that is there."""
    destination = _expanded(order.destination)
    if order.is_tree:
        return destination, order.entries
    entry = order.entries[0]
    if not destination.endswith("/") and destination not in (".", ""):
        inside = await shell.run(f"test -d {shlex.quote(_safe(destination))} && echo inside || true")
        if not inside:
            folder, _, name = destination.rpartition("/")
            return folder or ("/" if destination.startswith("/") else "."), [replace(entry, path=name)]
    return destination or ".", [entry]


def _expanded(path: str) -> str:
    """Return a path of the host: ~ is where its commands begin."""
    return "." if path in ("", "~") else path.removeprefix("~/") or "."


def _safe(path: str) -> str:
    return f"./{path}" if path.startswith("-") else path


async def _look(shell: _Shell, base: str, entries: Sequence[Entry]) -> dict[str, Entry]:
    """Ask what is there already: the entries themselves, links' targets, and parts of large files."""
    paths = [_safe(entry.path) for entry in entries]
    paths += [_safe(part_name(entry.path, entry.digest)) for entry in entries if entry.kind == "f"]
    links = [entry.path for entry in entries if entry.kind == "l"]
    text = f"cd -- {shlex.quote(base)} 2>/dev/null || exit 0; {listing_command()}"
    listed = "".join(f"{path}\n" for path in paths).encode("utf-8", "surrogateescape")
    found = read_listing(await shell.run(text, [listed]))
    for path in links:
        if path in found and found[path].kind == "l":
            target = await shell.run(f"cd -- {shlex.quote(base)} && readlink -- {shlex.quote(path)}")
            found[path] = replace(found[path], digest=target.decode("utf-8", "surrogateescape").rstrip("\n"))
    return {path.removeprefix("./"): entry for path, entry in found.items()}


def _unpack(base: str, entries: Sequence[Entry]) -> str:
    """Return shell text that unpacks a tar stream beside the place, checks it, and moves it there."""
    checked = f"sha256sum -c {SUMS} >/dev/null" if any(entry.kind == "f" for entry in entries) else ":"
    return (
        f'set -e; umask 022; b={shlex.quote(base)}; mkdir -p -- "$b"; cd -- "$b"; t=$(mktemp -d ./.genii-XXXXXX); '
        "trap 'cd ..; rm -rf -- \"$t\"' EXIT; trap 'exit 143' HUP INT TERM; "
        f'tar -xpof - -C "$t"; cd "$t"; {checked}; rm -f {SUMS}; '
        "find . -type d ! -name . -exec sh -c 'for d; do mkdir -p -- \"../$d\"; done' sh {} +; "
        'find . ! -type d -exec sh -c \'for f; do mv -f -- "$f" "../$f" || exit 1; done\' sh {} +'
    )


def _modes(base: str, folders: Sequence[Entry]) -> str:
    orders = "; ".join(f"chmod {entry.mode:o} -- {shlex.quote(entry.path)}" for entry in reversed(folders))
    return f"set -e; cd -- {shlex.quote(base)}; {orders}"


async def _send(
    shell: _Shell, base: str, entry: Entry, origin: str, there: dict[str, Entry], on_bytes: Callable[[int], object]
) -> None:
    """Send one file, going on with a part of it that is there; a part that proves wrong is sent anew."""
    other = there.get(entry.path)
    if other is not None and other.kind == "f" and other.digest == entry.digest:
        await shell.run(_modes(base, [entry]))
        return
    part = there.get(part_name(entry.path, entry.digest))
    offset = part.size if part is not None and part.size <= entry.size else 0
    for begin in dict.fromkeys((offset, 0)):
        try:
            await shell.run(_receive(base, entry, begin), _counted(read_pieces(origin, begin), on_bytes))
            return
        except CommandFailed:
            if begin == 0:
                raise


def _receive(base: str, entry: Entry, offset: int) -> str:
    """Return shell text that takes the rest of a file, checks it, and puts it in its place."""
    folder, _, _ = entry.path.rpartition("/")
    part = part_name(entry.path, entry.digest)
    return (
        f'umask 077; b={shlex.quote(base)}; mkdir -p -- "$b" && cd -- "$b" || exit; '
        + (f"(umask 022; mkdir -p -- {shlex.quote(folder)}) || exit; " if folder else "")
        + f'p={shlex.quote(_safe(part))}; cat {">>" if offset else ">"}"$p" || {{ rm -f -- "$p"; exit 1; }}; '
        # Less than all of it: the connection was cut, and what is there is for the next attempt.
        f"[ $(stat -c %s -- \"$p\") -ge {entry.size} ] || {{ echo 'cut off' >&2; exit {_CUT_OFF}; }}; "
        # openssl's takes a quarter of the time; not each host has it.
        f's=$(openssl dgst -sha256 -r <"$p" 2>/dev/null || sha256sum <"$p") && [ "${{s%% *}}" = {entry.digest} ] || '
        "{ rm -f -- \"$p\"; echo 'it did not arrive whole (checksum)' >&2; exit 1; }; "
        f'chmod {entry.mode:o} -- "$p" && touch -d @{entry.modified} -- "$p" && '
        f'mv -f -- "$p" {shlex.quote(_safe(entry.path))}'
    )


def _counted(pieces: Iterable[bytes], on_bytes: Callable[[int], object]) -> Iterable[bytes]:
    for piece in pieces:
        yield piece
        on_bytes(len(piece))


# -- get --------------------------------------------------------------------------------------------------------------


async def get(connection: Connection, order: Get, on_bytes: Callable[[int], object] = lambda _: None) -> Moved:
    """Fetch a file, or what is below a directory, from a host; symbolic links are left out.

    Raises:
        CommandFailed: there is no such file, or it can't be read.
        UsageError: it can't be written here.
        ConnectionFailed: the connection broke; the next attempt goes on from there.
    """
    shell = _Shell(connection, order.access)
    source = _expanded(order.source).rstrip("/") or "/"
    quoted = shlex.quote(_safe(source))
    missing = f"test -e {quoted} || {{ echo {quoted}: no such file >&2; exit 1; }}"
    text = f"{missing}; find {quoted} -type f | {listing_command()}"
    found = read_listing(await shell.run(text))
    moved = Moved()
    for path, entry in sorted(found.items()):
        target = _target(order.destination, _safe(source), path)
        if _has(target, entry):
            moved = replace(moved, same=moved.same + 1)
            continue
        if not order.dry_run:
            await _fetch(shell, path, entry, target, on_bytes)
        moved = replace(moved, files=moved.files + 1, bytes=moved.bytes + entry.size)
    return moved


def _target(destination: str, source: str, path: str) -> str:
    """Return where a file of the host belongs here; the host has no say in which folder that is below ours."""
    relative = os.path.basename(source) if path == source else path.removeprefix(source).lstrip("/")
    parts = relative.split("/")
    if ".." in parts or not relative or not path.startswith(source):
        raise PeerError(f"the host names a file outside of what was asked for: {path!r}")
    return os.path.join(destination, *parts)


def _has(target: str, entry: Entry) -> bool:
    if not os.path.isfile(target) or os.path.getsize(target) != entry.size or checksum(target) != entry.digest:
        return False
    os.chmod(target, entry.mode & 0o777)
    return True


async def _fetch(shell: _Shell, path: str, entry: Entry, target: str, on_bytes: Callable[[int], object]) -> None:
    part = part_name(target, entry.digest)
    try:
        offset = _size(part)
        for begin in dict.fromkeys((offset if offset <= entry.size else 0, 0)):
            with _open(part, begin) as file:
                receive = partial(_receive_piece, file, on_bytes)
                await shell.stream(f"tail -c +{begin + 1} -- {shlex.quote(path)}", receive)
            if _settle(part, entry, target):
                return
    except OSError as error:
        raise UsageError(f"{error.filename or target}: {error.strerror}") from error
    raise CommandFailed(f"{path}: it changed while it was fetched, or did not arrive whole (checksum)", 1)


def _size(path: str) -> int:
    return os.path.getsize(path) if os.path.exists(path) else 0


def _open(path: str, offset: int) -> FileIO:
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    return FileIO(path, "ab" if offset else "wb")


def _receive_piece(file: FileIO, on_bytes: Callable[[int], object], data: bytes) -> None:
    file.write(data)
    on_bytes(len(data))


def _settle(part: str, entry: Entry, target: str) -> bool:
    """Put a part in its place if it is whole, else remove it."""
    if checksum(part) != entry.digest:
        os.unlink(part)
        return False
    os.chmod(part, entry.mode & 0o777)
    os.replace(part, target)
    return True
