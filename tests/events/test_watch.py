from __future__ import annotations

import asyncio
import os
import shutil
from typing import TYPE_CHECKING

import pytest

from genii.events.watch import Watcher

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from genii.events.snapshot import Batch, Change

PATIENCE = 20.0


def touch(path: Path) -> None:
    path.write_text("x")


def told(change: Change, top: Path) -> tuple[str, str]:
    return str(change.kind), os.path.relpath(change.path, top)


async def gather(watcher: Watcher, done: Callable[[set[tuple[str, str]]], bool], top: Path) -> set[tuple[str, str]]:
    """Take batches until ``done`` says that all is there; return the changes as (kind, relative path)."""
    seen: set[tuple[str, str]] = set()
    async with asyncio.timeout(PATIENCE):
        while not done(seen):
            for change in await watcher.wait_batch():
                seen.add(told(change, top))
    return seen


def observe(top: Path, act: Callable[[], None], *expected: tuple[str, str], watcher: Watcher | None = None) -> None:
    """Hold that ``act`` leads to exactly the changes that are expected, in one batch or several."""

    async def main() -> None:
        async with watcher or Watcher(top, debounce=0.02) as watching:
            act()
            assert await gather(watching, lambda seen: seen >= set(expected), top) == set(expected)

    asyncio.run(main())


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def patient() -> None:
        async with asyncio.timeout(PATIENCE):
            await main()

    asyncio.run(patient())


def test_tells_a_new_file(tmp_path: Path) -> None:
    observe(tmp_path, lambda: touch(tmp_path / "a"), ("created", "a"))


def test_tells_a_write_even_if_size_and_time_stay(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("x")
    status = file.stat()

    def act() -> None:
        file.write_text("y")
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))

    observe(tmp_path, act, ("modified", "a"))


