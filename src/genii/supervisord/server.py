"""supervisord's HTTP servers: XML-RPC at /RPC2, endless logs, and the page, each server with its own password."""

from __future__ import annotations

import asyncio
import errno
import inspect
import logging
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from genii.control.access import basic_credentials
from genii.control.password import verify
from genii.errors import NotAllowed
from genii.events.http import Server
from genii.events.message import HttpError, Response
from genii.events.wire import Limits
from genii.supervisord.faults import Fault
from genii.supervisord.origin import refuse_foreign
from genii.supervisord.xmlrpc import BadCall, parse_call, render_fault, render_result
from genii.system.listen import listen_tcp, listen_unix

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable

    from genii.config.ini.declaration import HttpServer
    from genii.events.message import Request
    from genii.supervisord.dispatch import Dispatcher
    from genii.supervisord.service import Service

    Released = dict[str, tuple[list[socket.socket], list[socket.socket]]]

__all__ = ["Front"]

_log = logging.getLogger("genii.supervisord")
_LIMITS = Limits(body=8 << 20, connections=256)
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="default"'}
_TAKEN = (
    "Another program is already listening on a port that one of our HTTP servers is configured to use ({}). "
    "Shut this program down first before starting supervisord."
)


class Front:
    """All servers of one supervisord."""

    def __init__(self, service: Service, dispatcher: Dispatcher) -> None:
        self._service = service
        self._dispatcher = dispatcher
        self._servers: list[Server] = []
        self._paths: list[tuple[str, int]] = []
        self.released: Released = {}
        """Sockets that are not served for now, by the section that declares them: those that listen, connections."""
        self._actions: set[asyncio.Task[Any]] = set()

    async def open(self) -> None:
        """Listen wherever the configuration says; ``start_serving`` answers.

        Raises:
            NotAllowed: an address is taken, or not ours.
        """
        for config in self._service.declaration.servers:
            if not config.username:
                _log.critical("Server %r running without any HTTP authentication checking", config.section)
            server = Server(_Guarded(config, self._answer), limits=_LIMITS, failure=_failure)
            self._servers.append(server)
            await server.listen(self._listen(config), start_serving=False)

    async def start_serving(self) -> None:
        """Answer, from now on, what is asked where ``open`` listens."""
        for server in self._servers:
            await server.start_serving()

    async def serve(self, released: Released) -> None:
        """Serve on sockets that were served before this program was executed."""
        for config in self._service.declaration.servers:
            server = Server(_Guarded(config, self._answer), limits=_LIMITS, failure=_failure)
            self._servers.append(server)
            if config.path:
                self._note_path(config.path)
            listening, idle = released.get(config.section, ((), ()))
            await server.listen(listening)
            await server.adopt(idle)

    @property
    def rests(self) -> bool:
        """Say whether nothing that a client asked for is half done."""
        return not self._actions

    async def release(self, grace: float) -> None:
        """Serve no more for now; who connects has to wait."""
        sockets = await asyncio.gather(*(server.release(grace) for server in self._servers))
        sections = [config.section for config in self._service.declaration.servers]
        self.released = dict(zip(sections, sockets, strict=True))

    async def resume(self) -> None:
        """Serve again after ``release``."""
        for server, (listening, idle) in zip(self._servers, self.released.values(), strict=True):
            await server.listen(listening)
            await server.adopt(idle)
        self.released = {}

    def _listen(self, config: HttpServer) -> list[socket.socket]:
        try:
            if not config.path:
                return listen_tcp(config.host, config.port)
            listener = listen_unix(config.path, mode=config.mode, complete=True)
            self._note_path(config.path)
            if config.uid >= 0:
                os.chown(config.path, config.uid, config.gid, follow_symlinks=False)
            return [listener]
        except OSError as error:
            where = config.path or f"{config.host or '*'}:{config.port}"
            if error.errno == errno.EADDRINUSE:
                raise NotAllowed(_TAKEN.format(where)) from None
            raise NotAllowed(f"[{config.section}] can't listen at {where}: {error.strerror}") from None

    def _note_path(self, path: str) -> None:
        """Remember which socket at a path is ours to remove."""
        with suppress(FileNotFoundError):
            self._paths.append((path, os.stat(path).st_ino))

    async def close(self) -> None:
        """Answer what was asked, then end; the unix sockets are removed."""
        for path, inode in self._paths:
            try:
                if os.stat(path).st_ino == inode:
                    os.unlink(path)
            except FileNotFoundError:
                continue
        await asyncio.gather(*(server.close(1.0) for server in self._servers))
        for task in self._actions:
            task.cancel()
        await asyncio.gather(*self._actions, return_exceptions=True)

    # ------------------------------------------------------------------ requests

    def _answer(self, request: Request) -> Response | Awaitable[Response]:
        path = request.path
        if path.startswith("/RPC2"):
            return self._rpc(request)
        from genii.supervisord.pages import answer

        return answer(self._service, self._dispatcher, request)

    def _rpc(self, request: Request) -> Response | Awaitable[Response]:
        if request.method != "POST":
            raise HttpError(400, "XML-RPC calls are sent by POST")
        if "content-length" not in request.headers:
            raise HttpError(411, "the header Content-Length is missing")
        try:
            name, params = parse_call(request.body)
            result = self._dispatcher.call(name, params)
        except BadCall as error:
            raise HttpError(400, str(error)) from None
        except Fault as fault:
            return _xml(render_fault(fault.number, fault.text))
        if inspect.isawaitable(result):
            return self._finish(result)
        return _xml(render_result(result))

    async def _finish(self, work: Awaitable[Any]) -> Response:
        """Carry a call out to its end, even when who made it has hung up."""
        task: asyncio.Task[Any] = asyncio.ensure_future(work)
        self._actions.add(task)
        task.add_done_callback(self._actions.discard)
        try:
            return _xml(render_result(await asyncio.shield(task)))
        except Fault as fault:
            return _xml(render_fault(fault.number, fault.text))


def _xml(body: bytes) -> Response:
    return Response(200, body, "text/xml")


def _failure(error: HttpError) -> Response:
    response = Response.text(f"{error}\n", error.status)
    response.headers.update(error.headers)
    return response


class _Guarded:
    """Let those in who know the password of a server; the password that was right last is not hashed again."""

    def __init__(self, config: HttpServer, handler: Callable[[Request], Response | Awaitable[Response]]) -> None:
        self._config = config
        self._handler = handler

    def __call__(self, request: Request) -> Response | Awaitable[Response]:
        """Answer the request, or refuse it."""
        refuse_foreign(request, self._config)
        if self._config.username and not self._knows(request.headers.get("authorization", "")):
            raise HttpError(401, "user and password, please", headers=_CHALLENGE)
        return self._handler(request)

    def _knows(self, header: str) -> bool:
        credentials = basic_credentials(header)
        if credentials is None:
            return False
        user, password = credentials
        try:
            right = verify(self._config.password, password)
        except ValueError:
            _log.error("[%s] password: is not a well-formed hash", self._config.section)
            return False
        return verify(self._config.username, user) and right
