"""The pages of supervisord's web administration, and the forms that scripts use: ``?processname=x&action=stop``."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from genii.config.ini.names import namespec
from genii.events.message import HttpError, Response
from genii.events.percent import parse_query, unquote
from genii.supervise.model import State
from genii.supervisord.faults import Fault
from genii.supervisord.follow import follow_bytes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from genii.events.message import Request
    from genii.supervisord.dispatch import Dispatcher
    from genii.supervisord.service import Service

__all__ = ["answer"]

_UNCACHED = {
    "Cache-Control": "no-cache",
    "Pragma": "no-cache",
    "Expires": "Thu, 01 Jan 1970 00:00:00 GMT",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}
_STYLE = """\
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 70em; padding: 0 1em; color: #222 }
table { border-collapse: collapse; width: 100% } td, th { padding: .4em .8em; border-bottom: 1px solid #ddd }
th { text-align: left } form { display: inline } pre { white-space: pre-wrap; word-break: break-all }
.statusrunning, .statuserror, .statusnominal { border-radius: 4px; padding: .1em .5em; font-size: 85% }
.statusrunning { background: #cfc } .statuserror { background: #fcc } .statusnominal { background: #ffc }
.message { background: #eef; padding: .4em .8em } button { font: inherit; cursor: pointer }
@media (prefers-color-scheme: dark) {
  body { background: #181818; color: #ddd } td, th { border-color: #444 } .message { background: #223 }
  .statusrunning, .statuserror, .statusnominal { color: #222 } a { color: #9cf } }
"""
_START_ERRORS = {
    "NO_FILE": "no such file",
    "NOT_EXECUTABLE": "file not executable",
    "ALREADY_STARTED": "already started",
    "SPAWN_ERROR": "spawn error",
    "ABNORMAL_TERMINATION": "abnormal termination",
}


def answer(service: Service, dispatcher: Dispatcher, request: Request) -> Response | Awaitable[Response]:
    """Answer what is no XML-RPC.

    Raises:
        HttpError: there is nothing at that path.
    """
    path = request.path
    if request.method not in ("GET", "HEAD", "POST"):
        raise HttpError(400, f"{request.method} means nothing here")
    if path in ("/", "/index.html"):
        return _status(service, dispatcher, request)
    if path == "/tail.html":
        return _tail(dispatcher, request)
    if path == "/ok.html":
        return Response(200, b"OK", "text/html", dict(_UNCACHED))
    if path == "/stylesheets/supervisor.css":
        return Response(200, _STYLE.encode(), "text/css; charset=utf-8")
    if path.startswith("/logtail/"):
        return _log_tail(service, unquote(path.removeprefix("/logtail/")))
    if path == "/mainlogtail":
        return _stream(service.declaration.daemon.logfile)
    raise HttpError(404, f"there is nothing at {path}")


def _form(request: Request) -> dict[str, str]:
    """Return the fields of the query and of a form that was posted."""
    fields = request.query
    if request.method == "POST":
        fields = {**fields, **parse_query(request.body.decode("utf-8", "replace"))}
    return {name: values[-1] for name, values in fields.items()}


# ------------------------------------------------------------------ logs


def _log_tail(service: Service, rest: str) -> Response:
    name, slash, channel = rest.rstrip("/").partition("/")
    group, colon, process = name.partition(":")
    called = namespec(group, process if colon else group)
    if called not in service.members:
        raise HttpError(404, f"there is no process {name!r}")
    if slash and channel not in ("stdout", "stderr"):
        raise HttpError(404, "the log is stdout or stderr")
    return _stream(service.log_file(called, channel or "stdout"))


def _stream(path: str) -> Response:
    import os

    if not path or not os.path.isfile(path):
        raise HttpError(404, "there is no log file")
    headers = {"X-Accel-Buffering": "no", "X-Content-Type-Options": "nosniff"}
    return Response(200, b"", "text/plain;charset=utf-8", headers, follow_bytes(path), endless=True)


def _tail(dispatcher: Dispatcher, request: Request) -> Response:
    form = _form(request)
    name, limit = form.get("processname", ""), form.get("limit", "1024")
    count = max(1024, int(limit)) if limit.isdecimal() and len(limit) < 10 else 1024
    if not name:
        text = "No process name found"
    else:
        try:
            text = dispatcher.call("supervisor.readProcessStdoutLog", [name, -count, 0])
        except Fault as fault:
            code = f"ERROR: unexpected rpc fault [{fault.number}] {fault.text}"
            text = f"No file for {name}" if fault.text.startswith("NO_FILE") else code
    link = f"tail.html?processname={quote(name)}&limit={count}"
    body = f'<p><a href="{escape(link)}">Refresh</a> · <a href="./">All</a></p><pre>{escape(text)}</pre>'
    return _page(f"Supervisor tail of process {name}", body)


# ------------------------------------------------------------------ the status page


def _status(service: Service, dispatcher: Dispatcher, request: Request) -> Response | Awaitable[Response]:
    form = _form(request)
    action, name = form.get("action", ""), form.get("processname", "")
    if action:
        return _act(dispatcher, request, action, name)
    if request.method == "POST":
        raise HttpError(400, "the form names no action")
    rows = "".join(_row(info) for info in dispatcher.call("supervisor.getAllProcessInfo", []))
    message = f'<p class="message">{escape(form["message"])}</p>' if form.get("message") else ""
    buttons = "".join(
        _button(*each) for each in (("refresh", "Refresh"), ("restartall", "Restart all"), ("stopall", "Stop all"))
    )
    head = "<tr><th>State</th><th>Description</th><th>Name</th><th>Action</th></tr>"
    note = "" if rows else "<p>No programs to manage</p>"
    identifier = service.declaration.daemon.identifier
    return _page(f"{identifier} status", f"{message}<p>{buttons}</p><table>{head}{rows}</table>{note}")


def _row(info: dict[str, Any]) -> str:
    name = namespec(info["group"], info["name"])
    state = State(info["state"])
    style = {State.RUNNING: "statusrunning", State.FATAL: "statuserror", State.BACKOFF: "statuserror"}
    actions = []
    if state is State.RUNNING:
        actions += [_button("restart", "Restart", name), _button("stop", "Stop", name)]
    elif state in (State.STOPPED, State.EXITED, State.FATAL):
        actions.append(_button("start", "Start", name))
    actions.append(_button("clearlog", "Clear Log", name))
    for channel in ("stdout", "stderr"):
        if info[f"{channel}_logfile"]:
            link = f"logtail/{quote(name)}" + ("/stderr" if channel == "stderr" else "")
            actions.append(f'<a href="{escape(link)}" target="_blank" rel="noopener">Tail -f {channel.title()}</a>')
    cells = (
        f'<span class="{style.get(state, "statusnominal")}">{info["statename"].lower()}</span>',
        escape(info["description"]),
        f'<a href="tail.html?processname={quote(name)}">{escape(name)}</a>',
        " ".join(actions),
    )
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _button(action: str, label: str, name: str = "") -> str:
    field = f'<input type="hidden" name="processname" value="{escape(name)}">' if name else ""
    button = f'<button name="action" value="{action}">{label}</button>'
    return f'<form method="post" action="index.html">{field}{button}</form> '


async def _act(dispatcher: Dispatcher, request: Request, action: str, name: str) -> Response:
    """Carry out an action and lead back to the page, which tells what became of it."""
    message = await _done(dispatcher, action, name)
    host = request.headers.get("host", "")
    start = f"http://{host}" if host else ""
    return Response(301, b"", "text/plain", {**_UNCACHED, "Location": f"{start}/?message={quote(message)}"})


async def _done(dispatcher: Dispatcher, action: str, name: str) -> str:
    if action == "refresh":
        return f"Page refreshed at {time.ctime()}"
    if action == "stopall":
        await dispatcher.call("supervisor.stopAllProcesses", [])
        return f"All stopped at {time.ctime()}"
    if action == "restartall":
        await dispatcher.call("supervisor.stopAllProcesses", [])
        await dispatcher.call("supervisor.startAllProcesses", [])
        return f"All restarted at {time.ctime()}"
    act = _ACTIONS.get(action)
    if act is None or not name:
        raise HttpError(
            400, f"there is no action {action[:40]!r}" if act is None else "name the process: processname=…"
        )
    try:
        dispatcher.call("supervisor.getProcessInfo", [name])
    except Fault:
        return f"No such process named {name}"
    return await act(dispatcher, name)


async def _start(dispatcher: Dispatcher, name: str) -> str:
    try:
        await dispatcher.call("supervisor.startProcess", [name])
    except Fault as fault:
        kind = fault.text.partition(":")[0]
        return (
            f"ERROR: Process {name}: {_START_ERRORS.get(kind, f'unexpected rpc fault [{fault.number}] {fault.text}')}"
        )
    return f"Process {name} started"


async def _stop(dispatcher: Dispatcher, name: str) -> str:
    try:
        await dispatcher.call("supervisor.stopProcess", [name])
    except Fault as fault:
        return f"unexpected rpc fault [{fault.number}] {fault.text}"
    return f"Process {name} stopped"


async def _restart(dispatcher: Dispatcher, name: str) -> str:
    with suppress(Fault):  # it does not run: then it is only started
        await dispatcher.call("supervisor.stopProcess", [name])
    message = await _start(dispatcher, name)
    return f"Process {name} restarted" if message.endswith(" started") else message


async def _clear(dispatcher: Dispatcher, name: str) -> str:
    dispatcher.call("supervisor.clearProcessLogs", [name])
    return f"Log for {name} cleared"


_ACTIONS: dict[str, Callable[[Dispatcher, str], Awaitable[str]]] = {
    "start": _start,
    "stop": _stop,
    "restart": _restart,
    "clearlog": _clear,
}


def _page(title: str, body: str) -> Response:
    text = (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width">'
        '<link rel="stylesheet" href="stylesheets/supervisor.css"></head>'
        f"<body><h1>{escape(title)}</h1>{body}</body></html>"
    )
    return Response(200, text.encode("utf-8", "replace"), "text/html;charset=utf-8", dict(_UNCACHED))


def escape(text: str) -> str:
    """Return a text for HTML, also within quotes."""
    return (
        text.replace("&", "&amp;")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
        .replace('"', "&quot;")
        .replace("'", "&#39;")
    )
