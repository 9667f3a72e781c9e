"""What a person, a program or a file gets to see of a task while it runs on many hosts."""

from __future__ import annotations

import contextvars
import json
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Self, TextIO, cast

from genii.cli.terminal import Paint, printable
from genii.fleet.blame import describe, place_of
from genii.fleet.performance import Observer
from genii.fleet.remote import RemoteFailed
from genii.units import format_duration

if TYPE_CHECKING:
    import argparse
    from types import TracebackType

    from genii.fleet.performance import Outcome
    from genii.fleet.task import Task
    from genii.fleet.task_result import TaskResult

__all__ = ["Stage"]

_HOST: contextvars.ContextVar[str] = contextvars.ContextVar("host", default="")
"""Whose code is running here: what it prints is shown with that name. Nothing else depends on it."""


class _Printed:
    """Standard output while tasks run: what they print comes out in whole lines, with the name of their host."""

    def __init__(self, stage: Stage, stream: TextIO) -> None:
        self._stage = stage
        self._stream = stream
        self._begun: dict[str, str] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Take some of what is printed."""
        host = _HOST.get()
        if not host:
            return self._stream.write(text)
        *lines, rest = (self._begun.pop(host, "") + text).split("\n")
        if rest:
            self._begun[host] = rest
        for line in lines:
            self._stage.line(host, line)
        return len(text)

    def end(self, host: str) -> None:
        """Show what a host's last line has, though it did not end it."""
        rest = self._begun.pop(host, "")
        if rest:
            self._stage.line(host, rest)


