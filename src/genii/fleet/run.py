"""One command on many hosts: batches, when to stop, what is kept of each, and who is told."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from genii.errors import CommandFailed, TimedOut
from genii.fleet.capture import Capture
from genii.fleet.execute import execute
from genii.fleet.result import Result, State, too_many_failed
from genii.fleet.transport import ConnectionFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from genii.fleet.command import Command
    from genii.fleet.engine import Fleet
    from genii.fleet.report import HostFiles, Report
    from genii.fleet.transport import Connection, Host
    from genii.patterns import Outcome

__all__ = ["Plan", "Watcher", "batches", "run_command"]


class Watcher(Protocol):
    """Who is told what happens, as it happens."""

    def started(self, host: str) -> None:
        """A host is connected and the command begins."""

    def output(self, host: str, stream: str, data: bytes) -> None:
        """Some output came on ``out`` or ``err``; empty: the stream has ended."""

    def ended(self, result: Result) -> None:
        """A host has its result."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done, and when to stop."""

    command: Command
    timeout: float | None = None
    password: str | None = None
    batch: str = ""
    """So many hosts (or so much percent) must have ended before the next are begun; empty: no batches."""
    max_fail: str = ""
    """When more than these have failed, no further host is begun; empty: never."""
    keep: int = 4096
    """Bytes of each stream that results carry."""
    forget: bool = False
    """Drop the texts once the watcher has seen them; else those of hosts with the same output are dropped."""
    limit: int = 50


def batches(hosts: Sequence[Host], size: str) -> list[Sequence[Host]]:
    """Cut hosts into batches of ``size``: a number, or a percentage of all (at least one host).

    Raises:
        ValueError: it is neither.
    """
    if not size:
        return [hosts]
    number, percent, rest = size.strip().partition("%")
    if not number.isdecimal() or rest or not int(number) or (percent and int(number) > 100):
        raise ValueError(f"{size!r} is no batch; write for example 10 or 10%")
    count = max(1, len(hosts) * int(number) // 100) if percent else int(number)
    return [hosts[start : start + count] for start in range(0, len(hosts), count)]


async def run_command(
    fleet: Fleet, hosts: Sequence[Host], plan: Plan, watcher: Watcher, report: Report | None = None
) -> list[Result]:
    """Run the command on all hosts and return a result for each, in the order of the hosts.

    What has ended when this is cancelled was told to the watcher and is in the report; the rest is told as cancelled.
    """
    run = _Run(hosts, plan, watcher, report)
    state: State = "cancelled"
    try:
        for some in batches(hosts, plan.batch):
            outcomes = fleet.each(some, run.one, limit=plan.limit, more=run.goes_on, on_error=run.count_failure)
            async with aclosing(outcomes):
                async for outcome in outcomes:
                    run.note(outcome)
        state = "skipped"
    finally:
        run.finish(state)
    return [run.results[host.name] for host in hosts]


class _Run:
    def __init__(self, hosts: Sequence[Host], plan: Plan, watcher: Watcher, report: Report | None) -> None:
        self._hosts = hosts
        self._plan = plan
        self._watcher = watcher
        self._report = report
        self._captures: dict[str, tuple[Capture, Capture]] = {}
        self._failed = 0
        self._seen: set[str] = set()
        self.results: dict[str, Result] = {}

    def goes_on(self) -> bool:
        """Say whether further hosts may be begun."""
        return not self._plan.max_fail or not too_many_failed(self._failed, len(self._hosts), self._plan.max_fail)

    def count_failure(self) -> None:
        """Count a host that has no exit status."""
        self._failed += 1

    async def one(self, connection: Connection) -> int:
        host = connection.host.name
        self._watcher.started(host)
        captures = self._captures[host] = (Capture(self._plan.keep), Capture(self._plan.keep))
        files = self._report.streams(host) if self._report else None
        try:
            status = await execute(
                connection,
                self._plan.command,
                on_output=self._receiver(host, "out", captures[0], files),
                on_error=self._receiver(host, "err", captures[1], files),
                password=self._plan.password,
                timeout=self._plan.timeout,
            )
            self._failed += status != 0
            return status
        finally:
            self._watcher.output(host, "out", b"")
            self._watcher.output(host, "err", b"")
            if files:
                files.close()

    def _receiver(self, host: str, stream: str, capture: Capture, files: HostFiles | None) -> Callable[[bytes], object]:
        def receive(data: bytes) -> None:
            capture.add(data)
            if files:
                files.write(stream, data)
            self._watcher.output(host, stream, data)

        return receive

    def note(self, outcome: Outcome[int]) -> None:
        """Make a result of what the engine tells."""
        host: Host = outcome.item
        error = outcome.error
        if error is None:
            self._end(host, "ok" if outcome.value == 0 else "failed", outcome.value, "", outcome.seconds)
        elif isinstance(error, TimedOut):
            self._end(host, "timeout", None, str(error), outcome.seconds)
        elif isinstance(error, ConnectionFailed):
            self._end(host, "unreachable", None, str(error), outcome.seconds)
        elif isinstance(error, CommandFailed):
            self._end(host, "failed", error.status, str(error), outcome.seconds)
        else:
            raise error  # ours, or of the disk: not this host's

    def finish(self, state: State) -> None:
        """Give a result to those that were never begun, or did not come to an end."""
        for host in self._hosts:
            if host.name not in self.results:
                began = host.name in self._captures
                self._end(host, state, None, "interrupted" if began else "not begun", 0.0)

    def _end(self, host: Host, state: State, status: int | None, error: str, seconds: float) -> None:
        output, errors = self._captures.pop(host.name, (Capture(0), Capture(0)))
        result = Result(
            host=host.name, state=state, status=status, error=error, seconds=seconds,
            output=output.kept.decode("utf-8", "replace"), errors=errors.kept.decode("utf-8", "replace"),
            output_bytes=output.size, errors_bytes=errors.size, digest=(output.digest + errors.digest).hex(),
        )  # fmt: skip
        if self._report:
            self._report.add(result)
        self._watcher.ended(result)
        if self._plan.forget or result.digest in self._seen:
            result = replace(result, output="", errors="")
        self._seen.add(result.digest)
        self.results[host.name] = result
