"""Refuse what a browser sends on behalf of somebody else's page, and let all other clients be. No I/O.

supervisord's pages change things on GET, and scripts use that; so it is not the method that decides, but what only
browsers send: Origin, Referer, Sec-Fetch-Site, and a Host that is not ours (DNS rebinding).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from genii.errors import UsageError
from genii.events.message import HttpError
from genii.system.address import is_loopback, parse_address

if TYPE_CHECKING:
    from genii.config.ini.declaration import HttpServer
    from genii.events.message import Request

__all__ = ["refuse_foreign"]


def refuse_foreign(request: Request, server: HttpServer) -> None:
    """Refuse requests of other sites' pages.

    Raises:
        HttpError: 403 or 421.
    """
    headers = request.headers
    host = headers.get("host", "").lower()
    if not server.path and not server.username and server.host and not _is_ours(host, server):
        # Without a password, a name that somebody else points here must not be enough.
        raise HttpError(421, f"there is no {host!r} here")
    if headers.get("sec-fetch-site", "none") not in ("same-origin", "none") and not _plain_visit(request):
        raise HttpError(403, "requests of pages of other sites are refused")
    for name in ("origin", "referer"):
        value = headers.get(name, "")
        if value and value.lower().partition("://")[2].partition("/")[0] != host and not _plain_visit(request):
            raise HttpError(403, f"requests of pages of {value[:80]} are refused")


def _plain_visit(request: Request) -> bool:
    """Say whether somebody only follows a link to a page that changes nothing."""
    return request.method in ("GET", "HEAD") and "action" not in request.query and not request.path.startswith("/RPC2")


def _is_ours(host: str, server: HttpServer) -> bool:
    try:
        address = parse_address(host if ":" in host.rpartition("]")[2] else f"{host}:80")
    except UsageError:
        return False
    return is_loopback(address) or address.host == server.host
