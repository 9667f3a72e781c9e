"""The record of deployments on the control machine: who, what, when, from where, and what each step printed where.

One SQLite file (WAL, so that a reader never waits for a writer) below the state directory. A reader needs nothing else
of this package: ``Record(record_path(state_dir)).deployments()``, and ``lines(number, after)`` for a log that grows.
A writer holds the record open (``with record:``): each close of the last connection writes the log back into the file
and waits for the disk, which takes longer than all that a deployment writes. So does the end of ``with``; what was
written before is safe from our own death at once, and from the machine's from then on.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

import msgspec

from genii.errors import GeniiError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["DeploymentRow", "LogRow", "Record", "record_path"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS deployments (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL, action TEXT NOT NULL, release TEXT NOT NULL, revision TEXT NOT NULL,
    branch TEXT NOT NULL, by TEXT NOT NULL, control TEXT NOT NULL, started REAL NOT NULL, ended REAL,
    status TEXT NOT NULL, message TEXT NOT NULL, hosts TEXT NOT NULL, pid INTEGER NOT NULL, life TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS deployments_by_name ON deployments (name, number);
CREATE TABLE IF NOT EXISTS lines (
    id INTEGER PRIMARY KEY, number INTEGER NOT NULL, at REAL NOT NULL, host TEXT NOT NULL, step TEXT NOT NULL,
    kind TEXT NOT NULL, text TEXT NOT NULL, status INTEGER NOT NULL, seconds REAL NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS lines_by_deployment ON lines (number, id);
"""
_COLUMNS = "number, name, action, release, revision, branch, by, control, started, ended, status, message, hosts"


class DeploymentRow(msgspec.Struct, frozen=True, kw_only=True):
    """One deployment or roll-back. ``status`` is running, good, failed, rolled back or interrupted."""

    number: int
    name: str
    action: str
    """deploy or rollback."""
    release: str
    revision: str
    branch: str
    by: str
    control: str
    started: float
    """Seconds since the epoch, as ``ended``."""
    ended: float | None
    status: str
    message: str
    hosts: dict[str, str]
    """What became of each host."""


class LogRow(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the log. ``kind`` is begin, output or end (with status and seconds) of a step, or note."""

    id: int
    at: float
    host: str
    step: str
    kind: str
    text: str
    status: int
    seconds: float


def record_path(state_dir: str) -> str:
    """Return where the record of a configuration is."""
    return os.path.join(state_dir, "deploy.sqlite")


class Record:
    """Read and write the record; the file is made when something is first written."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._held: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        """Hold it open for what is written one after the other.

        Raises:
            GeniiError: the file can't be used, here as in all else that reads or writes.
        """
        with self._explained():
            self._held = self._open()
        return self

    def __exit__(self, *failure: object) -> None:
        """Close it; what was written is on the disk then."""
        held, self._held = self._held, None
        if held is not None:
            held.close()

    @contextmanager
    def _base(self) -> Iterator[sqlite3.Connection]:
        with self._explained():
            base = self._held or self._open()
            try:
                with base:
                    yield base
            finally:
                if base is not self._held:
                    base.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            advice = "look at the disk, or move it away: a new one is made"
            raise GeniiError(f"the record {self._path} can't be used: {error}; {advice}") from error

    # -- writing -------------------------------------------------------------------------------------------------------

    def begin(
        self, *, name: str, action: str, release: str, revision: str, branch: str, by: str, control: str,
        started: float, hosts: Sequence[str],
    ) -> int:  # fmt: skip
        """Write down that a deployment has begun; return its number."""
        with self._base() as base:
            values = (
                name, action, release, revision, branch, by, control, started, "running", "",
                msgspec.json.encode(dict.fromkeys(hosts, "")).decode(), os.getpid(), _life(os.getpid()),
            )  # fmt: skip
            cursor = base.execute(
                "INSERT INTO deployments (name, action, release, revision, branch, by, control, started, status,"
                " message, hosts, pid, life) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                values,
            )
            return int(cursor.lastrowid or 0)

    def name_release(self, number: int, release: str, revision: str, branch: str) -> None:
        """Write down what is released, once it is known."""
        with self._base() as base:
            base.execute(
                "UPDATE deployments SET release = ?, revision = ?, branch = ? WHERE number = ?",
                (release, revision, branch, number),
            )

    def add(self, number: int, rows: Iterable[tuple[float, str, str, str, str, int, float]]) -> None:
        """Add lines: (at, host, step, kind, text, status, seconds)."""
        with self._base() as base:
            base.executemany(
                "INSERT INTO lines (number, at, host, step, kind, text, status, seconds)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [(number, *row) for row in rows],
            )

    def end(self, number: int, ended: float, status: str, message: str, hosts: dict[str, str]) -> None:
        """Write down how it ended."""
        with self._base() as base:
            base.execute(
                "UPDATE deployments SET ended = ?, status = ?, message = ?, hosts = ? WHERE number = ?",
                (ended, status, message, msgspec.json.encode(hosts).decode(), number),
            )

    # -- reading -------------------------------------------------------------------------------------------------------

    def deployments(self, name: str = "", limit: int = 50) -> list[DeploymentRow]:
        """Return the last deployments, the newest first; of one name, or of all."""
        where, values = ("WHERE name = ?", (name, limit)) if name else ("", (limit,))
        return self._rows(f"{where} ORDER BY number DESC LIMIT ?", values)

    def deployment(self, number: int) -> DeploymentRow | None:
        """Return one deployment."""
        return next(iter(self._rows("WHERE number = ?", (number,))), None)

    def lines(self, number: int, after: int = 0, limit: int = 1000) -> list[LogRow]:
        """Return lines of a deployment's log in their order, those with an id above ``after``."""
        if not os.path.exists(self._path):
            return []
        with self._base() as base:
            found = base.execute(
                "SELECT id, at, host, step, kind, text, status, seconds FROM lines"
                " WHERE number = ? AND id > ? ORDER BY id LIMIT ?",
                (number, after, limit),
            )
            return [LogRow(**dict(row)) for row in found]

    def _rows(self, condition: str, values: Sequence[object]) -> list[DeploymentRow]:
        if not os.path.exists(self._path):
            return []
        with self._base() as base:
            query = f"SELECT {_COLUMNS}, pid, life FROM deployments {condition}"  # noqa: S608 -- words of ours
            return [_row(dict(row)) for row in base.execute(query, tuple(values))]

    def _open(self) -> sqlite3.Connection:
        os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
        base = sqlite3.connect(self._path, timeout=10)
        try:
            os.chmod(self._path, 0o600)
            base.row_factory = sqlite3.Row
            base.execute("PRAGMA journal_mode = WAL")
            base.execute("PRAGMA synchronous = NORMAL")
            base.executescript(_SCHEMA)
        except BaseException:
            base.close()
            raise
        return base


def _row(values: dict[str, object]) -> DeploymentRow:
    pid, life = values.pop("pid"), values.pop("life")
    if values["status"] == "running" and _life(int(str(pid))) != life:
        values["status"], values["message"] = "interrupted", "genii was killed, or this machine went down"
    values["hosts"] = msgspec.json.decode(str(values["hosts"]))
    return msgspec.convert(values, DeploymentRow)


def _life(pid: int) -> str:
    """Return what tells the life of a process from that of another with its pid: proc(5) and the boot."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat, open("/proc/sys/kernel/random/boot_id") as boot:
            return f"{stat.read().rpartition(b') ')[2].split()[19].decode()} {boot.read().strip()}"
    except OSError:
        return ""
