"""``genii attach``: read what a process prints, and write to it."""

from __future__ import annotations

import os
import select
import sys
from typing import TYPE_CHECKING

from genii.cli.connect import connect, explain_unknown
from genii.cli.options import complete_with
from genii.cli.reader import end_when_unread
from genii.cli.terminal import printable
from genii.errors import GeniiError, NotRead, NotRunning, UsageError

if TYPE_CHECKING:
    import argparse
    from queue import Queue

    from genii.control.client import Client
    from genii.control.rows import LogRow, StatusRow

__all__ = ["configure", "run"]

_LINES = 10
"""How many lines of before are shown."""
_WAITING = 64
"""Batches of lines that wait to be shown before no more are fetched."""
_BLOCK = 1024
"""Bytes that are sent at once: less than PIPE_BUF even if each were replaced by U+FFFD, so that none is sent twice."""
_PAUSE = 50
"""Milliseconds before a process that does not read is tried again."""
_STDIN = 0


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the argument."""
    complete_with(parser.add_argument("name", metavar="NAME", help="one process, such as web:0"), "names")
    parser.epilog = """Lines that are typed go to the process, if its program has stdin = "pipe". Ctrl-D or Ctrl-C
detaches; the process runs on. What is not typed at a terminal is sent to its end; Ctrl-C detaches.

Examples:
  genii attach console
  echo reload | genii attach console"""


def run(options: argparse.Namespace) -> int:
    """Follow a process and send it lines until the user detaches.

    Raises:
        UsageError: the name does not mean exactly one process.
        NotRunning: the supervisor has ended.
    """
    client = connect(options)
    try:
        with explain_unknown(client, [options.name]):
            status = _only(options.name, client.statuses([options.name]))
        if not _reads(client, status["program"]):
            hint = f'with stdin = "pipe" in [program.{status["program"]}] it would'
            print(f"genii: {status['name']} reads nothing; {hint}", file=sys.stderr)
        _Attachment(client, status["name"]).run()
    except KeyboardInterrupt:
        print(file=sys.stderr)  # behind the ^C of the terminal
    print(f"genii: detached from {options.name}", file=sys.stderr)
    return 0


def _only(name: str, statuses: list[StatusRow]) -> StatusRow:
    if len(statuses) != 1:
        several = f"name one of {', '.join(status['name'] for status in statuses)}" if statuses else "scale it first"
        raise UsageError(f"{name} has {len(statuses)} processes; {several}")
    return statuses[0]


def _reads(client: Client, program: str) -> bool:
    return any(row["name"] == program and row["stdin"] == "pipe" for row in client.programs())


class _Attachment:
    """A process that is followed by a thread; all else, printing and sending, is done by the one that runs this."""

    def __init__(self, client: Client, name: str) -> None:
        from codecs import getincrementaldecoder
        from queue import Queue

        self._client = client
        self._name = name
        self._rows: Queue[LogRow | Exception] = Queue(_WAITING)
        self._woken, self._waking = os.pipe()
        self._typed = os.isatty(_STDIN)
        self._clean = printable if sys.stdout.isatty() else str
        self._decoder = getincrementaldecoder("utf-8")("replace")
        self._unsent = ""
        self._ended = False

    def run(self) -> None:
        """Return when the user detaches at a terminal.

        Raises:
            GeniiError: the supervisor is gone, or what was not typed could not be sent.
        """
        import threading

        end_when_unread()
        threading.Thread(target=self._follow, daemon=True).start()
        poll = select.poll()
        poll.register(self._woken, select.POLLIN)
        reads = False
        begun = False
        while not (self._typed and self._ended):
            ready = {descriptor for descriptor, _ in poll.poll(_PAUSE if self._unsent else None)}
            if self._woken in ready:
                self._show()
                begun = True  # only now is anything sent, so that no answer to it is missed
            if _STDIN in ready:
                self._read()
            elif self._unsent:
                self._send()
            wants = begun and not self._unsent and not self._ended
            if wants and not reads:
                poll.register(_STDIN, select.POLLIN)
            elif reads and not wants:
                poll.unregister(_STDIN)
            reads = wants

    def _follow(self) -> None:
        try:
            for row in self._client.follow_logs([self._name], _LINES, 0.0, marks=True):
                self._put(row)
            self._put(NotRunning(f"the supervisor at {self._client.address} has ended"))
        except Exception as error:  # it is raised where somebody waits for it
            self._put(error)

    def _put(self, row: LogRow | Exception) -> None:
        self._rows.put(row)
        os.write(self._waking, b"\0")

    def _show(self) -> None:
        """Print what has come: a row for each byte."""
        for _ in os.read(self._woken, _WAITING):
            row = self._rows.get()
            if isinstance(row, Exception):
                raise row
            sys.stdout.write("".join(f"{self._clean(line)}\n" for line in row["lines"]))
        sys.stdout.flush()

    def _read(self) -> None:
        """Send on what can be read."""
        block = os.read(_STDIN, _BLOCK)
        self._ended = not block
        self._unsent = self._decoder.decode(block, final=self._ended)
        if self._unsent:
            self._send()

    def _send(self) -> None:
        """Send what is unsent; what was not typed is kept as long as the process does not read."""
        try:
            self._client.send_input(self._name, self._unsent)
        except GeniiError as error:
            if not self._typed:
                if isinstance(error, NotRead):
                    return
                raise
            print(f"genii: {error}", file=sys.stderr)
        self._unsent = ""
