"""Serve the dashboard: one page, its style and its scripts, from the package; most of the rest is the control API.

The files are read and compressed when they are first asked for. Scripts and style have a path that names their
contents, so that a browser keeps them until they change.
"""

from __future__ import annotations

import os
import zlib
from binascii import crc32
from typing import TYPE_CHECKING

from genii.control.failure import error_response
from genii.errors import GeniiError
from genii.events.message import HttpError, Response
from genii.events.router import Router
from genii.web.releases import Releases

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from genii.control.audit import Audit
    from genii.control.target import Target
    from genii.events.message import Request

__all__ = ["Front"]

_FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "assets")
_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Vary": "Accept-Encoding",
}
_FOREVER = "public, max-age=31536000, immutable"


class Front:
    """Answer what the control API does not: the page at ``/``, its files below ``/assets/``, deployments and hosts."""

    def __init__(self, target: Target, audit: Audit) -> None:
        self._audit = audit
        self._routes = Router()
        releases = Releases(target)
        self._routes.add("GET", "/api/v1/deployments", releases.deployments)
        self._routes.add("GET", "/api/v1/deployments/lines", releases.lines)
        self._routes.add("POST", "/api/v1/deployments/rollback", releases.roll_back)
        self._routes.add("POST", "/api/v1/deployments/deploy", releases.deploy)
        self._routes.add("GET", "/api/v1/fleet", releases.fleet)
        self._version = ""
        self._files: dict[str, bytes] = {}
        """By name, compressed."""

    def __call__(self, request: Request) -> Response | Awaitable[Response]:
        """Answer a request.

        Raises:
            HttpError: 404 or 405.
        """
        path = request.path
        if path.startswith("/api/"):
            return self._ask(request)
        parts = path.split("/")
        if not self._version:
            self._load()
        asset = len(parts) == 4 and parts[1] == "assets" and parts[3] in self._files
        if path != "/" and not asset:
            raise HttpError(404, f"there is nothing at {path}; the dashboard is at /")
        if request.method not in ("GET", "HEAD"):
            raise HttpError(405, "the page is only there to be read", headers={"Allow": "GET, HEAD"})
        if path == "/":
            return self._answer(request, "index.html", "no-cache")
        current = parts[2] == self._version
        return self._answer(request, parts[3], _FOREVER if current else "no-store")

    async def _ask(self, request: Request) -> Response:
        outcome = "done"
        try:
            answer = self._routes(request)
            return answer if isinstance(answer, Response) else await answer
        except GeniiError as error:
            outcome = error.code
            return error_response(error)
        finally:
            if request.method == "POST":
                about = request.body.decode("utf-8", "replace")
                address = request.peer.address or "unix"
                action = request.path.removeprefix("/api/v1/")
                self._audit.note(request.user or "anyone", address, action, about, outcome)

    def _answer(self, request: Request, name: str, keep: str) -> Response:
        tag = f'"{self._version}"'
        headers = {**_HEADERS, "Cache-Control": keep, "ETag": tag}
        if request.headers.get("if-none-match") == tag:
            return Response(304, b"", "", headers)
        body = self._files[name]
        if "gzip" in request.headers.get("accept-encoding", ""):
            headers["Content-Encoding"] = "gzip"
        else:
            body = zlib.decompress(body, wbits=31)
        return Response(200, body, _KINDS[os.path.splitext(name)[1]], headers)

    def _load(self) -> None:
        """Read and compress all files; the version is their checksum."""
        found: dict[str, bytes] = {}
        for name in sorted(os.listdir(_FOLDER)):
            if os.path.splitext(name)[1] in _KINDS:
                with open(os.path.join(_FOLDER, name), "rb") as file:
                    found[name] = file.read()
        version = f"{crc32(b''.join(found.values())):08x}"
        found["index.html"] = found["index.html"].replace(b"VERSION", version.encode())
        self._files = {name: _compress(data) for name, data in found.items()}
        self._version = version


def _compress(data: bytes) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    return packer.compress(data) + packer.flush()
