"""The control API: routes over a ``Target``. What it answers is described in docs/api.md."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from genii.control.audit import Audit
from genii.control.failure import error_response
from genii.control.history import History
from genii.control.query import (
    ActionQuery,
    AuditEntries,
    Curves,
    Details,
    Differences,
    Events,
    InputQuery,
    JobQuery,
    Pools,
    Results,
    SessionAnswer,
    Statuses,
    UpdateQuery,
    UpgradeQuery,
    Upgrading,
)
from genii.errors import GeniiError, NotAllowed, TimedOut, UsageError
from genii.events.message import Request, Response
from genii.events.router import Router
from genii.events.sse import HEARTBEAT, render_event
from genii.supervise.report import ActionResult
from genii.units import format_duration, parse_signal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence

    from genii.control.live import Live
    from genii.control.queues import Queues
    from genii.control.target import Target
    from genii.supervise.report import Difference

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
        self.audit = Audit(os.path.join(target.settings.state_dir, "audit"))
        self._live: Live | None = None
        self._queues: Queues | None = None
        self._comparison: asyncio.Task[Difference] | None = None
        self._running: set[asyncio.Task[Any]] = set()
        self.handler = Router()
        routes: tuple[tuple[str, str, Answer], ...] = (
            ("GET", "/health", self.health),
            ("GET", "/metrics", self.metrics),
            ("GET", "/api/v1/supervisor", self.supervisor),
            ("GET", "/api/v1/processes", self.processes),
            ("GET", "/api/v1/processes/{name}", self.details),
            ("GET", "/api/v1/pools", self.pools),
            ("GET", "/api/v1/events", self.events),
            ("GET", "/api/v1/logs", self.logs),
            ("GET", "/api/v1/live", self.live),
            ("GET", "/api/v1/history", self.curves),
            ("GET", "/api/v1/programs", self.programs),
            ("GET", "/api/v1/configuration", self.configuration),
            ("GET", "/api/v1/difference", self.difference),
            ("GET", "/api/v1/jobs", self.jobs),
            ("GET", "/api/v1/jobs/peek", self.peek),
            ("GET", "/api/v1/audit", self.audited),
            ("GET", "/api/v1/session", self.session),
            ("GET", "/api/openapi.json", self.openapi),
            ("POST", "/api/v1/login", self.login),
            ("POST", "/api/v1/logout", self.login),
            ("POST", "/api/v1/jobs/cancel", self.cancel),
            ("POST", "/api/v1/jobs/drain", self.drain_jobs),
            ("POST", "/api/v1/start", self.start),
            ("POST", "/api/v1/stop", self.stop),
            ("POST", "/api/v1/restart", self.restart),
            ("POST", "/api/v1/reload", self.reload),
            ("POST", "/api/v1/signal", self.signal),
            ("POST", "/api/v1/input", self.input),
            ("POST", "/api/v1/scale", self.scale),
            ("POST", "/api/v1/pause", self.pause),
            ("POST", "/api/v1/resume", self.resume),
            ("POST", "/api/v1/drain", self.drain),
            ("POST", "/api/v1/update", self.update),
            ("POST", "/api/v1/upgrade", self.upgrade),
            ("POST", "/api/v1/shutdown", self.shutdown),
        )
        for method, pattern, answer in routes:
            noted = self._with_audit(answer) if method == "POST" else answer
            self.handler.add(method, pattern, _with_errors(noted))

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
        if self._live is not None:
            await self._live.close()
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
        from genii.control.metrics import CONTENT_TYPE, render_metrics  # not every supervisor is asked

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

    async def pools(self, request: Request) -> Response:  # noqa: ARG002
        """Tell the figures of pools."""
        return Response.json(Pools(self._target.pools()))

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
        """Answer the last ``lines`` of the logs as JSON lines, or (``follow=1``) as events that go on.

        ``contains`` leaves out lines without a text; ``paced=1`` leaves out what comes faster than anybody could read,
        and tells how much; ``text=1`` answers plain text to be saved as a file. ``after``, once for each log, continues
        at a ``place`` that was told with the lines before it.
        """
        from genii.control.logstream import Wish, follow_logs, log_files, plain_logs, recent_logs  # half a MiB

        lines = _integer(request, "lines", "100")
        stream = request.argument("stream", "both")
        if stream not in ("stdout", "stderr", "both"):
            raise UsageError(f"stream={stream!r}: it is stdout, stderr or both")
        count = 100 if lines is None else min(lines, _ALL_LINES)
        since, contains = _number(request, "since"), request.argument("contains")
        wish = Wish(count, since, contains, _flag(request, "paced"), _places(request))
        names = request.query.get("name", [])
        files = log_files(self._target, names, stream)
        if _flag(request, "follow"):
            return Response.events(follow_logs(files, wish, _HEARTBEAT))
        if _flag(request, "text"):
            headers = {"Content-Disposition": f'attachment; filename="{_file_name(names)}.log"'}
            return Response(200, b"", "text/plain; charset=utf-8", headers, plain_logs(files, wish))
        return Response(200, b"", "application/x-ndjson", stream=recent_logs(files, wish))

    async def live(self, request: Request) -> Response:  # noqa: ARG002
        """Stream the state of all processes and what they use."""
        return Response.events(self._watch().follow())

    async def curves(self, request: Request) -> Response:
        """Tell what processes used lately, as far as somebody was looking."""
        points = _integer(request, "points", "60") or 60
        return Response.json(Curves(self._watch().curves(request.query.get("name", []), points)))

    def _watch(self) -> Live:
        from genii.control.live import Live  # only who looks needs it

        if self._live is None:
            self._live = Live(self._target)
        return self._live

    async def programs(self, request: Request) -> Response:  # noqa: ARG002
        """Tell what is declared."""
        from genii.control.declared import Programs, declared_programs

        settings = self._target.settings
        return Response.json(Programs(declared_programs(settings, time.time()), list(settings.job_servers)))

    async def configuration(self, request: Request) -> Response:  # noqa: ARG002
        """Tell all settings as they were read, secrets masked."""
        from genii.control.declared import configuration

        return Response.json(configuration(self._target.settings))

    async def difference(self, request: Request) -> Response:  # noqa: ARG002
        """Tell what an update would change now; several who ask at once get one answer."""
        if self._comparison is None or self._comparison.done():
            self._comparison = asyncio.get_running_loop().create_task(self._target.update(dry_run=True))
            self._running.add(self._comparison)
            self._comparison.add_done_callback(self._ended)
        await asyncio.wait((self._comparison,))
        return Response.json(Differences(self._comparison.result()))

    async def jobs(self, request: Request) -> Response:  # noqa: ARG002
        """Tell what the job servers have to do."""
        from genii.control.queues import JobServers

        return Response.json(JobServers(await self._servers().servers()))

    async def peek(self, request: Request) -> Response:
        """Tell the jobs of a function."""
        from genii.control.queues import Jobs

        limit = _integer(request, "limit", "50") or 50
        found = await self._servers().peek(request.argument("server"), request.argument("function"), limit)
        return Response.json(Jobs(found))

    def _servers(self) -> Queues:
        from genii.control.queues import Queues

        if self._queues is None:
            self._queues = Queues(lambda: self._target.settings.job_servers)
        return self._queues

    async def audited(self, request: Request) -> Response:  # noqa: ARG002
        """Tell who did what."""
        return Response.json(AuditEntries(self.audit.recent()))

    async def session(self, request: Request) -> Response:
        """Tell who asks: here everybody may do everything; where one has to log in, the guard answers."""
        return Response.json(SessionAnswer(user=request.user, role="operator", login=False, token=""))

    async def openapi(self, request: Request) -> Response:  # noqa: ARG002
        """Describe this API."""
        from genii.control.openapi import document

        return Response.json(document())

    async def login(self, request: Request) -> Response:  # noqa: ARG002
        """Refuse a login: the guard takes those that are needed."""
        raise NotAllowed("nobody has to log in here")

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

    async def input(self, request: Request) -> Response:
        """Give a process something to read."""
        from genii.control.input import write_input

        query = request.decode(InputQuery)
        rows = self._target.statuses((query.name,))
        if len(rows) != 1:
            raise UsageError(f"{query.name} has {len(rows)} processes; name one, such as {query.name}:0")
        write_input(rows[0], self._target.settings.programs[rows[0].program], query.text)
        return Response.json(_done(query.name, "sent"))

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

    async def cancel(self, request: Request) -> Response:
        """Drop a job that waits."""
        query = request.decode(JobQuery)
        await self._servers().cancel(query.server, query.handle)
        return Response.json(_done(query.handle, "cancelled"))

    async def drain_jobs(self, request: Request) -> Response:
        """Have a job server end when its last running job is done."""
        query = request.decode(JobQuery)
        await self._servers().drain(query.server)
        return Response.json(_done(query.server, "ends when its jobs are done"))

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

    def _with_audit(self, answer: Answer) -> Answer:
        """Have written down who asked for a change, and what came of it."""

        async def noted(request: Request) -> Response:
            outcome = "failed"
            try:
                response = await answer(request)
                outcome = "done" if response.status == 200 else "refused"
                return response
            except GeniiError as error:
                outcome = error.code
                raise
            finally:
                action = request.path.removeprefix("/api/v1/")
                # What is typed may be a password.
                about = "" if action in ("login", "input") else request.body.decode("utf-8", "replace")
                self.audit.note(request.user or "anyone", request.peer.address or "unix", action, about, outcome)

        return noted


def _done(name: str, message: str) -> Results:
    return Results([ActionResult(name=name, ok=True, message=message)])


def _file_name(names: Sequence[str]) -> str:
    """Return the name of a file for some logs, without anything that could mean something in a header or a path."""
    text = "-".join(names) or "all"
    return "".join(one if one.isascii() and (one.isalnum() or one in "-_.") else "_" for one in text)[:80]


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


def _places(request: Request) -> dict[tuple[int, int], int]:
    from genii.control.logs import Place

    try:
        places = [Place.parse(text) for text in request.query.get("after", [])]
    except ValueError:
        raise UsageError("after: this is not a place in a log, as it was told with its lines") from None
    return {(place.device, place.inode): place.offset for place in places}


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