def test_tells_a_deletion(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    observe(tmp_path, (tmp_path / "a").unlink, ("deleted", "a"))


def test_tells_a_move_as_one_change(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")

    async def main() -> None:
        async with Watcher(tmp_path) as watcher:
            (tmp_path / "a").rename(tmp_path / "b")
            batch = await watcher.wait_batch()
        (change,) = batch
        assert (change.kind, change.path, change.source) == ("moved", str(tmp_path / "b"), str(tmp_path / "a"))

    run(main)


def test_an_editor_that_writes_beside_and_renames_modifies_the_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")

    def act() -> None:
        (tmp_path / "a.tmp").write_text("new")
        (tmp_path / "a.tmp").rename(tmp_path / "a")

    observe(tmp_path, act, ("modified", "a"))


def test_what_comes_and_goes_within_a_batch_is_no_change(tmp_path: Path) -> None:
    def act() -> None:
        (tmp_path / "swap").write_text("x")
        (tmp_path / "swap").unlink()
        (tmp_path / "b").write_text("x")

    observe(tmp_path, act, ("created", "b"))


def test_new_directories_are_watched_with_what_is_in_them_already(tmp_path: Path) -> None:
    def act() -> None:
        (tmp_path / "d/e/f").mkdir(parents=True)
        (tmp_path / "d/e/f/early").write_text("x")

    async def main() -> None:
        async with Watcher(tmp_path) as watcher:
            act()
            expected = {("created", "d"), ("created", "d/e"), ("created", "d/e/f"), ("created", "d/e/f/early")}
            await gather(watcher, lambda seen: seen >= expected, tmp_path)
            (tmp_path / "d/e/f/late").write_text("x")
            await gather(watcher, lambda seen: ("created", "d/e/f/late") in seen, tmp_path)

    run(main)


def test_a_moved_directory_is_one_change_and_stays_watched(tmp_path: Path) -> None:
    (tmp_path / "d/e").mkdir(parents=True)
    for number in range(20):
        (tmp_path / f"d/e/{number}").write_text("x")

    async def main() -> None:
        async with Watcher(tmp_path) as watcher:
            (tmp_path / "d").rename(tmp_path / "n")
            batch = await watcher.wait_batch()
            assert [(str(change.kind), change.source) for change in batch] == [("moved", str(tmp_path / "d"))]
            (tmp_path / "n/e/new").write_text("x")
            await gather(watcher, lambda seen: ("created", "n/e/new") in seen, tmp_path)

    run(main)


def test_a_directory_moved_out_is_deleted_with_its_files_and_moved_in_created(tmp_path: Path) -> None:
    top = tmp_path / "top"
    (top / "d").mkdir(parents=True)
    (top / "d/a").write_text("x")
    observe(top, lambda: os.rename(top / "d", tmp_path / "out"), ("deleted", "d"), ("deleted", "d/a"))
    observe(top, lambda: os.rename(tmp_path / "out", top / "d"), ("created", "d"), ("created", "d/a"))


def test_a_removed_tree_is_told_file_by_file(tmp_path: Path) -> None:
    (tmp_path / "d/e").mkdir(parents=True)
    (tmp_path / "d/e/a").write_text("x")
    observe(tmp_path, lambda: shutil.rmtree(tmp_path / "d"), ("deleted", "d"), ("deleted", "d/e"), ("deleted", "d/e/a"))


@pytest.mark.parametrize("depth", [1, 3])
def test_a_directory_that_vanishes_and_returns_is_watched_again(tmp_path: Path, depth: int) -> None:
    top = tmp_path.joinpath(*"xyz"[:depth])
    top.mkdir(parents=True)
    (top / "a").write_text("x")

    async def main() -> None:
        async with Watcher(top) as watcher:
            shutil.rmtree(tmp_path / "x")
            await gather(watcher, lambda seen: {("deleted", "."), ("deleted", "a")} <= seen, top)
            top.mkdir(parents=True)
            (top / "b").write_text("x")
            await gather(watcher, lambda seen: {("created", "."), ("created", "b")} <= seen, top)
            (top / "c").write_text("x")
            await gather(watcher, lambda seen: ("created", "c") in seen, top)

    run(main)


def test_a_directory_that_is_moved_away_and_replaced_is_watched_again(tmp_path: Path) -> None:
    top = tmp_path / "way/top"
    top.mkdir(parents=True)
    (top / "a").write_text("x")

    async def main() -> None:
        async with Watcher(top) as watcher:
            (tmp_path / "way").rename(tmp_path / "elsewhere")
            await gather(watcher, lambda seen: ("deleted", "a") in seen, top)
            (tmp_path / "elsewhere/top/unseen").write_text("x")
            top.mkdir(parents=True)
            (top / "b").write_text("x")
            seen = await gather(watcher, lambda seen: ("created", "b") in seen, top)
            assert not any(path == "unseen" for _, path in seen)

    run(main)


def test_a_single_file_is_watched_through_renames_and_returns(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text("1")

    async def main() -> None:
        async with Watcher(file) as watcher:
            (tmp_path / "other").write_text("not watched")
            (tmp_path / "config.new").write_text("2")
            (tmp_path / "config.new").rename(file)
            assert await gather(watcher, bool, tmp_path) == {("modified", "config")}
            file.unlink()
            assert await gather(watcher, bool, tmp_path) == {("deleted", "config")}
            file.write_text("3")
            assert await gather(watcher, bool, tmp_path) == {("created", "config")}

    run(main)


def test_a_path_that_does_not_exist_is_an_error_that_names_it(tmp_path: Path) -> None:
    async def main() -> None:
        await Watcher(tmp_path / "missing").start()

    with pytest.raises(FileNotFoundError, match=r"nothing to watch at: '.*missing'"):
        asyncio.run(main())


def test_a_path_that_does_not_exist_is_awaited_on_request(tmp_path: Path) -> None:
    top = tmp_path / "not/yet"
    watcher = Watcher(top, missing="wait")

    def act() -> None:
        top.mkdir(parents=True)
        (top / "a").write_text("x")

    observe(top, act, ("created", "."), ("created", "a"), watcher=watcher)


def test_ignored_and_unwanted_files_are_not_told(tmp_path: Path) -> None:
    def act() -> None:
        (tmp_path / "build").mkdir()
        (tmp_path / "build/x.py").write_text("x")
        (tmp_path / "a.txt").write_text("x")
        (tmp_path / "b.pyc").write_text("x")
        (tmp_path / "c.py").write_text("x")

    watcher = Watcher(tmp_path, ignore=["build/"], only=["*.py"], debounce=0.02)
    observe(tmp_path, act, ("created", "c.py"), watcher=watcher)


def test_gitignore_is_obeyed_on_request(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("# generated\n*.log\n!keep.log\n")

    def act() -> None:
        (tmp_path / ".git").mkdir()
        (tmp_path / ".git/HEAD").write_text("x")
        (tmp_path / "a.log").write_text("x")
        (tmp_path / "keep.log").write_text("x")

    observe(tmp_path, act, ("created", "keep.log"), watcher=Watcher(tmp_path, gitignore=True, debounce=0.02))


def test_a_flat_watch_leaves_subdirectories_alone(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()

    def act() -> None:
        (tmp_path / "d/a").write_text("x")
        (tmp_path / "b").write_text("x")

    observe(tmp_path, act, ("created", "b"), watcher=Watcher(tmp_path, recursive=False))


def test_an_overflow_of_the_kernel_queue_is_told_and_nothing_is_lost(tmp_path: Path) -> None:
    with open("/proc/sys/fs/inotify/max_queued_events", encoding="ascii") as file:
        queue = int(file.read())
    if queue > 40_000:
        pytest.skip("the queue of this kernel is too long to fill in a test")
    count = queue // 3 + 500  # three events for each file

    async def main() -> None:
        async with Watcher(tmp_path) as watcher:
            for number in range(count):
                (tmp_path / f"{number}").write_text("x")
            batches: list[Batch] = []
            while not any(batch.resynchronised for batch in batches) or sum(map(len, batches)) < count:
                batches.append(await watcher.wait_batch())
            assert {told(change, tmp_path) for batch in batches for change in batch} >= {
                ("created", str(number)) for number in range(count)
            }

    run(main)


def test_batches_that_nobody_takes_are_joined(tmp_path: Path) -> None:
    async def main() -> None:
        async with Watcher(tmp_path) as watcher, Watcher(tmp_path) as other:
            for name in "abc":
                (tmp_path / name).write_text("x")
                await gather(other, lambda seen, name=name: ("created", name) in seen, tmp_path)  # type: ignore[misc]
            batch = await watcher.wait_batch()
            assert {told(change, tmp_path) for change in batch} >= {("created", "a"), ("created", "b")}

    run(main)


def test_leaving_the_loop_closes_the_descriptor(tmp_path: Path) -> None:
    async def main() -> None:
        before = set(os.listdir("/proc/self/fd"))
        watcher = Watcher(tmp_path)
        await watcher.start()
        assert set(os.listdir("/proc/self/fd")) > before
        watcher.close()
        assert set(os.listdir("/proc/self/fd")) == before
        with pytest.raises(RuntimeError, match="not started, or closed"):
            await watcher.wait_batch()

    run(main)


def test_watches_inside_async_for(tmp_path: Path) -> None:
    async def main() -> None:
        watcher = Watcher(tmp_path)
        await watcher.start()
        (tmp_path / "a").write_text("x")
        async for batch in watcher:
            assert batch.changes[0].path == str(tmp_path / "a")
            break

    run(main)


@pytest.mark.parametrize("wrong", [{"ignore": ["re:("]}, {"only": ["!a"]}, {"debounce": -1.0}, {"ignore": ["/"]}])
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"not a pattern|no meaning|negative"):
        Watcher("/", **wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no path"):
        Watcher([])


@pytest.mark.slow
def test_a_tree_of_fifty_thousand_files_is_watched_without_blocking_the_loop(tmp_path: Path) -> None:
    for outer in range(50):
        for inner in range(10):
            directory = tmp_path / f"{outer}/{inner}"
            directory.mkdir(parents=True)
            for number in range(100):
                (directory / str(number)).touch()

    async def main() -> None:
        turns = 0
        watcher = Watcher(tmp_path)
        starting = asyncio.ensure_future(watcher.start())
        while not starting.done():
            turns += 1
            await asyncio.sleep(0.005)
        await starting
        assert turns > 3
        (tmp_path / "49/9/99").write_text("x")
        assert await gather(watcher, bool, tmp_path) == {("modified", "49/9/99")}
        shutil.rmtree(tmp_path / "7")
        seen = await gather(watcher, lambda seen: len(seen) >= 1011, tmp_path)
        assert len(seen) == 1011
        watcher.close()

    asyncio.run(main())