class Stage(Observer):
    """Show lines and changes as they come, tell at the end what became of all, and find the exit code."""

    def __init__(self, task: Task, count: int, options: argparse.Namespace) -> None:
        self._task = task
        self._count = count
        self._options = options
        self._lock = threading.Lock()
        self._out: TextIO = sys.stdout
        self._paint = Paint(sys.stdout)
        self._paint_error = Paint(sys.stderr)
        self._printed = _Printed(self, sys.stdout)
        self._said: dict[str, list[str]] = {}
        self._log: TextIO | None = None
        self._begun = time.monotonic()
        self._is_users = not task.function.__module__.startswith("genii.")
        self.outcomes: list[Outcome] = []

    def __enter__(self) -> Self:
        log = getattr(self._options, "log", None)
        if log:
            descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            self._log = open(descriptor, "a", encoding="utf-8", buffering=1)
        sys.stdout = cast("TextIO", self._printed)
        self._write_log("-", f"task {self._task.name} begins on {self._count} hosts")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        sys.stdout = self._out
        if kind in (None, KeyboardInterrupt) or self.outcomes:
            self._tell_end()
        if self._log is not None:
            self._log.close()

    # -- while it runs -------------------------------------------------------------------------------------------------

    def host_begins(self, host: str) -> None:
        """Have what is printed from now on, here and in the threads of this host, carry its name."""
        _HOST.set(host)

    def line(self, host: str, text: str) -> None:
        """Show a line that a host's task says."""
        with self._lock:
            if self._options.json:
                self._said.setdefault(host, []).append(text)
            else:
                name = f"{self._paint(host, 'cyan')} | " if self._count > 1 else ""
                self._out.write(f"{name}{printable(text)}\n")
                self._out.flush()
            self._write_log(host, f"| {text}")

    def result(self, host: str, result: TaskResult) -> None:
        """Show what was changed, and with ``--verbose`` everything."""
        ended = _ended(result)
        self._write_log(host, f"{result.command!r}: {ended}")
        if self._options.json or not (self._options.verbose or ended.startswith(("changed", "would"))):
            return
        first = result.command.strip().partition("\n")[0]
        self._tell(f"{self._paint_error(host, 'cyan')}: {first}: {ended}")
        if result.difference and (result.planned or getattr(self._options, "diff", False)):
            for line in result.difference.splitlines():
                self._tell(f"  {self._paint_error(printable(line), _colour(line))}")

    def host_ends(self, outcome: Outcome) -> None:
        """Note what became of a host."""
        self._printed.end(outcome.host)
        self.outcomes.append(outcome)
        took = format_duration(outcome.seconds)
        if outcome.error is None:
            self._write_log(outcome.host, f"{'changed' if outcome.changed else 'ok'} in {took}")
        else:
            self._write_log(outcome.host, f"failed in {took}: {self._blamed(outcome.host, outcome.error)}")
        if outcome.value is not None and not self._options.json:
            for line in str(outcome.value).splitlines():
                self.line(outcome.host, line)
        if outcome.error is not None and not self._options.json:
            self._tell_failure(outcome.host, outcome.error)

    def _tell(self, text: str) -> None:
        with self._lock:
            print(text, file=sys.stderr, flush=True)

    def _write_log(self, host: str, text: str) -> None:
        if self._log is not None:
            stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z")
            for line in text.splitlines() or [""]:
                self._log.write(f"{stamp} {host} {self._task.name}: {line}\n")

    # -- failures ------------------------------------------------------------------------------------------------------

    def _blamed(self, host: str, error: BaseException) -> str:
        """Return what an error says, behind the line of the user's file that it comes from."""
        path = self._task.place[0]
        file, line, function = place_of(error, path)
        text = describe(error).removeprefix(f"{host}: ")
        if not line or not self._is_users:
            return text
        here = os.getcwd() + os.sep
        return f"{file.removeprefix(here)}:{line}: in {function}: {text}"

    def _tell_failure(self, host: str, error: BaseException) -> None:
        mark = self._paint_error("failed", "red")
        self._tell(f"{self._paint_error(host, 'cyan')}: {mark}: {printable(self._blamed(host, error))}")
        output = getattr(error, "output", "")
        if output and not isinstance(error, RemoteFailed):  # its text has the end of it already
            self._tell("\n".join(f"  {printable(line)}" for line in output.rstrip("\n").splitlines()))

    # -- at the end ----------------------------------------------------------------------------------------------------

    def _tell_end(self) -> None:
        if self._options.json:
            rows = [self._row(outcome) for outcome in sorted(self.outcomes, key=lambda one: one.host)]
            print(json.dumps(rows, indent=2 if sys.stdout.isatty() else None))
            return
        failed = [outcome for outcome in self.outcomes if not outcome.ok]
        changed = [outcome for outcome in self.outcomes if outcome.ok and outcome.changed]
        left = self._count - len(self.outcomes)
        parts = [f"{len(self.outcomes) - len(failed)} of {self._count} hosts ok"]
        parts += [f"{len(changed)} {'would change' if self._options.dry_run else 'changed'}"] if changed else []
        parts += [self._paint_error(f"{len(failed)} failed", "red")] if failed else []
        parts += [self._paint_error(f"{left} not done", "yellow")] if left else []
        took = format_duration(time.monotonic() - self._begun)
        self._tell(f"{self._paint_error(self._task.name, 'bold')}: {', '.join(parts)} ({took})")

    def _row(self, outcome: Outcome) -> dict[str, Any]:
        error = outcome.error
        file, line, _ = place_of(error, self._task.place[0]) if error is not None else ("", 0, "")
        return {
            "task": outcome.task,
            "host": outcome.host,
            "ok": outcome.ok,
            "changed": outcome.changed,
            "dry_run": self._options.dry_run,
            "seconds": round(outcome.seconds, 3),
            "value": _jsonable(outcome.value),
            "output": self._said.get(outcome.host, []),
            "error": None
            if error is None
            else {
                "code": getattr(error, "code", type(error).__name__),
                "message": describe(error),
                "file": file,
                "line": line,
                "output": getattr(error, "output", ""),
            },
            "results": [
                {
                    "command": result.command,
                    "status": result.status,
                    "changed": result.changed,
                    "difference": result.difference,
                    "stdout": result.stdout,
                    "stderr": result.stderr,
                }
                for result in outcome.results
            ],
        }

    @property
    def exit_code(self) -> int:
        """The exit code of the command line: what all failures have in common, else 1."""
        codes = {self._code(outcome.error) for outcome in self.outcomes if outcome.error is not None}
        return 0 if not codes else codes.pop() if len(codes) == 1 else 1

    def _code(self, error: BaseException) -> int:
        if isinstance(error, RemoteFailed) and self._count == 1:
            return error.status
        return int(getattr(error, "exit_code", 1))


def _ended(result: TaskResult) -> str:
    """Return in a few words what became of a command or a wanted state."""
    if result.planned:
        return "would change" if result.changed else "as it is" if result.wanted else "would run"
    if result.status:
        return f"exit status {result.status}"
    return ("changed" if result.changed else "as it is") if result.wanted else "done"


def _colour(line: str) -> str:
    return "green" if line.startswith("+") else "red" if line.startswith("-") else ""


def _jsonable(value: Any) -> Any:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return str(value)
    return value
