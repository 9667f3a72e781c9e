"""Log files on a real file system."""

from __future__ import annotations

import os
import resource
import signal
from typing import TYPE_CHECKING

import pytest

from genii.supervise.logfile import LogFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def append(log: LogFile, data: bytes, now: float = 0.0) -> None:
    log.append(bytearray(data), len(data), now)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[LogFile]:
    file = LogFile(str(tmp_path / "logs" / "web.log"), 100, 2, 0.0, compress=False)
    yield file
    file.close()


def read(log: LogFile, suffix: str = "") -> bytes:
    with open(log.path + suffix, "rb") as file:
        return file.read()


def test_makes_its_folder_and_appends(log: LogFile) -> None:
    append(log, b"one\n")
    append(log, b"two\n")
    assert read(log) == b"one\ntwo\n"
    assert os.stat(log.path).st_mode & 0o777 == 0o640


def test_rotates_between_lines_and_keeps_the_backups(log: LogFile) -> None:
    for number in range(40):
        append(log, b"line %04d\n" % number)
    assert read(log, ".2") + read(log, ".1") + read(log) == b"".join(b"line %04d\n" % n for n in range(10, 40))
    assert not os.path.exists(log.path + ".3")


def test_goes_on_where_an_earlier_process_stopped(log: LogFile) -> None:
    append(log, b"x" * 95 + b"\n")
    log.close()
    again = LogFile(log.path, 100, 2, 0.0, compress=False)
    append(again, b"next line\n")
    again.close()
    assert read(log, ".1") == b"x" * 95 + b"\n"
    assert read(log) == b"next line\n"


def test_without_backups_it_begins_anew(tmp_path: Path) -> None:
    log = LogFile(str(tmp_path / "a.log"), 10, 0, 0.0, compress=False)
    append(log, b"12345678\n")
    append(log, b"abcdefgh\n")
    log.close()
    assert os.listdir(tmp_path) == ["a.log"]
    assert read(log) == b"abcdefgh\n"


def test_follows_when_somebody_removes_or_truncates_the_file(log: LogFile) -> None:
    append(log, b"one\n", now=0.0)
    os.unlink(log.path)
    append(log, b"two\n", now=2.0)
    assert read(log) == b"two\n"
    os.truncate(log.path, 0)
    append(log, b"three\n", now=4.0)
    assert read(log) == b"three\n"
    assert log.written == 6


def test_clearing_empties_the_same_file_so_that_a_reader_never_misses_it(log: LogFile) -> None:
    append(log, b"a" * 99 + b"\n" + b"b\n")
    before = os.stat(log.path).st_ino
    log.clear(0.0)
    assert (read(log), os.stat(log.path).st_ino) == (b"", before)
    assert not os.path.exists(log.path + ".1")
    append(log, b"c\n")
    assert read(log) == b"c\n"


def test_rotates_by_time(tmp_path: Path) -> None:
    log = LogFile(str(tmp_path / "a.log"), 0, 2, 86400.0, compress=False)
    append(log, b"yesterday\n", now=0.0)
    os.utime(log.path, (0, 0))
    log.close()
    append(log, b"today\n", now=2.0)
    log.close()
    assert read(log, ".1") == b"yesterday\n"
    assert read(log) == b"today\n"


@pytest.fixture
def small_files() -> Iterator[None]:
    """Let no file grow beyond 64 bytes: writes then fail as on a full disk (EFBIG for ENOSPC)."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_keeps_output_while_the_disk_is_full_and_writes_it_later(tmp_path: Path, small_files: None) -> None:
    log = LogFile(str(tmp_path / "a.log"), 0, 0, 0.0, compress=False)
    for number in range(12):
        append(log, b"line %04d\n" % number)
    assert "a.log" in log.problem
    assert log.lost == 0
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert not log.retry(0.5), "at most once a second"
    assert log.retry(1.5)
    append(log, b"line 0012\n", now=1.6)
    log.close()
    assert read(log) == b"".join(b"line %04d\n" % n for n in range(13))


def test_counts_and_tells_what_it_had_to_throw_away(tmp_path: Path, small_files: None) -> None:
    log = LogFile(str(tmp_path / "a.log"), 0, 0, 0.0, compress=False)
    line = b"x" * 999 + b"\n"
    for _ in range(400):
        append(log, line)
    append(log, b"half a l")
    assert log.lost > 100_000
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    append(log, b"ine\nwhole\n", now=5.0)
    log.close()
    lines = read(log).splitlines()
    assert lines[-1] == b"whole"
    assert lines[-2].startswith(b"[genii: ")
    assert b"bytes of output lost here" in lines[-2]
    assert set(map(len, lines[:-2])) == {999}


def test_a_rotated_file_may_be_read_by_whom_the_old_one_could_be(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.touch()
    path.chmod(0o664)
    log = LogFile(str(path), 10, 1, 0.0, compress=False)
    for _ in range(3):
        log.append(bytearray(b"0123456789\n"), 11, 5.0)
    log.close()
    assert (tmp_path / "a.log.1").exists()
    assert path.stat().st_mode & 0o777 == 0o664


def test_a_file_that_was_closed_is_opened_at_the_next_line(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    log = LogFile(str(path), 0, 1, 0.0, compress=False)
    append(log, b"one\n", 5.0)
    path.rename(tmp_path / "moved")
    log.close()
    append(log, b"two\n", 5.1)
    log.close()
    assert path.read_bytes() == b"two\n"
