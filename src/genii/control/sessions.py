"""Sessions of people who logged in with a browser. No I/O.

A session is a random token that only the browser's cookie holds; what is kept here (and on the disk, so that people
stay logged in when the supervisor is replaced) is its digest. From the token follows a second one that a page has to
send along with whatever changes something (against cross-site request forgery): a foreign page can neither read nor
guess it. A session ends by logging out, after ``_IDLE`` seconds without use, after ``_LONGEST`` seconds in any case,
and when the password that it was opened with is changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from genii.control.access import Account

__all__ = ["Session", "Sessions", "cookie_value", "forgery_token"]

_IDLE = 12 * 3600.0
_LONGEST = 7 * 86400.0
_MOST = 256


class Session(msgspec.Struct):
    """One login; times in seconds since the epoch."""

    user: str
    account: str
    """Digest of the stored password it was opened with."""
    opened: float
    used: float


class Sessions:
    """The open sessions by the digest of their token."""

    def __init__(self, data: bytes = b"") -> None:
        """Go on with what ``encode`` returned once; what can't be read is forgotten."""
        try:
            self._open = msgspec.json.decode(data or b"{}", type=dict[str, Session])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._open = {}

    def __len__(self) -> int:
        return len(self._open)

    def encode(self) -> bytes:
        """Return all sessions as bytes, without their tokens."""
        return msgspec.json.encode(self._open)

    def open(self, token: str, account: Account, now: float) -> None:
        """Begin a session; ``token`` is 64 random hexadecimal digits. The oldest gives way when there are too many."""
        self._expire(now)
        while len(self._open) >= _MOST:
            del self._open[min(self._open, key=lambda key: self._open[key].used)]
        self._open[_digest(token)] = Session(account.name, _digest(account.password), now, now)

    def find(self, token: str, accounts: list[Account], now: float) -> Account | None:
        """Return whose session it is, and note that it was used; None: it is none, or none any more."""
        session = self._open.get(_digest(token)) if token else None
        if session is None:
            return None
        account = next((each for each in accounts if each.name == session.user), None)
        if account is None or _digest(account.password) != session.account or _ended(session, now):
            return None
        session.used = max(session.used, now)
        return account

    def close(self, token: str) -> None:
        """End a session."""
        self._open.pop(_digest(token), None)

    def _expire(self, now: float) -> None:
        self._open = {key: session for key, session in self._open.items() if not _ended(session, now)}


def _ended(session: Session, now: float) -> bool:
    return now - session.used > _IDLE or not -_LONGEST < now - session.opened < _LONGEST


def forgery_token(token: str) -> str:
    """Return what a page of this session sends with each change."""
    return _digest(token, b"forgery")


def cookie_value(header: str, name: str) -> str:
    """Return the value of a cookie from a Cookie header (RFC 6265); empty: it is not there."""
    for pair in header.split(";"):
        key, equals, value = pair.strip().partition("=")
        if equals and key == name:
            return value
    return ""


def _digest(text: str, purpose: bytes = b"session") -> str:
    from _blake2 import blake2b  # hashlib would load OpenSSL: 4 MiB for the same function

    return blake2b(text.encode("utf-8", "replace"), person=purpose, digest_size=16).hexdigest()
