"""The stream of a page: snapshot, changes, readings; slow readers; many of them."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import msgspec

from genii.control import live
from genii.control.live import Live
from genii.events.sse import EventReader
from genii.testing.target import MemoryTarget

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import pytest

    from genii.supervise.model import Settings


class Reader:
    """Reads events one by one."""

    def __init__(self, stream: AsyncIterator[bytes]) -> None:
        self._stream = stream
        self._reader = EventReader()
        self._events: list[tuple[str, Any]] = []

    async def next(self, kind: str) -> Any:
        """Return the next event of a kind; others are passed over."""
        while True:
            while self._events:
                found = self._events.pop(0)
                if found[0] == kind:
                    return found[1]
            piece = await asyncio.wait_for(anext(self._stream), 20)
            self._events += [(event.kind, msgspec.json.decode(event.data)) for event in self._reader.feed(piece)]


def test_a_page_sees_what_is_and_then_what_changes(settings: Settings) -> None:
    async def main() -> None:
        target = MemoryTarget(settings, pid=os.getpid())
        watch = Live(target)
        reader = Reader(watch.follow())
        snapshot = await reader.next("snapshot")
        assert [row["state"] for row in snapshot["processes"]] == ["STOPPED"] * 3
        await target.start(["web:0"])
        change = await reader.next("change")
        assert [(row["name"], row["state"]) for row in change["processes"]] == [("web:0", "RUNNING")]
        event = await reader.next("event")
        assert [one["name"] for one in event["events"]] == ["web:0"]
        await watch.close()

    asyncio.run(main())


def test_readings_tell_what_processes_use(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_TICK", 0.01)

    async def main() -> None:
        target = MemoryTarget(settings, pid=os.getpid())
        await target.start(["web:0"])
        watch = Live(target)
        reader = Reader(watch.follow())
        readings: Any = {"usage": {}}
        while not readings["usage"]:
            readings = await reader.next("usage")
        assert readings["usage"]["web:0"][1] > 1 << 20
        curve = watch.curves(["web:0"], 60)["web:0"]
        assert curve.memory[0] > 1 << 20
        await watch.close()

    asyncio.run(main())


def test_what_is_gone_is_told(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_TICK", 0.01)

    async def main() -> None:
        target = MemoryTarget(settings)
        watch = Live(target)
        reader = Reader(watch.follow())
        await reader.next("snapshot")
        await target.scale("web", 1, 1)
        change = await reader.next("change")
        while not change["removed"]:
            change = await reader.next("change")
        assert change["removed"] == ["web:1"]
        await watch.close()

    asyncio.run(main())


def test_a_reader_that_is_too_slow_gets_a_new_snapshot(settings: Settings) -> None:
    async def main() -> None:
        target = MemoryTarget(settings)
        watch = Live(target)
        reader = Reader(watch.follow())
        await reader.next("snapshot")
        for _ in range(40):
            target.emit("test.happened")
            watch._tell_events()
        await target.start(["web:0"])
        snapshot = await reader.next("snapshot")
        assert len(snapshot["processes"]) == 3
        await watch.close()

    asyncio.run(main())


def test_nothing_is_watched_before_the_first_and_long_after_the_last(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_TICK", 0.005)

    async def main() -> None:
        now = [0.0]
        target = MemoryTarget(settings)
        watch = Live(target, lambda: now[0])
        assert not target._receivers
        stream = watch.follow()
        await anext(stream)
        assert len(target._receivers) == 1
        await stream.aclose()  # type: ignore[attr-defined]
        now[0] = 301.0
        assert watch._task is not None
        await asyncio.wait_for(watch._task, 20)
        assert not target._receivers
        await Reader(watch.follow()).next("snapshot")
        await watch.close()

    asyncio.run(main())


def test_a_hundred_pages_get_the_same(settings: Settings) -> None:
    async def main() -> None:
        target = MemoryTarget(settings)
        watch = Live(target)
        readers = [Reader(watch.follow()) for _ in range(100)]
        await asyncio.gather(*(reader.next("snapshot") for reader in readers))
        await target.start(["jobs"])
        changes = await asyncio.gather(*(reader.next("change") for reader in readers))
        assert {change["processes"][0]["name"] for change in changes} == {"jobs"}
        await watch.close()

    asyncio.run(main())
