"""From method and path to the handler that answers. No I/O."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from genii.events.message import HttpError
from genii.events.percent import unquote

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from genii.events.message import Request, Response

    Handler = Callable[[Request], Response | Awaitable[Response]]

__all__ = ["Router"]

_PARAMETER = re.compile(r"\{([A-Za-z_]\w*)(:path)?\}")


class Router:
    """Hold the routes of a server and be its handler.

    A pattern is a path with ``{name}`` for one segment and ``{name:path}`` for all the rest. Plain paths win over
    patterns, earlier patterns over later ones; GET answers HEAD too.
    """

    def __init__(self) -> None:
        self._plain: dict[str, dict[str, Handler]] = {}
        self._patterns: list[tuple[re.Pattern[str], dict[str, Handler]]] = []

    def add(self, method: str, pattern: str, handler: Handler) -> None:
        """Answer ``method`` on ``pattern`` by ``handler``.

        Raises:
            ValueError: the pattern doesn't begin with ``/``, or is already taken.
        """
        if not pattern.startswith("/"):
            raise ValueError(f"a path begins with '/', {pattern!r} does not")
        methods = self._methods(pattern)
        if method in methods:
            raise ValueError(f"{method} {pattern} is already answered")
        methods[method] = handler

    def _methods(self, pattern: str) -> dict[str, Handler]:
        if "{" not in pattern:
            return self._plain.setdefault(pattern, {})
        compiled = _compile(pattern)
        for known, methods in self._patterns:
            if known == compiled:
                return methods
        self._patterns.append((compiled, {}))
        return self._patterns[-1][1]

    def __call__(self, request: Request) -> Response | Awaitable[Response]:
        """Answer a request.

        Raises:
            HttpError: 404 or 405.
        """
        path = request.path
        methods = self._plain.get(path)
        if methods is None:
            methods = self._match(request, path)
        handler = methods.get(request.method)
        if handler is None and request.method == "HEAD":
            handler = methods.get("GET")
        if handler is None:
            allowed = ", ".join(sorted({*methods, "HEAD"} if "GET" in methods else methods))
            raise HttpError(405, f"{path} answers {allowed}, not {request.method}", headers={"Allow": allowed})
        return handler(request)

    def _match(self, request: Request, path: str) -> dict[str, Handler]:
        for pattern, methods in self._patterns:
            found = pattern.fullmatch(path)
            if found is not None:
                request.parameters = {name: unquote(value) for name, value in found.groupdict().items()}
                return methods
        raise HttpError(404, f"there is nothing at {path}")


def _compile(pattern: str) -> re.Pattern[str]:
    parts, position = [], 0
    for match in _PARAMETER.finditer(pattern):
        parts.append(re.escape(pattern[position : match.start()]))
        parts.append(f"(?P<{match[1]}>{'.*' if match[2] else '[^/]+'})")
        position = match.end()
    parts.append(re.escape(pattern[position:]))
    return re.compile("".join(parts), re.DOTALL)
