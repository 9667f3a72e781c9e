"""Who may do what with a supervisor: the rules, apart from the checking of passwords. No I/O."""

from __future__ import annotations

from base64 import b64decode
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

from genii.errors import UsageError
from genii.events.message import HttpError
from genii.system.address import is_loopback, parse_address

if TYPE_CHECKING:
    from genii.events.message import Request
    from genii.supervise.model import Http

__all__ = ["Account", "Failures", "Role", "basic_credentials", "check_exposure", "refuse_foreign"]

_ALLOWED_FAILURES = 5
_FORGET_AFTER = 60.0
_REMEMBERED = 1024
_READING = frozenset(("GET", "HEAD", "OPTIONS"))


class Role(IntEnum):
    """What a client may do."""

    NOBODY = 0
    READER = 1
    OPERATOR = 2

    def allows(self, method: str) -> bool:
        """Say whether the role is enough for a request of this method."""
        return self >= (Role.READER if method in _READING else Role.OPERATOR)


class Account(NamedTuple):
    """Somebody who may come in."""

    name: str
    password: str
    """As it is stored, see ``genii.control.password``."""
    role: Role


class Failures:
    """Count wrong passwords by address; after five in a minute an address has to wait."""

    def __init__(self) -> None:
        self._seen: dict[str, list[float]] = {}

    def wait(self, address: str, now: float) -> float:
        """Return the seconds until the address may try again; 0: now."""
        recent = [moment for moment in self._seen.get(address, ()) if now - moment < _FORGET_AFTER]
        if len(recent) < _ALLOWED_FAILURES:
            return 0.0
        return _FORGET_AFTER - (now - recent[-_ALLOWED_FAILURES])

    def note(self, address: str, now: float) -> None:
        """Count a wrong password."""
        recent = self._seen.pop(address, [])
        self._seen[address] = [*recent[-_ALLOWED_FAILURES + 1 :], now]
        while len(self._seen) > _REMEMBERED:
            del self._seen[next(iter(self._seen))]


def check_exposure(http: Http) -> None:
    """Refuse a configuration that would let strangers in.

    Raises:
        UsageError: it listens beyond this machine without a password, or one half of a pair is missing.
    """
    for user, password, what in (
        (http.username, http.password, ""),
        (http.readonly_username, http.readonly_password, "readonly_"),
    ):
        if bool(user) != bool(password):
            raise UsageError(f"[http] {what}username and {what}password go together; one of them is missing")
    if bool(http.tls_certificate) != bool(http.tls_key):
        raise UsageError("[http] tls_certificate and tls_key go together; one of them is missing")
    if http.listen and not http.username and not is_loopback(parse_address(http.listen)):
        raise UsageError(
            f"[http] listen = {http.listen!r} can be reached from other machines: set username and password, "
            "or listen at 127.0.0.1"
        )


def basic_credentials(header: str) -> tuple[str, str] | None:
    """Read user and password of an Authorization header (RFC 7617); None: it is none of that kind."""
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        text = b64decode(token.strip(), validate=True).decode("utf-8", "surrogateescape")
    except ValueError:
        return None
    user, colon, password = text.partition(":")
    return (user, password) if colon else None


def refuse_foreign(request: Request, *, authenticated: bool, listen: str) -> None:
    """Refuse what a browser sends on behalf of somebody else's page.

    Without passwords the Host must be a name of this machine (DNS rebinding). A request that changes something
    must come from a page of ours, if from a page at all, and say that it brings JSON, which a foreign form can't.

    Raises:
        HttpError: 403, 415 or 421.
    """
    host = request.headers.get("host", "").lower()
    if not authenticated and not _is_ours(host, listen):
        raise HttpError(421, f"there is no {host!r} here; ask for localhost or the address that is listened at")
    if request.method in _READING:
        return
    origin = request.headers.get("origin", "")
    if origin and origin.lower().partition("://")[2] != host:
        raise HttpError(403, f"requests of pages of {origin} are refused", code="foreign-origin")
    if request.headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        raise HttpError(403, "requests of pages of other sites are refused", code="foreign-origin")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HttpError(415, "send JSON, with the header Content-Type: application/json")


def _is_ours(host: str, listen: str) -> bool:
    try:
        address = parse_address(host if _has_port(host) else f"{host}:80")
    except UsageError:
        return False
    return is_loopback(address) or address.host == parse_address(listen).host.lower()


def _has_port(host: str) -> bool:
    return ":" in host.rpartition("]")[2]
