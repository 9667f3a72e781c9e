"""The guard before the API: asks who is there, and lets only those in who may. The rules are in ``access``."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

from genii.control.access import Account, Failures, Role, basic_credentials, refuse_foreign
from genii.control.password import costly, verify
from genii.control.query import LoginQuery
from genii.events.message import HttpError, Response
from genii.system.address import parse_address

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from genii.control.audit import Audit
    from genii.control.login import Login
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
        request.user = f"uid:{request.peer.uid}"
        return handler(request)

    return guarded


class PasswordGuard:
    """Let in over TCP who knows a password; everybody if none is set (then only this machine can reach us)."""

    def __init__(
        self,
        handler: Handler,
        http: Http,
        clock: Callable[[], float] = time.monotonic,
        *,
        sessions: str = "",
        audit: Audit | None = None,
    ) -> None:
        """Guard ``handler``; ``sessions`` is the file that keeps the logins of browsers."""
        self._handler = handler
        self._http = http
        self._clock = clock
        self._audit = audit
        self._failures = Failures()
        self._secret = os.urandom(16)
        self._known: dict[bytes, Account] = {}
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._accounts = [Account(http.username, http.password, Role.OPERATOR)] if http.username else []
        if http.readonly_username:
            self._accounts.append(Account(http.readonly_username, http.readonly_password, Role.READER))
        self._public = {"/health", "/metrics"} if http.metrics_public else {"/health"}
        self._sessions = sessions
        self._login: Login | None = None

    def __call__(self, request: Request) -> Response | Awaitable[Response]:
        """Answer the request, or refuse it."""
        refuse_foreign(request, authenticated=bool(self._accounts), listen=self._http.listen)
        path = request.path
        if not self._accounts or path in self._public or path == "/" or path.startswith("/assets/"):
            return self._handler(request)  # the page itself holds nothing that is not public
        if path == "/api/v1/login" and request.method == "POST":
            return self._log_in(request)
        header = request.headers.get("authorization", "")
        if not header and "cookie" in request.headers:
            account = self._browser().who(request)
            if account is not None:
                return self._enter_page(account, request)
        known = self._known.get(self._digest(header)) if header else None
        if known is not None:
            return self._enter(known, request)
        return self._check(header, request)

    # ------------------------------------------------------------------ browsers

    def _browser(self) -> Login:
        if self._login is None:
            from genii.control.login import Login  # most have no browser at them

            http = self._http
            port = parse_address(http.listen).port if http.listen else 0
            self._login = Login(self._accounts, self._sessions, port, secure=bool(http.tls_certificate))
        return self._login

    def _enter_page(self, account: Account, request: Request) -> Response | Awaitable[Response]:
        if request.path == "/api/v1/session":
            return self._browser().session(request, account)
        if request.path == "/api/v1/logout" and request.method == "POST":
            self._note(account.name, request, "logout", "done")
            return self._browser().leave(request)
        return self._enter(account, request)

    async def _log_in(self, request: Request) -> Response:
        query = request.decode(LoginQuery)
        account = await self._identify(query.user, query.password, request)
        return self._browser().enter(account)

    # ------------------------------------------------------------------ passwords

    async def _check(self, header: str, request: Request) -> Response:
        credentials = basic_credentials(header)
        if credentials is None:
            # A page asks for the password itself; the browser's own window would only be in its way.
            headers = {} if "x-genii-page" in request.headers else _CHALLENGE
            raise HttpError(401, "user and password, please", headers=headers)
        account = await self._identify(*credentials, request)
        while len(self._known) >= _CACHED:
            del self._known[next(iter(self._known))]
        self._known[self._digest(header)] = account
        answer = self._enter(account, request)
        return answer if isinstance(answer, Response) else await answer

    async def _identify(self, user: str, password: str, request: Request) -> Account:
        """Return who knows the password; an address that guesses has to wait.

        Raises:
            HttpError: 401 or 429.
        """
        address = request.peer.address.rpartition(":")[0]
        wait = self._failures.wait(address, self._clock())
        if wait or self._waiting >= _WAITING:
            headers = {"Retry-After": str(max(1, round(wait)))}
            raise HttpError(429, "too many attempts; wait a little", headers=headers)
        account = await self._find(user, password)
        page = "x-genii-page" in request.headers
        if account is None:
            self._failures.note(address, self._clock())
            self._note(user, request, "login", "wrong user or password")
            raise HttpError(401, "wrong user or password", headers={} if page else _CHALLENGE)
        if page:
            self._note(user, request, "login", "done")
        return account

    def _note(self, user: str, request: Request, action: str, outcome: str) -> None:
        if self._audit is not None:
            self._audit.note(user, request.peer.address, action, "", outcome)

    def _enter(self, account: Account, request: Request) -> Response | Awaitable[Response]:
        if not account.role.allows(request.method):
            raise HttpError(403, "this user may only read", code="not-allowed")
        request.user = account.name
        return self._handler(request)

    async def _find(self, user: str, password: str) -> Account | None:
        """Check a password, one at a time: each may take 16 MiB and 50 ms of a processor."""
        self._waiting += 1
        try:
            async with self._turn:
                found = None
                for account in self._accounts:
                    # A wrong name costs as much as a wrong password, so that names can't be found out by time.
                    right = await self._verify(account.password, password)
                    if right and account.name == user and found is None:
                        found = account
                return found
        finally:
            self._waiting -= 1

    async def _verify(self, stored: str, password: str) -> bool:
        if not costly(stored):
            return verify(stored, password)
        from genii.control.password_check import check

        return await asyncio.to_thread(check, stored, password)

    def _digest(self, header: str) -> bytes:
        from _blake2 import blake2b  # hashlib would load OpenSSL: 4 MiB for the same function

        return blake2b(header.encode("utf-8", "replace"), key=self._secret, digest_size=32).digest()
