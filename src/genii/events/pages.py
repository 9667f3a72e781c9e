"""What an app serves over HTTP: handlers that return plain values, a health page, metrics."""

from __future__ import annotations

import inspect
import re
import time
from typing import TYPE_CHECKING, Any

from genii.events.message import HttpError, Request, Response
from genii.events.router import Router

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from genii.events.handlers import Handler, Runner

__all__ = ["Pages", "check_metric_name", "render_metrics", "to_response"]

_NAMES = re.compile(r"\{(\w+)(?::path)?\}")
_CONVERTERS: dict[object, Callable[[str], object]] = {int: int, "int": int, float: float, "float": float}
_METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


def to_response(value: object) -> Response:
    """Make a response of what a handler returned: str is plain text, bytes are bytes, None is empty, the rest JSON."""
    if isinstance(value, str):
        return Response(200, value.encode("utf-8", "replace"))
    if isinstance(value, Response):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return Response(200, bytes(value), "application/octet-stream")
    return Response(204) if value is None else Response.json(value)


class Pages:
    """The routes of one app. ``bind`` it to a runner, then it is a handler for ``genii.events.http.Server``."""

    def __init__(self) -> None:
        self.router = Router()
        self.paths: list[str] = []
        self._runner: Runner | None = None

    def bind(self, runner: Runner | None) -> None:
        """Say who runs the handlers."""
        self._runner = runner

    def __call__(self, request: Request) -> Response | Awaitable[Response]:
        """Answer a request; raises HttpError."""
        return self.router(request)

    def add(self, method: str, path: str, handler: Handler) -> None:
        """Answer ``method`` on ``path`` by a handler.

        It gets the parameters of the path by name (as a number where it is annotated ``int`` or ``float``), and the
        request if it has a positional parameter besides.
        """
        call = _bind(handler, path)

        def answer(request: Request) -> Response | Awaitable[Response]:
            return self._answer(handler, call, request)

        self.router.add(method, path, answer)
        self.paths.append(path)

    def _answer(
        self, handler: Handler, call: Callable[[Request], Any], request: Request
    ) -> Response | Awaitable[Response]:
        if not handler.inline or handler.is_async:
            return self._attend(handler, call, request)
        counts = handler.statistics
        counts.runs += 1
        started = time.perf_counter()
        try:
            return to_response(call(request))
        except HttpError:
            raise
        except Exception:
            counts.failures += 1
            raise
        finally:
            counts.seconds += time.perf_counter() - started

    async def _attend(self, handler: Handler, call: Callable[[Request], Any], request: Request) -> Response:
        assert self._runner is not None
        return to_response(await self._runner.call(handler, lambda: call(request)))


def _bind(handler: Handler, path: str) -> Callable[[Request], Any]:
    """Return how to call a handler with a request."""
    names = _NAMES.findall(path)
    function = handler.function
    if not names:
        return function if handler.takes_event else lambda _: function()
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        parameters = inspect.signature(lambda request: None).parameters  # noqa: ARG005 -- only its signature counts
    wanted = {name: parameters[name].annotation for name in names if name in parameters}
    takes_request = any(
        parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        and parameter.default is parameter.empty
        and name not in wanted
        for name, parameter in parameters.items()
    )

    def call(request: Request) -> Any:
        arguments = {name: _convert(name, request.parameters[name], kind) for name, kind in wanted.items()}
        return function(request, **arguments) if takes_request else function(**arguments)

    return call


def _convert(name: str, text: str, annotation: object) -> object:
    convert = _CONVERTERS.get(annotation)
    if convert is None:
        return text
    try:
        return convert(text)
    except ValueError:
        raise HttpError(400, f"{name} is a number, not {text!r}") from None


def render_metrics(handlers: Iterable[Handler], gauges: dict[str, float], counters: dict[str, float]) -> str:
    """Write the metrics of an app in the text format of Prometheus."""
    lines = []
    for kind, values in (("gauge", gauges), ("counter", counters)):
        for name, value in values.items():
            lines += [f"# TYPE {name} {kind}", f"{name} {float(value)!r}"]
    known = list(handlers)
    for field, kind in (("runs", "counter"), ("failures", "counter"), ("missed", "counter"), ("seconds", "counter"),
                        ("running", "gauge")):  # fmt: skip
        metric = f"genii_handler_{field}" + ("_total" if kind == "counter" else "")
        lines.append(f"# TYPE {metric} {kind}")
        sums: dict[str, float] = {}
        for handler in known:
            labels = f'handler="{_escape(handler.name)}",event="{_escape(handler.what)}"'
            sums[labels] = sums.get(labels, 0.0) + float(getattr(handler.statistics, field))
        lines += [f"{metric}{{{labels}}} {value!r}" for labels, value in sums.items()]
    return "\n".join(lines) + "\n"


def check_metric_name(name: str) -> str:
    """Return a name that Prometheus takes; raises ValueError for another one."""
    if not _METRIC_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a name of a metric; expected letters, digits and _, as in 'queue_length'")
    return name


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
