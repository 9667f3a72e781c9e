"""The guard before the API: asks who is there, and lets only those in who may. The rules are in ``access``."""

from __future__ import annotations

import asyncio
import os
import time
from functools import partial
from typing import TYPE_CHECKING

from genii.control.access import Failures, Role, basic_credentials, refuse_foreign
from genii.control.password import costly, verify
from genii.events.message import HttpError, Response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from genii.events.message import Request
    from genii.supervise.model import Http

    Handler = Callable[[Request], Response | Awaitable[Response]]

__all__ = ["PasswordGuard", "guard_unix"]

_CACHED = 64
_WAITING = 8
"""Password checks that may wait for their turn; more are told to come back."""
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="genii", charset="UTF-8"'}


def guard_unix(handler: Handler) -> Handler:
    """Let only root and the supervisor's own user in; the kernel says who is at the other end."""
    allowed = frozenset((0, os.getuid()))

    def guarded(request: Request) -> Response | Awaitable[Response]:
        if request.peer.uid not in allowed:
            raise HttpError(403, "only root and the user of the supervisor may do that", code="not-allowed")
        return handler(request)

    return guarded


class PasswordGuard:
    """Let in over TCP who knows a password; everybody if none is set (then only this machine can reach us)."""

    def __init__(self, handler: Handler, http: Http, clock: Callable[[], float] = time.monotonic) -> None:
        self._handler = handler
        self._http = http
        self._clock = clock
        self._failures = Failures()
        self._secret = os.urandom(16)
        self._known: dict[bytes, Role] = {}
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._accounts = [(http.username, http.password, Role.OPERATOR)] if http.username else []
        if http.readonly_username:
            self._accounts.append((http.readonly_username, http.readonly_password, Role.READER))
        self._public = {"/health", "/metrics"} if http.metrics_public else {"/health"}

    def __call__(self, request: Request) -> Response | Awaitable[Response]:
        """Answer the request, or refuse it."""
        refuse_foreign(request, authenticated=bool(self._accounts), listen=self._http.listen)
        if not self._accounts or request.path in self._public:
            return self._handler(request)
        header = request.headers.get("authorization", "")
        role = self._known.get(self._digest(header)) if header else None
        if role is not None:
            return self._enter(role, request)
        return self._check(header, request)

    async def _check(self, header: str, request: Request) -> Response:
        credentials = basic_credentials(header)
        if credentials is None:
            raise HttpError(401, "user and password, please", headers=_CHALLENGE)
        address = request.peer.address.rpartition(":")[0]
        wait = self._failures.wait(address, self._clock())
        if wait or self._waiting >= _WAITING:
            headers = {"Retry-After": str(max(1, round(wait)))}
            raise HttpError(429, "too many attempts; wait a little", headers=headers)
        role = await self._role(*credentials)
        if role is Role.NOBODY:
            self._failures.note(address, self._clock())
            raise HttpError(401, "wrong user or password", headers=_CHALLENGE)
        while len(self._known) >= _CACHED:
            del self._known[next(iter(self._known))]
        self._known[self._digest(header)] = role
        answer = self._enter(role, request)
        return answer if isinstance(answer, Response) else await answer

    def _enter(self, role: Role, request: Request) -> Response | Awaitable[Response]:
        if not role.allows(request.method):
            raise HttpError(403, "this user may only read", code="not-allowed")
        return self._handler(request)

    async def _role(self, user: str, password: str) -> Role:
        """Check a password, one at a time: each may take 16 MiB and 50 ms of a processor."""
        self._waiting += 1
        try:
            async with self._turn:
                found = Role.NOBODY
                for name, stored, role in self._accounts:
                    # A wrong name costs as much as a wrong password, so that names can't be found out by time.
                    right = await self._verify(stored, password)
                    if right and name == user and found is Role.NOBODY:
                        found = role
                return found
        finally:
            self._waiting -= 1

    async def _verify(self, stored: str, password: str) -> bool:
        if not costly(stored):
            return verify(stored, password)
        return await asyncio.get_running_loop().run_in_executor(None, partial(verify, stored, password))

    def _digest(self, header: str) -> bytes:
        from _blake2 import blake2b  # hashlib would load OpenSSL: 4 MiB for the same function

        return blake2b(header.encode("utf-8", "replace"), key=self._secret, digest_size=32).digest()
