"""Where a stream of lines is cut into files."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from genii.supervise.rotation import LONGEST_LINE, backup_names, next_boundary, split


def test_writes_everything_while_there_is_room() -> None:
    assert split(b"one\ntwo\n", 8, 10, 100, at_line_start=True) == (8, False)
    assert split(b"one\n", 4, 10**9, 0, at_line_start=True) == (4, False)


def test_cuts_after_the_last_line_that_fits() -> None:
    assert split(b"one\ntwo\nthree\n", 14, 90, 100, at_line_start=True) == (8, True)


def test_a_line_that_does_not_fit_goes_to_the_next_file() -> None:
    assert split(b"twelve bytes\n", 13, 95, 100, at_line_start=True) == (0, True)


def test_a_line_that_has_begun_ends_in_its_file() -> None:
    assert split(b"the end\nnew\n", 12, 98, 100, at_line_start=False) == (8, True)


def test_a_line_longer_than_a_file_is_not_cut() -> None:
    assert split(b"x" * 50, 50, 0, 10, at_line_start=True) == (50, False)


def test_an_endless_line_is_cut_in_the_end() -> None:
    count, rotate = split(b"x" * 100, 100, 10 + LONGEST_LINE - 30, 10, at_line_start=False)
    assert (count, rotate) == (30, True)


def test_renames_the_oldest_first() -> None:
    assert backup_names("a", 3) == [("a.2", "a.3"), ("a.1", "a.2"), ("a", "a.1")]
    assert backup_names("a", 1) == [("a", "a.1")]


def test_daily_rotation_is_at_local_midnight() -> None:
    two_hours = 7200.0
    assert next_boundary(1_000_000.0, 86400.0, two_hours) == 1_029_600.0
    assert (next_boundary(1_000_000.0, 86400.0, two_hours) + two_hours) % 86400 == 0


@given(
    st.lists(st.binary(min_size=0, max_size=30).map(lambda line: line.replace(b"\n", b"") + b"\n"), max_size=60),
    st.integers(1, 100),
    st.integers(10, 80),
)
def test_no_line_is_split_lost_or_doubled(lines: list[bytes], block: int, limit: int) -> None:
    data = b"".join(lines)
    files, start = [b""], True
    for offset in range(0, len(data), block):
        chunk = data[offset : offset + block]
        while chunk:
            here, rotate = split(chunk, len(chunk), len(files[-1]), limit, at_line_start=start)
            files[-1] += chunk[:here]
            start = not files[-1] or files[-1].endswith(b"\n")
            chunk = chunk[here:]
            if rotate:
                files.append(b"")
                start = True
    assert b"".join(files) == data
    assert all(not part or part.endswith(b"\n") for part in files)
    assert all(len(part) <= limit + 31 for part in files)
