"""What a page or full-screen view shows, as it changes: one stream for each of them, made once for all.

The stream begins with a ``snapshot``; then come ``change`` (processes whose record is another now, and those that are
gone), ``usage`` (readings of processor and memory) and ``event``. Nothing is read and nothing is kept until somebody
asks for the first time; a while after the last one has left, reading stops again.
A client that is too slow for the changes gets a new snapshot when it is ready for it.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING

import msgspec

from genii.control.query import Change, Events, Readings, Snapshot
from genii.control.usage import Curve, Usages, points_for, share
from genii.errors import UnknownProgram
from genii.events.sse import HEARTBEAT, render_event
from genii.system.procfs import load

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from genii.control.target import Target
    from genii.supervise.report import Event, ProcessStatus

__all__ = ["Live"]

_TICK = 1.0
_SOON = 0.1
"""Seconds in which changes are gathered."""
_LINGER = 300.0
"""Seconds for which the readings go on when nobody looks."""
_BACKLOG = 16
_HEARTBEAT = 10.0


class _Viewer:
    """One open stream: what it has not yet taken."""

    def __init__(self) -> None:
        self.waiting: deque[bytes] = deque()
        self.stale = True
        """Whether it needs a snapshot first."""
        self.wake = asyncio.Event()

    def give(self, piece: bytes) -> None:
        if self.stale:
            return
        if len(self.waiting) >= _BACKLOG:
            self.waiting.clear()
            self.stale = True
        else:
            self.waiting.append(piece)
        self.wake.set()


class Live:
    """The state of all processes, and what they use, as long as somebody looks."""

    def __init__(self, target: Target, clock: Callable[[], float] = time.monotonic) -> None:
        self._target = target
        self._clock = clock
        self._viewers: set[_Viewer] = set()
        self._task: asyncio.Task[None] | None = None
        self._soon: asyncio.TimerHandle | None = None
        self._unsubscribe: Callable[[], None] | None = None
        self._events: list[Event] = []
        self._rows: dict[str, ProcessStatus] = {}
        self._usages = Usages()
        self._latest: dict[str, tuple[float, int]] = {}
        self._left = 0.0
        self._turn = 0

    async def follow(self) -> AsyncIterator[bytes]:
        """Yield server-sent events, from a snapshot on."""
        viewer = _Viewer()
        self._viewers.add(viewer)
        self._begin()
        try:
            while True:
                viewer.wake.clear()
                if viewer.stale:
                    viewer.stale = False
                    yield self._snapshot()
                elif viewer.waiting:
                    pieces = b"".join(viewer.waiting)
                    viewer.waiting.clear()
                    yield pieces
                else:
                    try:
                        async with asyncio.timeout(_HEARTBEAT):
                            await viewer.wake.wait()
                    except TimeoutError:
                        yield HEARTBEAT
        finally:
            self._viewers.discard(viewer)
            self._left = self._clock()

    def curves(self, names: Sequence[str], points: int) -> dict[str, Curve]:
        """Return the last readings of the processes named.

        Raises:
            UnknownProgram: a name means nothing.
        """
        return {row.name: self._usages.curve(row.name, points) for row in self._target.statuses(names)}

    async def close(self) -> None:
        """Read and receive no more."""
        if self._soon is not None:
            self._soon.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._rest()

    # ------------------------------------------------------------------ what happens

    def _begin(self) -> None:
        if len(self._viewers) == 1:
            self._rows = {row.name: row for row in self._target.statuses()}
        if self._task is not None:
            return
        self._unsubscribe = self._target.subscribe(self._receive)
        self._task = asyncio.get_running_loop().create_task(self._run())

    def _rest(self) -> None:
        self._task = None
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None

    def _receive(self, event: Event) -> None:
        if not self._viewers:
            return
        self._events.append(event)
        if self._soon is None:
            self._soon = asyncio.get_running_loop().call_later(_SOON, self._tell_events)

    async def _run(self) -> None:
        """Read what processes use, and look for changes that are no events, turn by turn."""
        try:
            while self._viewers or self._clock() - self._left < _LINGER:
                turns = share(len(self._rows))
                if self._viewers and self._turn % turns == 0:
                    self._compare(self._target.statuses(), whole=True)
                self._read(turns)
                self._turn += 1
                await asyncio.sleep(_TICK)
        finally:
            if self._task is asyncio.current_task():
                self._rest()

    def _tell_events(self) -> None:
        """Pass on what happened, and the records of those it happened to."""
        self._soon = None
        events, self._events = self._events, []
        rows = []
        for name in dict.fromkeys(event.name for event in events if event.kind == "process.state"):
            try:
                rows += self._target.statuses((name,))
            except UnknownProgram:
                continue  # it was removed since
        if any(event.kind == "supervisor.updated" for event in events):
            self._compare(self._target.statuses(), whole=True)
        self._compare(rows, whole=False)
        self._send("event", Events(events))

    def _compare(self, rows: Sequence[ProcessStatus], *, whole: bool) -> None:
        """Tell the viewers which records are others than before; ``whole``: what is not among them is gone."""
        known = self._rows
        changed = [row for row in rows if known.get(row.name) != row]
        known.update((row.name, row) for row in changed)
        removed: list[str] = []
        if whole and len(known) != len(rows):
            names = {row.name for row in rows}
            removed = [name for name in known if name not in names]
            for name in removed:
                del known[name]
                self._latest.pop(name, None)
            self._usages.keep_only(names)
        if changed or removed:
            self._send("change", Change(changed, removed))

    def _read(self, turns: int) -> None:
        now, keep = time.time(), points_for(len(self._rows))
        found: dict[str, tuple[float, int]] = {}
        for index, row in enumerate(self._rows.values()):
            if row.pid and index % turns == self._turn % turns:
                memory, seconds = load(row.pid)
                if memory:
                    point = self._usages.add(row.name, row.pid, now, memory, seconds, keep)
                    if point != self._latest.get(row.name):
                        found[row.name] = self._latest[row.name] = point
            elif not row.pid and row.name in self._latest:
                del self._latest[row.name]
        if self._viewers:
            self._send("usage", Readings(round(now, 1), found))

    def _snapshot(self) -> bytes:
        snapshot = Snapshot(
            supervisor=self._target.status(),
            processes=list(self._rows.values()),
            usage=self._latest,
            every=share(len(self._rows)) * _TICK,
        )
        return render_event(msgspec.json.encode(snapshot).decode(), "snapshot")

    def _send(self, kind: str, value: object) -> None:
        if not self._viewers:
            return
        piece = render_event(msgspec.json.encode(value).decode(), kind)
        for viewer in self._viewers:
            viewer.give(piece)
