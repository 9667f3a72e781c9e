"""Ask a job server how it is, and tell it what to do, by the text protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Self

from genii.errors import ConnectionLost, NotAllowed, NotRunning, TimedOut
from genii.gearman.client import connect

if TYPE_CHECKING:
    import ssl

    from genii.system.listen import Address

__all__ = ["Admin", "FunctionFigures", "FunctionStatus", "JobLine", "WorkerLine"]


class FunctionStatus(NamedTuple):
    """The jobs of a function: all, those that run, those that wait by priority; and how many workers can do it."""

    name: str
    total: int
    running: int
    workers: int
    high: int
    normal: int
    low: int


class FunctionFigures(NamedTuple):
    """What became of the jobs of a function since the server began; the seconds are those of the last 256."""

    name: str
    completed: int
    failed: int
    median: float
    late: float
    """The 95th percentile."""


class WorkerLine(NamedTuple):
    """A connection of the server: every one is listed, workers are those with functions."""

    descriptor: int
    address: str
    client_id: str
    functions: list[str]


class JobLine(NamedTuple):
    """A job of the server; of gearmand only ``handle``, ``retries`` and ``background`` are known."""

    handle: str
    state: str
    priority: str
    retries: int
    background: bool
    when: int
    unique: str
    size: int
    payload: str


class Admin:
    """A connection for administration; raises NotRunning, ConnectionLost, TimedOut, NotAllowed (the server's ERR)."""

    def __init__(self, server: Address, *, timeout: float = 10.0, tls: ssl.SSLContext | None = None) -> None:
        self.server = server
        try:
            self._socket = connect(server, timeout, tls)
        except OSError as error:
            raise NotRunning(f"no job server answers at {server}: {error.strerror or error}") from error
        self._stream = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()
        self._socket.close()

    # -- questions ------------------------------------------------------------------------------------------------

    def status(self) -> list[FunctionStatus]:
        """Return what each function has, by name."""
        waiting = {}
        for row in self._list("prioritystatus"):
            name, high, normal, low, _ = row.rsplit("\t", 4)
            waiting[name] = int(high), int(normal), int(low)
        found = []
        for row in self._list("status"):
            name, total, running, workers = row.rsplit("\t", 3)
            found.append(FunctionStatus(name, int(total), int(running), int(workers), *waiting.get(name, (0, 0, 0))))
        return sorted(found)

    def figures(self) -> dict[str, FunctionFigures]:
        """Return what became of the jobs of each function; nothing where the server is gearmand: it doesn't count."""
        try:
            rows = [row.rsplit("\t", 4) for row in self._list("figures")]
        except NotAllowed:
            return {}
        return {row[0]: FunctionFigures(row[0], int(row[1]), int(row[2]), float(row[3]), float(row[4])) for row in rows}

    def workers(self) -> list[WorkerLine]:
        """Return the connections that offer functions."""
        found = []
        for row in self._list("workers"):
            head, _, functions = row.partition(" :")
            descriptor, address, client_id = head.split(" ", 2)
            if functions:
                found.append(WorkerLine(int(descriptor), address, client_id, functions.split()))
        return found

    def jobs(self, function: str = "", limit: int = 0) -> list[JobLine]:
        """Return the jobs of a function, or of all, in the order in which they would be served.

        Only genii's server knows more than the handles; gearmand can't tell which jobs are of one function.
        """
        words = ["peek", str(limit), *([function] if function else [])]
        try:
            rows = self._list(" ".join(words))
        except NotAllowed:
            if function:
                raise NotAllowed(f"the server at {self.server} can't list the jobs of one function") from None
            rows = [_gearmand_row(row) for row in self._list("show jobs")]
            rows = rows[:limit] if limit else rows
        found = []
        for row in rows:
            handle, state, priority, retries, background, when, size, unique, payload = row.split("\t", 8)
            found.append(
                JobLine(handle, state, priority, int(retries), background == "1", int(when), unique, int(size), payload)
            )
        return found

    def version(self) -> str:
        """Return the server's version."""
        return self._simple("version").removeprefix("OK ")

    def pid(self) -> int:
        """Return the server's process id."""
        return int(self._simple("getpid").removeprefix("OK "))

    # -- orders ---------------------------------------------------------------------------------------------------

    def cancel(self, handle: str) -> None:
        """Drop a job that waits."""
        self._simple(f"cancel job {handle}")

    def create_function(self, name: str) -> None:
        """Make a function known."""
        self._simple(f"create function {name}")

    def drop_function(self, name: str) -> None:
        """Forget a function and the jobs that wait for it."""
        self._simple(f"drop function {name}")

    def limit(self, name: str, high: int = 0, normal: int = 0, low: int = 0) -> None:
        """Set how many jobs a function may have before more of a priority are refused; 0: any number."""
        self._simple(f"maxqueue {name} {high} {normal} {low}")

    def shut_down(self, *, graceful: bool = False) -> None:
        """Stop the server: now, or when the last job is done."""
        self._simple("shutdown graceful" if graceful else "shutdown")

    # -- the wire -------------------------------------------------------------------------------------------------

    def _simple(self, command: str) -> str:
        self._send(command)
        return self._line()

    def _list(self, command: str) -> list[str]:
        self._send(command)
        rows = []
        while (row := self._line()) != ".":
            rows.append(row)
        return rows

    def _send(self, command: str) -> None:
        if any(character in command for character in "\r\n\0"):
            raise NotAllowed(f"{command!r} can't be said in a line")
        try:
            self._socket.sendall(command.encode() + b"\r\n")
        except OSError as error:
            raise ConnectionLost(f"the connection to {self.server} is lost: {error.strerror}") from error

    def _line(self) -> str:
        try:
            line = self._stream.readline()
        except TimeoutError:
            raise TimedOut(f"{self.server} did not answer in time") from None
        except OSError as error:
            raise ConnectionLost(f"the connection to {self.server} is lost: {error.strerror}") from error
        if not line.endswith(b"\n"):
            raise ConnectionLost(f"{self.server} closed the connection")
        text = line.decode("utf-8", "backslashreplace").rstrip("\r\n")
        if text.startswith("ERR "):
            told = text.removeprefix("ERR ").replace("+", " ")
            hint = " (it has no such job: it has ended, or never was; genii jobs queue lists them)"
            raise NotAllowed(f"{self.server}: {told}{hint if told == 'UNKNOWN_JOB' else ''}")
        return text


def _gearmand_row(row: str) -> str:
    handle, retries, _, background = row.split("\t")
    return f"{handle}\t?\t?\t{retries}\t{background}\t0\t0\t\t"
