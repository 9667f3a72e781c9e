from __future__ import annotations

import asyncio
import contextlib
import gzip
import os
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from genii.control.follow import Follower
from genii.control.logs import Place, tail
from genii.control.timestamp import line_time

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def last(path: Path, count: int, since: float = 0.0, until: Place | None = None) -> list[str]:
    async def collect() -> list[str]:
        return [line async for lines in tail(str(path), count, since, until) for line in lines]

    return asyncio.run(collect())


@given(
    st.lists(st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]))),
    st.integers(0, 12),
    st.booleans(),
)
@settings(max_examples=60)
def test_the_last_lines_are_those_at_the_end(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], count: int, ended: bool
) -> None:
    path = tmp_path_factory.mktemp("log") / "a.log"
    text = "\n".join(lines) + ("\n" if ended and lines else "")
    path.write_bytes(text.encode())
    expected = text.split("\n")
    if expected[-1] == "":
        expected.pop()
    assert last(path, count) == (expected[-count:] if count else [])
    path.rename(f"{path}.1")
    with gzip.open(f"{path}.1.gz", "wb") as file:
        file.write(text.encode())
    os.unlink(f"{path}.1")
    assert last(path, count) == (expected[-count:] if count else [])


def rotated_logs(folder: Path) -> Path:
    path = folder / "a.log"
    path.write_text("7\n8\n")
    (folder / "a.log.1").write_text("5\n6\n")
    with gzip.open(folder / "a.log.2.gz", "wb") as file:
        file.write(b"3\n4\n")
    with gzip.open(folder / "a.log.3.gz", "wb") as file:
        file.write(b"1\n2\n")
    return path


def test_lines_are_taken_from_as_many_files_as_it_needs(tmp_path: Path) -> None:
    path = rotated_logs(tmp_path)
    assert [last(path, count) for count in (1, 2, 3, 5, 99)] == [
        ["8"], ["7", "8"], ["6", "7", "8"], ["4", "5", "6", "7", "8"], list("12345678")
    ]  # fmt: skip
    assert last(path, -1) == list("12345678")


def test_since_leaves_old_files_and_lines_out(tmp_path: Path) -> None:
    path = rotated_logs(tmp_path)
    for name in ("a.log.2.gz", "a.log.3.gz"):
        os.utime(tmp_path / name, (1000, 1000))
    assert last(path, -1, since=2000.0) == list("5678")
    path.write_text("2026-11-21T08:00:00Z a\n2026-11-21T09:00:00Z b\n  more of b\n")
    moment = line_time("2026-11-21T08:30:00Z")
    assert moment is not None
    os.unlink(tmp_path / "a.log.1")
    assert last(path, -1, since=moment) == ["2026-11-21T09:00:00Z b", "  more of b"]


def test_a_gigantic_line_comes_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"x" * 1_000_000 + b"\nend\n")
    lines = last(path, 2)
    assert max(map(len, lines)) <= 128 << 10
    assert "".join(lines) == "x" * 1_000_000 + "end"


def test_bytes_that_are_no_text_are_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"\xff\xfe ok\r\n")
    assert last(path, 1) == ["\ufffd\ufffd ok"]


def test_a_log_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert last(tmp_path / "none.log", 10) == []


def test_reads_the_times_that_lines_begin_with() -> None:
    moment = line_time("2026-11-21T08:00:00Z x")
    assert moment == 1795248000.0
    assert line_time("[2026-11-21 08:00:00.250+00:00] x") == moment + 0.25
    assert line_time("2026-11-21 10:00:00,5+02:00") == moment + 0.5
    assert line_time("2026-13-41 10:00:00") is None
    assert line_time("web started 2026-11-21 10:00:00") is None
    assert line_time("") is None


def rotate(path: Path) -> None:
    number = 1
    while os.path.exists(f"{path}.{number}"):
        number += 1
    for older in range(number, 1, -1):
        os.rename(f"{path}.{older - 1}", f"{path}.{older}")
    os.rename(path, f"{path}.1")
    path.touch()


