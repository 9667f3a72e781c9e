"""The control API on its sockets: the unix socket for this machine, TCP where the configuration says so."""

from __future__ import annotations

import asyncio
import importlib
import os
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
    from collections.abc import Awaitable, Callable

    from genii.control.target import Target
    from genii.events.message import Request, Response
    from genii.supervise.model import Http

    Handler = Callable[[Request], Response | Awaitable[Response]]

__all__ = ["ControlServer", "check_exposure"]

_LIMITS = Limits(connections=512)
"""For each of the two: strangers at the TCP port can't use up the places of the command line."""


class ControlServer:
    """Serve a target; ``open`` what the settings say, ``close`` when the supervisor ends."""

    def __init__(self, target: Target, front: str = "") -> None:
        """Prepare to serve; ``front`` is the module of the dashboard, whose ``Front`` answers what the API does not."""
        self._target = target
        self._api = Api(target)
        self._front_module = front
        self._front: Handler | None = None
        self._unix = Server(guard_unix(self._answer), limits=_LIMITS, failure=error_response)
        self._tcp: Server | None = None
        self._path = ""

    async def open(self, path: str) -> None:
        """Listen at the unix socket ``path``, and at the TCP address of ``[http]``.

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
        await self._unix.listen([listener])
        if settings.http.listen:
            await self.open_tcp(listen(settings.http.listen))

    async def open_tcp(self, sockets: list[socket.socket]) -> None:
        """Serve on TCP sockets that listen already, by the rules of ``[http]``."""
        http = self._target.settings.http
        sessions = os.path.join(self._target.settings.state_dir, "sessions")
        guard = PasswordGuard(self._answer, http, sessions=sessions, audit=self._api.audit)
        self._tcp = Server(guard, limits=_LIMITS, failure=error_response)
        await self._tcp.listen(sockets, tls=_tls(http))

    def _answer(self, request: Request) -> Response | Awaitable[Response]:
        try:
            return self._api.handler(request)
        except HttpError as error:
            if error.status != 404 or not self._front_module:
                raise
        if self._front is None:
            # The dashboard stands above us: it is named to us, and loaded when it is asked for.
            self._front = importlib.import_module(self._front_module).Front(self._target)
        return self._front(request)

    async def close(self, grace: float = 2.0) -> None:
        """Let running requests finish for ``grace`` seconds, then end; the unix socket is removed."""
        servers = [self._unix] if self._tcp is None else [self._unix, self._tcp]
        if self._path:
            _remove(self._path)
        await asyncio.gather(*(server.close(grace) for server in servers))
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
    os.chown(path, getpwnam(user).pw_uid if user else -1, getgrnam(group).gr_gid if group else -1)


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
