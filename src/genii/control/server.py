"""The control API on its sockets: the unix socket for this machine, TCP where the configuration says so."""

from __future__ import annotations

import asyncio
import importlib
import os
import time
from typing import TYPE_CHECKING

from genii.control.access import check_exposure
from genii.control.api import Api
from genii.control.auth import PasswordGuard, guard_unix
from genii.control.failure import error_response
from genii.events.http import Server
from genii.events.message import HttpError
from genii.events.wire import Limits
from genii.system.listen import listen, listen_unix

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Awaitable, Callable, Iterable

    from genii.control.target import Target
    from genii.events.message import Request, Response
    from genii.supervise.model import Http
    from genii.supervise.report import Event

    Released = dict[str, tuple[list[socket.socket], list[socket.socket]]]

    Handler = Callable[[Request], Response | Awaitable[Response]]

__all__ = ["ControlServer", "check_exposure"]

_LIMITS = Limits(connections=512)
"""For each of the two: strangers at the TCP port can't use up the places of the command line."""
_LOCAL_LIMITS = Limits(connections=512, head=256 << 10)
"""Who follows a thousand logs names a place in each to go on from (see ``genii.control.logs.Place``)."""


_LOOK = 0.02
"""Seconds between two looks at answers under way."""


class ControlServer:
    """Serve a target; ``open`` what the settings say, ``close`` when the supervisor ends."""

    def __init__(self, target: Target, front: str = "") -> None:
        """Prepare to serve; ``front`` is the module of the dashboard, whose ``Front`` answers what the API does not."""
        self._target = target
        self._api = Api(target)
        self._front_module = front
        self._front: Handler | None = None
        self._unix = Server(guard_unix(self._answer), limits=_LOCAL_LIMITS, failure=error_response)
        self._tcp: Server | None = None
        self._path = ""
        self._released: Released = {}

    async def open(self, path: str) -> None:
        """Listen at the unix socket ``path``, and at the TCP address of ``[http]``; ``start_serving`` answers.

        Raises:
            UsageError: the settings would let strangers in.
            OSError: an address is taken or not ours.
        """
        settings = self._target.settings
        check_exposure(settings.http)
        listener = listen_unix(path, mode=settings.socket_mode)
        if settings.socket_owner:
            _change_owner(path, settings.socket_owner)
        self._path = path
        await self._unix.listen([listener], start_serving=False)
        if settings.http.listen:
            await self.open_tcp(listen(settings.http.listen), start_serving=False)

    async def start_serving(self) -> None:
        """Answer, from now on, what is asked where ``open`` listens."""
        for server in self._servers():
            await server.start_serving()

    async def serve(self, path: str, released: Released, events: Iterable[Event]) -> None:
        """Serve on sockets that were served before this program was executed; ``events`` are past."""
        self._path = path
        self._api.history.recall(events)
        listening, idle = released["unix"]
        await self._unix.listen(listening)
        await self._unix.adopt(idle)
        if "tcp" in released:
            await self.open_tcp(released["tcp"][0])
            assert self._tcp is not None
            await self._tcp.adopt(released["tcp"][1])

    @property
    def rests(self) -> bool:
        """Say whether nothing that was asked for is half done."""
        return self._api.rests

    def history(self) -> list[Event]:
        """Return the last events."""
        return self._api.history.recent()

    async def finish_answers(self, patience: float) -> None:
        """Wait until no answer is under way but those that have no end."""
        end = time.monotonic() + patience
        while any(server.answers for server in self._servers()) and time.monotonic() < end:  # noqa: ASYNC110 -- seldom
            await asyncio.sleep(_LOOK)

    async def release(self, grace: float) -> None:
        """Serve no more for now: who connects has to wait for ``resume``, here or in another program."""
        sockets = await asyncio.gather(*(server.release(grace) for server in self._servers()))
        self._released = dict(zip(("unix", "tcp"), sockets, strict=False))

    @property
    def released(self) -> Released:
        """The released sockets, by ``unix`` and ``tcp``: those that listen, and connections."""
        return self._released

    async def resume(self) -> None:
        """Serve again after ``release``."""
        released, self._released = self._released, {}
        for server, kind in zip(self._servers(), ("unix", "tcp"), strict=False):
            tls = _tls(self._target.settings.http) if kind == "tcp" else None
            await server.listen(released[kind][0], tls=tls)
            await server.adopt(released[kind][1])

    def _servers(self) -> list[Server]:
        return [self._unix] if self._tcp is None else [self._unix, self._tcp]

    async def open_tcp(self, sockets: list[socket.socket], *, start_serving: bool = True) -> None:
        """Serve on TCP sockets that listen already, by the rules of ``[http]``."""
        http = self._target.settings.http
        sessions = os.path.join(self._target.settings.state_dir, "sessions")
        guard = PasswordGuard(self._answer, http, sessions=sessions, audit=self._api.audit)
        self._tcp = Server(guard, limits=_LIMITS, failure=error_response)
        await self._tcp.listen(sockets, tls=_tls(http), start_serving=start_serving)

    def _answer(self, request: Request) -> Response | Awaitable[Response]:
        try:
            return self._api.handler(request)
        except HttpError as error:
            if error.status != 404 or not self._front_module:
                raise
        if self._front is None:
            # The dashboard stands above us: it is named to us, and loaded when it is asked for.
            self._front = importlib.import_module(self._front_module).Front(self._target, self._api.audit)
        return self._front(request)

    async def close(self, grace: float = 2.0) -> None:
        """Let running requests finish for ``grace`` seconds, then end; the unix socket is removed."""
        if self._path:
            _remove(self._path)
        await asyncio.gather(*(server.close(grace) for server in self._servers()))
        await self._api.close()


def _tls(http: Http) -> ssl.SSLContext | None:
    if not http.tls_certificate:
        return None
    import ssl

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(http.tls_certificate, http.tls_key)
    return context


def _change_owner(path: str, owner: str) -> None:
    """Give the socket to ``user`` or ``user:group``."""
    from grp import getgrnam
    from pwd import getpwnam

    user, _, group = owner.partition(":")
    uid, gid = getpwnam(user).pw_uid if user else -1, getgrnam(group).gr_gid if group else -1
    os.chown(path, uid, gid, follow_symlinks=False)


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