def test_follows_over_rotations_without_losing_a_line(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("before\npart")

    async def main() -> None:
        seen: list[str] = []
        with Follower(str(path)) as follower:
            assert last_before(follower, path) == ["before"]
            lines = follower.lines()
            with path.open("a") as file:
                file.write(" done\n1\n")
            seen += await anext(lines)
            for number in range(2, 30):
                if number % 3 == 0:
                    rotate(path)
                if number % 5 == 0:
                    rotate(path)
                with path.open("a") as file:
                    file.write(f"{number}\n")
            async with asyncio.timeout(20):
                while "29" not in seen:
                    seen += await anext(lines)
        assert seen == ["part done", *map(str, range(1, 30))]

    def last_before(follower: Follower, path: Path) -> list[str]:
        assert follower.place is not None
        with path.open("rb") as file:
            return file.read(follower.place.offset).decode().splitlines()

    asyncio.run(main())


def test_follows_a_log_that_is_made_later_and_one_that_is_emptied(tmp_path: Path) -> None:
    path = tmp_path / "a.log"

    async def main() -> None:
        with Follower(str(path)) as follower:
            assert follower.place is None
            lines = follower.lines()
            waiting = asyncio.ensure_future(anext(lines))
            await asyncio.sleep(0)
            path.write_text("first\n")
            async with asyncio.timeout(20):
                assert await waiting == ["first"]
                waiting = asyncio.ensure_future(anext(lines))
                await asyncio.sleep(0)
                os.truncate(path, 0)
                with path.open("a") as file:
                    file.write("2\n")
                assert await waiting == ["2"]

    asyncio.run(main())


def test_what_is_followed_and_what_was_before_join_without_a_gap(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("1\n2\n")
    with Follower(str(path)) as follower:
        rotate(path)
        path.write_text("3\n")
        assert last(path, 10, until=follower.place) == ["1", "2"]

        async def main() -> None:
            async with asyncio.timeout(20):
                assert await anext(follower.lines()) == ["3"]

        asyncio.run(main())


def test_goes_on_at_a_place_wherever_rotation_has_moved_it(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("1\n2\npart")

    async def read(follower: Follower, last: str) -> list[str]:
        seen: list[str] = []
        async with asyncio.timeout(20):
            async for lines in follower.lines():
                seen += lines
                if seen[-1] == last:
                    return seen
        raise AssertionError

    async def main() -> None:
        with Follower(str(path)) as follower:
            place = follower.here
        assert place is not None
        assert place.offset == 4
        with path.open("a") as file:
            file.write(" is whole\n")
        for number in (3, 4):
            rotate(path)
            path.write_text(f"{number}\nunfinished")
        after = {(place.device, place.inode): place.offset}
        with Follower(str(path), after) as follower:
            assert follower.place is None
            assert await read(follower, "4") == ["part is whole", "3", "unfinished", "4"]
            place = follower.here
        assert place is not None
        with path.open("a") as file:
            file.write(" 5\n")
        with Follower(str(path), {(place.device, place.inode): place.offset}) as follower:
            assert await read(follower, "unfinished 5") == ["unfinished 5"]
        with Follower(str(path), {(place.device, 0): 7}) as follower:  # it is gone: with what there is
            assert await read(follower, "unfinished 5") == ["4", "unfinished 5"]

    asyncio.run(main())


@given(device=st.integers(0, 1 << 64), inode=st.integers(0, 1 << 64), offset=st.integers(0, 1 << 64))
def test_a_place_is_read_as_it_was_written(device: int, inode: int, offset: int) -> None:
    place = Place(device, inode, offset)
    assert Place.parse(str(place)) == place


@given(st.text() | st.from_regex(r"[0-9a-f_+-]*(\.[0-9a-f-]*)*", fullmatch=True))
def test_what_is_no_place_is_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert Place.parse(text).offset >= 0


def test_a_follower_that_is_left_takes_nobody_elses_descriptor_with_it(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        follower = Follower(str(path))
        lines = follower.lines()
        with path.open("a") as file:
            file.write("one\n")
        assert await anext(lines) == ["one"]
        number = follower._watcher.fileno()
        follower.close()
        reading, writing = os.pipe()
        os.dup2(reading, number)
        arrived = asyncio.Event()
        loop.add_reader(number, arrived.set)
        await lines.aclose()  # type: ignore[attr-defined]
        os.write(writing, b"x")
        await asyncio.wait_for(arrived.wait(), 20)
        loop.remove_reader(number)
        for descriptor in {number, reading, writing}:  # the pipe may have got the number by itself
            os.close(descriptor)

    asyncio.run(main())
