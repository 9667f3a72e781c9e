"""Measure the job server: python bench/jobs.py [submit|storage] (gearmand beside it where it is installed).

submit: background jobs of 100 bytes accepted a second by each server, 200 unanswered at once on 4 connections.
storage: the journal's log beside SQLite (WAL, synchronous=FULL), the same jobs in the same groups.
"""

from __future__ import annotations

import selectors
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from genii.gearman.journal import Writer
from genii.gearman.protocol import HEADER, Kind, request
from genii.gearman.records import encode_batch, encode_submitted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECONDS = 3.0
DEPTH = 50
CONNECTIONS = 4
PAYLOAD = b"x" * 100


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def server(words: list[str], port: int) -> Iterator[None]:
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield
    finally:
        process.kill()
        process.wait()


def submit(port: int) -> float:
    """Submit for some seconds; return how many jobs were accepted a second."""
    selector = selectors.DefaultSelector()
    number = accepted = 0
    rests: dict[socket.socket, bytes] = {}

    def packets(count: int) -> bytes:
        nonlocal number
        number += count
        # gearmand with SQLite keeps one job for each unique id, so each has its own
        return b"".join(request(Kind.SUBMIT_JOB_BG, b"bench", b"u%d" % (number - n), PAYLOAD) for n in range(count))

    for _ in range(CONNECTIONS):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(packets(DEPTH))
        selector.register(connection, selectors.EVENT_READ)
        rests[connection] = b""
    begin = time.perf_counter()
    while (now := time.perf_counter()) - begin < SECONDS:
        for key, _ in selector.select(1.0):
            assert isinstance(key.fileobj, socket.socket)
            connection = key.fileobj
            data = rests[connection] + connection.recv(1 << 18)
            position = count = 0
            while len(data) - position >= 12:
                _, kind, size = HEADER.unpack_from(data, position)
                if len(data) - position < 12 + size:
                    break
                assert kind == Kind.JOB_CREATED, data[position:][:100]
                position += 12 + size
                count += 1
            rests[connection] = data[position:]
            accepted += count
            connection.sendall(packets(count))
    for connection in rests:
        connection.close()
    return accepted / (now - begin)


def measure_submit() -> None:
    python = shutil.which("genii", path=str(Path(sys.executable).parent)) or "genii"
    gearmand = shutil.which("gearmand", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        ours = [python, "jobs", "serve", "-p", str(port)]
        theirs = [
            gearmand or "",
            "-L",
            "127.0.0.1",
            "-p",
            str(port),
            "-l",
            "none",
            f"--pid-file={folder}/pid",
            "-t",
            "1",
        ]
        servers = {
            "genii, in memory": [*ours, "-q", "builtin"],
            "genii, durable (group)": [*ours, "--journal", f"{folder}/group"],
            "genii, durable (each)": [*ours, "--journal", f"{folder}/each", "--durability", "each"],
            "genii, kernel only (none)": [*ours, "--journal", f"{folder}/none", "--durability", "none"],
        }
        if gearmand:
            servers["gearmand -t 1, in memory"] = theirs
            servers["gearmand -t 1, SQLite"] = [*theirs, "-q", "libsqlite3", f"--libsqlite3-db={folder}/queue.db"]
        for name, words in servers.items():
            with server(words, port):
                print(f"{name:28} {submit(port):10,.0f} jobs/s", flush=True)


def measure_storage() -> None:
    groups, size = 200, 200
    records = [encode_submitted(number, 1, 0, b"bench", b"", b"", PAYLOAD) for number in range(size)]
    with tempfile.TemporaryDirectory(dir=".") as folder:
        print(f"{groups} groups of {size} jobs, each synced, in {Path(folder).parent.absolute()}")
        for number in range(3):
            log = timed(lambda: write_log(Path(folder), records, groups), groups * size)
            sqlite = timed(lambda: write_sqlite(f"{folder}/db{number}", size, groups), groups * size)  # noqa: B023
            print(f"log {log:10,.0f} jobs/s   SQLite {sqlite:10,.0f} jobs/s   {log / sqlite:.2f}")


def timed(action: Callable[[], None], jobs: int) -> float:
    begin = time.perf_counter()
    action()
    return jobs / (time.perf_counter() - begin)


def write_log(folder: Path, records: list[bytes], groups: int) -> None:
    writer = Writer(folder, 64 << 20)
    for _ in range(groups):
        writer.append([encode_batch(records)], sync=True)
    writer.close()


def write_sqlite(path: str, size: int, groups: int) -> None:
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute(
        "CREATE TABLE jobs (number INTEGER PRIMARY KEY, priority, time, function, uniq, reducer, payload BLOB)"
    )
    number = 0
    for _ in range(groups):
        database.execute("BEGIN")
        rows = [(number + n, 1, 0, "bench", "", "", PAYLOAD) for n in range(size)]
        database.executemany("INSERT INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        database.execute("COMMIT")
        number += size
    database.close()


if __name__ == "__main__":
    for what in sys.argv[1:] or ["submit", "storage"]:
        {"submit": measure_submit, "storage": measure_storage}[what]()
