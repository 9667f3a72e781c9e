"""Output that is more than a log: events for listeners, captured messages, syslog, logs without ANSI escapes."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from genii.supervise.logfile import LogFile
from genii.supervisord.capture import Capture, strip_ansi

if TYPE_CHECKING:
    from genii.config.ini.declaration import Member, Stream
    from genii.supervisord.service import Service

__all__ = ["OutputStream", "Syslog", "needs_data"]

_USER_INFO = 14
"""Facility user (1), severity informational (6): see RFC 3164."""
_LONGEST = 8192


def needs_data(stream: Stream) -> bool:
    """Say whether a stream's data has to come to the supervisor, not only to the keeper."""
    return bool(stream.capture or stream.events or stream.syslog or stream.log)


class OutputStream:
    """One output stream of one process."""

    def __init__(self, service: Service, name: str, member: Member, channel: str) -> None:
        stream: Stream = getattr(member, channel)
        self._service = service
        self._name = name
        self._member = member
        self._channel = channel
        self._events = stream.events
        self._capture = Capture(stream.capture) if stream.capture else None
        self._strip = service.declaration.daemon.strip_ansi
        self._syslog = stream.syslog
        self._rest = b""
        log = stream.log
        self.file = LogFile(log.path, log.size, log.backups, log.every, False) if log and log.path else None

    def received(self, data: bytes) -> None:
        """Take in what the process wrote."""
        if self._capture is not None:
            data, messages = self._capture.feed(data)
            for message in messages:
                self._notify("PROCESS_COMMUNICATION", message, "")
        self._pass(data)

    def unfinished(self) -> list[str]:
        """Return what is held back, for another version of this; as text, byte for byte."""
        held = self._capture.unfinished() if self._capture is not None else b""
        return [held.decode("latin-1"), self._rest.decode("latin-1")]

    def restore(self, unfinished: list[str]) -> None:
        """Go on with what another version held back."""
        held, rest = (text.encode("latin-1") for text in unfinished)
        if self._capture is not None:
            self._capture.feed(held)
        self._rest = rest

    def ended(self) -> None:
        """Give away what was held back, as the process is gone."""
        if self._capture is not None:
            self._pass(self._capture.flush())
        if self._rest:
            self._service.syslog.send(f"{self._member.name} {self._rest.decode('utf-8', 'replace')}")
            self._rest = b""

    def _pass(self, data: bytes) -> None:
        if self._strip:
            data = strip_ansi(data)
        if not data:
            return
        if self.file is not None:
            self.file.append(bytearray(data), len(data), time.monotonic())
        if self._syslog:
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in lines:
                self._service.syslog.send(f"{self._member.name} {line.decode('utf-8', 'replace')}")
            self._rest = self._rest[-_LONGEST:]
        if self._events:
            self._notify("PROCESS_LOG", data, f" channel:{self._channel}")

    def _notify(self, kind: str, data: bytes, more: str) -> None:
        process = self._service.supervisor.slots.get(self._name)
        pid = process.life.pid if process is not None else 0
        head = f"processname:{self._member.name} groupname:{self._member.group} pid:{pid}{more}\n"
        self._service.notify(f"{kind}_{self._channel.upper()}", head + data.decode("utf-8", "replace"))

    def clear(self) -> None:
        """Throw the log away."""
        if self.file is not None:
            self.file.clear(time.monotonic())

    def reopen(self) -> None:
        """Open the log anew, after somebody has moved it."""
        if self.file is not None:
            self.file.close()


class Syslog:
    """The system's log; without one, what is sent is lost."""

    def __init__(self, path: str = "/dev/log") -> None:
        self._path = path
        self._socket: socket.socket | None = None

    def send(self, text: str) -> None:
        """Send a line."""
        message = f"<{_USER_INFO}>{time.strftime('%b %e %H:%M:%S')} supervisord[{os.getpid()}]: {text}"
        with suppress(OSError):
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
                self._socket.connect(self._path)
            self._socket.send(message.encode("utf-8", "replace")[:_LONGEST])
            return
        self.close()

    def close(self) -> None:
        """Let go of the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
