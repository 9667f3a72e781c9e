"""The control API: routes over a ``Target``. What it answers is described in docs/api.md."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from genii.control.failure import error_response
from genii.control.history import History
from genii.control.logstream import follow_logs, log_files, recent_logs
from genii.control.metrics import CONTENT_TYPE, render_metrics
from genii.control.query import (
    ActionQuery,
    Details,
    Differences,
    Events,
    Results,
    Statuses,
    UpdateQuery,
    UpgradeQuery,
    Upgrading,
)
from genii.errors import GeniiError, NotAllowed, TimedOut, UsageError
from genii.events.message import Request, Response
from genii.events.router import Router
from genii.events.sse import HEARTBEAT, render_event
from genii.units import format_duration, parse_signal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence

    from genii.control.target import Target
    from genii.supervise.report import ActionResult

    Answer = Callable[[Request], Awaitable[Response]]

__all__ = ["Api"]

T = TypeVar("T")

_log = logging.getLogger("genii.control")

_HEARTBEAT = 15.0
_ALL_LINES = 1 << 31
_LATEST = 1e12


class Api:
    """Answer requests about one supervisor; ``handler`` goes behind a guard (see ``genii.control.auth``)."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._history = History(target)
        self._running: set[asyncio.Task[Any]] = set()
        self.handler = Router()
        routes: tuple[tuple[str, str, Answer], ...] = (
            ("GET", "/health", self.health),
            ("GET", "/metrics", self.metrics),
            ("GET", "/api/v1/supervisor", self.supervisor),
            ("GET", "/api/v1/processes", self.processes),
            ("GET", "/api/v1/processes/{name}", self.details),
            ("GET", "/api/v1/events", self.events),
            ("GET", "/api/v1/logs", self.logs),
            ("POST", "/api/v1/start", self.start),
            ("POST", "/api/v1/stop", self.stop),
            ("POST", "/api/v1/restart", self.restart),
            ("POST", "/api/v1/reload", self.reload),
            ("POST", "/api/v1/signal", self.signal),
            ("POST", "/api/v1/scale", self.scale),
            ("POST", "/api/v1/pause", self.pause),
            ("POST", "/api/v1/resume", self.resume),
            ("POST", "/api/v1/drain", self.drain),
            ("POST", "/api/v1/update", self.update),
            ("POST", "/api/v1/upgrade", self.upgrade),
            ("POST", "/api/v1/shutdown", self.shutdown),
        )
        for method, pattern, answer in routes:
            self.handler.add(method, pattern, _with_errors(answer))

    @property
    def history(self) -> History:
        """The last events."""
        return self._history

    @property
    def rests(self) -> bool:
        """Say whether no action is under way."""
        return not self._running

    async def close(self) -> None:
        """Receive no more events and give up the actions that still run."""
        self._history.close()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    # ------------------------------------------------------------------ questions

    async def health(self, request: Request) -> Response:  # noqa: ARG002 -- all handlers take it
        """Say that the supervisor answers; 503 while it ends."""
        state = self._target.status().state
        return Response.json({"state": state}, 503 if state == "stopping" else 200)

    async def metrics(self, request: Request) -> Response:  # noqa: ARG002
        """Answer in the text format of Prometheus."""
        target = self._target
        text = render_metrics(target.status(), target.statuses(), target.statistics(), target.pools())
        return Response(200, text.encode(), CONTENT_TYPE)

    async def supervisor(self, request: Request) -> Response:  # noqa: ARG002
        """Tell about the supervisor."""
        return Response.json(self._target.status())

    async def processes(self, request: Request) -> Response:
        """Tell the state of all processes, or of those named."""
        return Response.json(Statuses(self._target.statuses(request.query.get("name", [])), self._target.pools()))

    async def details(self, request: Request) -> Response:
        """Tell all about the processes of one name."""
        return Response.json(Details(self._target.details(request.parameters["name"])))

    async def events(self, request: Request) -> Response:
        """Answer the last events, or (``follow=1``) stream them from now on.

        ``after`` or the header Last-Event-ID continues after an event; ``snapshot=1`` begins the stream with the state
        of all processes, ``heartbeat`` says how many seconds of silence (1 to 15) are filled with a comment.
        """
        after = _integer(request, "after", request.headers.get("last-event-id", ""))
        if not _flag(request, "follow"):
            return Response.json(Events(self._history.recent(-1 if after is None else after)))
        serial = self._history.last_serial if after is None else after
        idle = min(max(1.0, _number(request, "heartbeat", _HEARTBEAT)), _HEARTBEAT)
        return Response.events(self._event_stream(serial, idle, snapshot=_flag(request, "snapshot")))

    async def _event_stream(self, after: int, idle: float, *, snapshot: bool) -> AsyncIterator[bytes]:
        yield HEARTBEAT
        if snapshot:
            statuses = msgspec.json.encode(Statuses(self._target.statuses(), self._target.pools()))
            yield render_event(statuses.decode(), "snapshot")
        async for events in self._history.follow(after, idle):
            yield (
                b"".join(
                    render_event(msgspec.json.encode(event).decode(), event.kind, str(event.serial)) for event in events
                )
                or HEARTBEAT
            )

    async def logs(self, request: Request) -> Response:
        """Answer the last ``lines`` of the logs as JSON lines, or (``follow=1``) as events that go on."""
        lines = _integer(request, "lines", "100")
        since = _number(request, "since")
        stream = request.argument("stream", "both")
        if stream not in ("stdout", "stderr", "both"):
            raise UsageError(f"stream={stream!r}: it is stdout, stderr or both")
        count = 100 if lines is None else lines
        files = log_files(self._target, request.query.get("name", []), stream)
        if _flag(request, "follow"):
            return Response.events(follow_logs(files, min(count, _ALL_LINES), since, _HEARTBEAT))
        pieces = recent_logs(files, min(count, _ALL_LINES), since)
        return Response(200, b"", "application/x-ndjson", stream=pieces)

    # ------------------------------------------------------------------ actions

    async def start(self, request: Request) -> Response:
        """Start processes."""
        query = _action(request)
        return await self._act(query, self._target.start(query.names, wait=query.wait))

    async def stop(self, request: Request) -> Response:
        """Stop processes."""
        query = _action(request)
        return await self._act(query, self._target.stop(query.names, wait=query.wait))

    async def restart(self, request: Request) -> Response:
        """Restart processes."""
        query = _action(request)
        return await self._act(query, self._target.restart(query.names, rolling=query.rolling, wait=query.wait))

    async def reload(self, request: Request) -> Response:
        """Have programs read their own configuration again."""
        query = _action(request)
        return await self._act(query, self._target.reload(query.names))

    async def signal(self, request: Request) -> Response:
        """Send a signal."""
        query = _action(request)
        try:
            number = int(parse_signal(query.signal))
        except ValueError as error:
            raise UsageError(str(error)) from error
        return await self._act(query, self._target.send_signal(query.names, number))

    async def scale(self, request: Request) -> Response:
        """Change the number of processes of one program."""
        query = _action(request)
        maximum = query.minimum if query.maximum < 0 else query.maximum
        if len(query.names) != 1 or not 0 <= query.minimum <= maximum:
            raise UsageError("scale takes one name, and 0 <= minimum <= maximum")
        return await self._act(query, self._target.scale(query.names[0], query.minimum, maximum))

    async def pause(self, request: Request) -> Response:
        """Have workers take no more jobs."""
        query = _action(request)
        return await self._act(query, self._target.pause(query.names))

    async def resume(self, request: Request) -> Response:
        """Have workers take jobs again."""
        query = _action(request)
        return await self._act(query, self._target.pause(query.names, pause=False))

    async def drain(self, request: Request) -> Response:
        """Stop workers when they have done their jobs."""
        query = _action(request)
        return await self._act(query, self._target.drain(query.names, wait=query.wait))

    async def update(self, request: Request) -> Response:
        """Read the configuration again."""
        query = request.decode(UpdateQuery)
        return Response.json(Differences(await self._run(self._target.update(dry_run=query.dry_run))))

    async def upgrade(self, request: Request) -> Response:
        """Have another version of genii take the place of the supervisor; it does when this is answered.

        Which one it is may only be said by who is root or the supervisor's own user: it is executed.
        """
        query = request.decode(UpgradeQuery)
        if query.origin is not None and request.peer.uid is None:
            raise NotAllowed("only over the unix socket may be said which version to execute")
        before = self._target.status()
        version = await self._target.upgrade(query.origin)
        return Response.json(Upgrading(version=version, before=before.version, upgrades=before.upgrades))

    async def shutdown(self, request: Request) -> Response:  # noqa: ARG002
        """Stop everything and end; the answer comes when all programs have ended."""
        await self._run(self._target.shutdown())
        return Response.json({"state": "stopped"})

    async def _act(self, query: ActionQuery, action: Coroutine[Any, Any, Sequence[ActionResult]]) -> Response:
        return Response.json(Results(list(await self._run(action, query.timeout))))

    async def _run(self, action: Coroutine[Any, Any, T], timeout: float = 0.0) -> T:
        """Carry an action out to its end, even when who asked for it has stopped waiting."""
        task = asyncio.get_running_loop().create_task(action)
        self._running.add(task)
        task.add_done_callback(self._ended)
        await asyncio.wait((task,), timeout=timeout or None)
        if not task.done():
            raise TimedOut(f"not done after {format_duration(timeout)}; it goes on (see 'genii status')")
        return task.result()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.debug("an action failed", exc_info=task.exception())


def _with_errors(answer: Answer) -> Answer:
    async def answered(request: Request) -> Response:
        try:
            return await answer(request)
        except GeniiError as error:
            return error_response(error)

    return answered


def _action(request: Request) -> ActionQuery:
    query = request.decode(ActionQuery)
    if not query.names:
        raise UsageError("name the programs or processes, or 'all'")
    return query


def _flag(request: Request, name: str) -> bool:
    return request.argument(name) in ("1", "true", "yes")


def _integer(request: Request, name: str, default: str) -> int | None:
    text = request.argument(name, default)
    if not text:
        return None
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"{name}={text!r} is not a number") from None


def _number(request: Request, name: str, default: float = 0.0) -> float:
    text = request.argument(name)
    try:
        number = float(text) if text else default
    except ValueError:
        number = -1.0
    if not 0 <= number < _LATEST:
        raise UsageError(f"{name}={text!r} is not a number of seconds")
    return number
