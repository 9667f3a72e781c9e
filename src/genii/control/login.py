"""Logging in and out with a browser: the cookie, the open sessions and the file that keeps them."""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING

from genii.control.query import SessionAnswer
from genii.control.sessions import Sessions, cookie_value, forgery_token
from genii.events.message import HttpError, Response

if TYPE_CHECKING:
    from collections.abc import Callable

    from genii.control.access import Account
    from genii.events.message import Request

__all__ = ["Login"]

_log = logging.getLogger("genii.control")
_COOKIE_AGE = 7 * 86400


class Login:
    """The sessions of one TCP listener; ``path`` is where they outlive the supervisor (empty: they don't)."""

    def __init__(
        self,
        accounts: list[Account],
        path: str,
        port: int,
        *,
        secure: bool,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._accounts = accounts
        self._path = path
        self._cookie = f"genii_{port}"  # cookies are shared by all ports of a host
        self._secure = "; Secure" if secure else ""
        self._wall = wall
        self._sessions = Sessions(_read(path))

    def who(self, request: Request) -> Account | None:
        """Return who sent a request, by its cookie.

        Raises:
            HttpError: 403, the request would change something and lacks the page's own token.
        """
        token = cookie_value(request.headers.get("cookie", ""), self._cookie)
        account = self._sessions.find(token, self._accounts, self._wall()) if token else None
        if account is None:
            return None
        if request.method not in ("GET", "HEAD", "OPTIONS") and not _same(
            request.headers.get("x-genii-token", ""), forgery_token(token)
        ):
            raise HttpError(403, "the page's token is missing or wrong; load the page again", code="forged")
        return account

    def describe(self, account: Account, token: str) -> SessionAnswer:
        """Tell a page who it works for, and the token that it has to send."""
        return SessionAnswer(user=account.name, role=account.role.name.lower(), login=True, token=forgery_token(token))

    def session(self, request: Request, account: Account) -> Response:
        """Answer who is logged in."""
        token = cookie_value(request.headers.get("cookie", ""), self._cookie)
        return Response.json(self.describe(account, token))

    def enter(self, account: Account) -> Response:
        """Open a session and hand out its cookie."""
        token = os.urandom(32).hex()
        self._sessions.open(token, account, self._wall())
        self._keep()
        response = Response.json(self.describe(account, token))
        response.headers["Set-Cookie"] = self._set_cookie(token, _COOKIE_AGE)
        return response

    def leave(self, request: Request) -> Response:
        """End the session of a request."""
        self._sessions.close(cookie_value(request.headers.get("cookie", ""), self._cookie))
        self._keep()
        response = Response.json(SessionAnswer(user="", role="nobody", login=True, token=""))
        response.headers["Set-Cookie"] = self._set_cookie("", 0)
        return response

    def _set_cookie(self, value: str, age: int) -> str:
        return f"{self._cookie}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict{self._secure}"

    def _keep(self) -> None:
        """Write the sessions down; without that, people have to log in again after a restart and nothing else."""
        if not self._path:
            return
        draft = f"{self._path}.new"
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with open(descriptor, "wb") as file:
                file.write(self._sessions.encode())
            os.replace(draft, self._path)
        except OSError as error:
            _log.warning("can't keep the logins in %s: %s", self._path, error.strerror)


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(1 << 20)
    except OSError:
        return b""


def _same(given: str, wanted: str) -> bool:
    from _operator import _compare_digest as compare_digest  # see genii.control.password

    return compare_digest(given.encode("utf-8", "replace"), wanted.encode())
