"""The page on which a worker writes what it does."""

from __future__ import annotations

import os
import time

from hypothesis import given
from hypothesis import strategies as st

from genii.system.worksheet import Worksheet, read_worksheet


def test_says_what_was_written_last() -> None:
    sheet = Worksheet()
    try:
        first = read_worksheet(os.getpid())
        assert first is not None
        assert (first.busy, first.done, first.left, first.job) == (False, 0, None, "")
        before = time.time()
        sheet.write(busy=True, done=3, left=7, job="Thumbs::resize ü".encode())
        work = read_worksheet(os.getpid())
        assert work is not None
        assert work._replace(since=0.0) == (True, 0.0, 3, 7, "Thumbs::resize ü")
        assert before <= work.since <= time.time()
    finally:
        sheet.close()
    assert read_worksheet(os.getpid()) is None


def test_nothing_is_known_of_who_writes_nothing() -> None:
    assert read_worksheet(1 << 22) is None  # beyond the greatest pid
    assert read_worksheet(os.getpid()) is None


@given(st.binary(max_size=600), st.integers(0, 2**62), st.none() | st.integers(0, 2**62))
def test_any_name_and_number_can_be_written(job: bytes, done: int, left: int | None) -> None:
    sheet = Worksheet()
    try:
        sheet.write(busy=True, done=done, left=left, job=job)
        work = read_worksheet(os.getpid())
        assert work is not None
        assert (work.done, work.left) == (done, left)
        assert work.job == job[:224].rstrip(b"\0").decode(errors="replace")
    finally:
        sheet.close()
