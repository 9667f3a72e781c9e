"""Write event listeners for supervisord's protocol without the supervisor package.

A listener is a program under ``[eventlistener:x]``; it reads events from its standard input and answers on its
standard output, so whatever it prints must go to standard error. See http://supervisord.org/events.html.

    from genii.listener import events

    for event in events():
        if event.name == "PROCESS_STATE_EXITED" and event.data["expected"] == "0":
            complain(event.data["processname"])

An event is accepted when the loop asks for the next one, and put back for another try when its body raises.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from genii.errors import PeerError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from genii.supervisord.client import Client

__all__ = ["Event", "connect", "events", "fail", "ok", "parse_tokens", "read_event", "say_ready"]


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its header and its payload."""

    header: dict[str, str]
    payload: str

    @property
    def name(self) -> str:
        """Return the type of the event, such as ``PROCESS_STATE_EXITED``."""
        return self.header["eventname"]

    @property
    def data(self) -> dict[str, str]:
        """Return the words ``key:value`` of the payload's first line."""
        return parse_tokens(self.payload.partition("\n")[0])

    @property
    def body(self) -> str:
        """Return what follows the payload's first line."""
        return self.payload.partition("\n")[2]


def parse_tokens(line: str) -> dict[str, str]:
    """Return the words ``key:value`` of a line."""
    pairs = (word.partition(":") for word in line.split())
    return {key: value for key, colon, value in pairs if colon}


def say_ready(output: TextIO | None = None) -> None:
    """Tell the supervisor that an event may come."""
    _write("READY\n", output)


def ok(output: TextIO | None = None) -> None:
    """Accept the event in hand."""
    _write("RESULT 2\nOK", output)


def fail(output: TextIO | None = None) -> None:
    """Have the event in hand sent again."""
    _write("RESULT 4\nFAIL", output)


def _write(text: str, output: TextIO | None) -> None:
    output = output or sys.stdout
    output.write(text)
    output.flush()


def read_event(source: TextIO | None = None) -> Event | None:
    """Return the next event; None: the supervisor is gone.

    Raises:
        PeerError: what comes is no event.
    """
    source = source or sys.stdin
    line = source.readline()
    if not line:
        return None
    header = parse_tokens(line)
    if not header.get("len", "").isdecimal() or "eventname" not in header:
        raise PeerError(f"expected the header of an event, not {line[:80]!r}")
    length = int(header["len"])  # in characters, not bytes
    payload = source.read(length)
    return Event(header, payload) if len(payload) == length else None


def events(source: TextIO | None = None, output: TextIO | None = None) -> Iterator[Event]:
    """Yield events until the supervisor is gone; each is accepted when the next one is asked for."""
    while True:
        say_ready(output)
        event = read_event(source)
        if event is None:
            return
        accepted = False
        try:
            yield event
            accepted = True
        finally:
            if not accepted:
                fail(output)
        ok(output)


def connect(environ: Mapping[str, str] | None = None) -> Client:
    """Return a client of the supervisor that runs this process, by ``SUPERVISOR_SERVER_URL``.

    ``SUPERVISOR_USERNAME`` and ``SUPERVISOR_PASSWORD`` are used where it wants a password.

    Raises:
        PeerError: this process is not run by a supervisor that has a server.
    """
    from genii.supervisord.client import Client

    environ = os.environ if environ is None else environ
    url = environ.get("SUPERVISOR_SERVER_URL", "")
    if not url:
        raise PeerError(
            "SUPERVISOR_SERVER_URL is not set: the supervisor has no [unix_http_server] or [inet_http_server]"
        )
    return Client(url, environ.get("SUPERVISOR_USERNAME", ""), environ.get("SUPERVISOR_PASSWORD", ""))
