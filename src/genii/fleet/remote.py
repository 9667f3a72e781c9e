"""A host as a task sees it: its commands, dialogues and checks, with every result reported and every secret hidden."""

from __future__ import annotations

import asyncio
import shlex
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from genii.errors import CheckFailed, CommandFailed, UsageError
from genii.fleet.capture import Capture, Lines
from genii.fleet.command import Command
from genii.fleet.execute import execute
from genii.fleet.expect import converse
from genii.fleet.secret import Mask, Secret
from genii.fleet.state.plan import StateError
from genii.fleet.state.system import SYSTEM, System
from genii.fleet.task_result import TaskResult
from genii.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from genii.fleet.dialogue import Answers
    from genii.fleet.state.plan import Question
    from genii.fleet.transport import Connection

__all__ = ["Commander", "Output", "RemoteFailed", "Settings"]

T = TypeVar("T")
_SHORTENED = 500


LARGEST_OUTPUT = 16 << 20
"""Bytes of each stream that are kept; what a host prints beyond is read and dropped."""


@dataclass(slots=True)
class Output:
    """What a command printed, and its exit status."""

    status: int = 0
    stdout: bytes = b""
    stderr: bytes = b""
    truncated: bool = False


class _Kept:
    """The first part of a stream; also handed on by line to who wants to read along."""

    def __init__(self, on_line: Callable[[str], None] | None) -> None:
        self.capture = Capture(LARGEST_OUTPUT)
        self._lines = Lines()
        self._on_line = on_line

    def add(self, data: bytes) -> None:
        self.capture.add(data)
        if self._on_line is not None:
            for line in self._lines.feed(data):
                self._on_line(line)

    def end(self) -> None:
        if self._on_line is not None:
            for line in self._lines.end():
                self._on_line(line)


class RemoteFailed(CommandFailed):
    """A command failed on a host; ``result`` tells all about it."""

    def __init__(self, message: str, result: TaskResult) -> None:
        super().__init__(message, result.status, result.stderr or result.stdout)
        self.result = result


@dataclass(frozen=True, slots=True)
class Settings:
    """How a task meets its hosts."""

    sudo: bool = False
    """Whether all is done as root."""
    password: Secret = field(default_factory=lambda: Secret(""))
    """What sudo gets when it asks."""
    dry_run: bool = False
    """Ask, but change nothing."""
    timeout: float | None = None
    """Seconds for one command, unless it has its own."""


class Commander:
    """The part of a host that runs commands."""

    def __init__(
        self,
        connection: Connection,
        settings: Settings | None = None,
        *,
        mask: Mask | None = None,
        observe: Callable[[TaskResult], None] | None = None,
        print_line: Callable[[str], None] | None = None,
    ) -> None:
        self.connection = connection
        self.settings = settings or Settings()
        self.mask = mask or Mask()
        self.mask.add(self.settings.password.reveal())
        self._observe = observe
        self._print_line = print_line
        self._system: System | None = None
        self._asking = asyncio.Lock()

    @property
    def name(self) -> str:
        """The name in the inventory."""
        return self.connection.host.name

    @property
    def variables(self) -> Mapping[str, object]:
        """What the inventory says about this host."""
        return self.connection.host.variables

    @property
    def dry_run(self) -> bool:
        """Whether nothing is to be changed."""
        return self.settings.dry_run

    def __repr__(self) -> str:
        return f"<host {self.name}>"

    def __str__(self) -> str:
        return self.name

    def say(self, text: object) -> None:
        """Show a line to who runs the task, with the name of the host."""
        if self._print_line is not None:
            for line in self.mask(str(text)).splitlines() or [""]:
                self._print_line(line)

    def hide(self, secret: str) -> Secret:
        """Have a text hidden in all results, logs and errors of this host from now on."""
        self.mask.add(secret)
        return Secret(secret)

    # -- commands ------------------------------------------------------------------------------------------------------

    async def run(
        self,
        command: str,
        *,
        input: str | bytes = b"",  # noqa: A002 -- what subprocess calls it
        cwd: str = "",
        env: Mapping[str, str] | None = None,
        timeout: float | str | None = None,
        may_fail: bool = False,
        changes: bool = True,
        stream: bool = False,
    ) -> TaskResult:
        """Run a command with sh(1) and return its result.

        ``changes=False`` says that it only reads: it is then run in a dry run, too. ``stream`` shows its output line by
        line as it comes. ``input`` is what it reads; secrets belong there, since arguments are seen by all users of
        the host.

        Raises:
            RemoteFailed: it failed, unless it ``may_fail``.
            TimedOut: it took longer than ``timeout`` (seconds, or ``"5m"``).
            ConnectionFailed: the connection broke.
        """
        return await self._run(
            command, "root" if self.settings.sudo else "", input,
            cwd=cwd, env=env, timeout=timeout, may_fail=may_fail, changes=changes, stream=stream,
        )  # fmt: skip

    async def sudo(
        self,
        command: str,
        *,
        user: str = "root",
        input: str | bytes = b"",  # noqa: A002
        cwd: str = "",
        env: Mapping[str, str] | None = None,
        timeout: float | str | None = None,
        may_fail: bool = False,
        changes: bool = True,
        stream: bool = False,
    ) -> TaskResult:
        """Run a command as another user; the password is never an argument and never in a log.

        Raises:
            SudoRefused: sudo did not let us in; else as ``run``.
        """
        return await self._run(
            command, user, input,
            cwd=cwd, env=env, timeout=timeout, may_fail=may_fail, changes=changes, stream=stream,
        )  # fmt: skip

    async def _run(
        self,
        command: str,
        user: str,
        given: str | bytes,
        *,
        cwd: str,
        env: Mapping[str, str] | None,
        timeout: float | str | None,
        may_fail: bool,
        changes: bool,
        stream: bool,
    ) -> TaskResult:
        if changes and self.dry_run:
            return self._report(self._result(command, planned=True))
        data = given.encode() if isinstance(given, str) else given
        on_line = self.say if stream else None
        output = await self._execute(command, user=user, given=data, cwd=cwd, env=env, timeout=timeout, on_line=on_line)
        result = self._report(self._result(command, output))
        if not (result.ok or may_fail):
            raise self._failed(result)
        return result

    async def _execute(
        self,
        text: str,
        *,
        user: str = "",
        given: bytes = b"",
        cwd: str = "",
        env: Mapping[str, str] | None = None,
        timeout: float | str | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> Output:
        """Run a text with sh(1), as another user by choice, and collect its output."""
        root = bool(user) and (await self.system()).is_root
        if root and user != "root":  # as root there is no need of sudo, which may not be installed
            text = shlex.join(["exec", "su", "-s", "/bin/sh", "-c", text, user])
        sudo = bool(user) and not root
        if not (sudo or cwd or env):
            text = shlex.join(["exec", "sh", "-c", text])
        command = Command(text, environment=env or {}, directory=cwd, sudo=sudo, user=user, input=given)
        return await self._collect(command, timeout, on_line)

    async def _collect(
        self, command: Command, timeout: float | str | None, on_line: Callable[[str], None] | None
    ) -> Output:
        out, errors = _Kept(on_line), _Kept(on_line)
        seconds = self.settings.timeout if timeout is None else parse_duration(timeout)
        try:
            status = await execute(
                self.connection,
                command,
                on_output=out.add,
                on_error=errors.add,
                password=self.settings.password.reveal() or None,
                timeout=seconds,
            )
        except CommandFailed as error:  # sudo
            raise CommandFailed(f"{self.name}: {error}", error.status) from None
        out.end()
        errors.end()
        whole = out.capture.whole and errors.capture.whole
        return Output(status, out.capture.kept, errors.capture.kept, truncated=not whole)

    def _result(self, command: str, output: Output | None = None, **more: Any) -> TaskResult:
        output = output or Output()
        return TaskResult(
            self.name,
            self.mask(command),
            output.status,
            self.mask(output.stdout.decode(errors="replace")),
            self.mask(output.stderr.decode(errors="replace")),
            truncated=output.truncated,
            **more,
        )

    def _report(self, result: TaskResult) -> TaskResult:
        if self._observe is not None:
            self._observe(result)
        return result

    def _failed(self, result: TaskResult) -> RemoteFailed:
        said = (result.stderr.strip() or result.stdout.strip())[-_SHORTENED:]
        end = f"signal {result.status - 128}" if result.status > 128 else f"exit status {result.status}"
        command = result.command if len(result.command) <= _SHORTENED else f"{result.command[:_SHORTENED]}…"
        return RemoteFailed(f"{self.name}: {command!r} ended with {end}{f': {said}' if said else ''}", result)

    async def expect(
        self,
        command: str | Answers,
        answers: Answers | None = None,
        *,
        timeout: float | str = 30,
        may_fail: bool = False,
    ) -> TaskResult:
        """Run a command on a terminal and answer what it asks; without a command it is the login shell.

        ``answers`` maps regular expressions to what is typed when they come, in any order; or it is a list of pairs,
        each waited for in turn. What is a ``Secret`` is typed once and hidden. ``timeout`` is the longest wait for the
        next question or the end.

        Raises:
            ExpectFailed: something else happened; the text tells what was waited for and what came.
            TimedOut: nothing that is waited for came in time.
            RemoteFailed: the command failed, unless it ``may_fail``.
        """
        words, given = (command, answers) if isinstance(command, str) else ("", command)
        if given is None:
            raise UsageError("expect: give patterns and answers, such as {'[Pp]assword:': Secret('…')}")
        what = words or "login shell"
        if self.dry_run:
            return self._report(self._result(what, planned=True))
        text = shlex.join(["exec", "sh", "-c", words]) if words else ""
        status, transcript = await converse(self.connection, text, given, parse_duration(timeout))
        output = Output(status, transcript.encode())
        result = self._report(self._result(what, output))
        if not (result.ok or may_fail):
            raise self._failed(result)
        return result

    async def check(self, command: str, *, sudo: bool | None = None) -> TaskResult:
        """Run a check such as ``apachectl configtest``: its exit status decides. It runs in a dry run, too.

        Raises:
            CheckFailed: it said no; carries all that it printed.
        """
        result = self._result(command, await self._execute(command, user=self._user(sudo)))
        self._report(result)
        if not result.ok:
            raise CheckFailed(f"{self.name}: the check {result.command!r} failed", result.stderr + result.stdout)
        return result

    # -- what the host is ----------------------------------------------------------------------------------------------

    async def system(self) -> System:
        """Return what kind of system it is; asked once."""
        async with self._asking:
            if self._system is None:
                output = await self._execute(SYSTEM.script)
                self._system = SYSTEM.read(output.stdout)
            return self._system

    def _user(self, sudo: bool | None) -> str:
        return "root" if (self.settings.sudo if sudo is None else sudo) else ""

    async def _ask(self, question: Question[T], user: str) -> T:
        output = await self._execute(question.script, user=user)
        if output.status != 0:
            said = output.stderr.decode(errors="replace").strip()
            raise self._failed(self._result("a look at the host", replace(output, stderr=said.encode())))
        if output.truncated:
            raise StateError(f"{self.name}: what is there is larger than {LARGEST_OUTPUT >> 20} MiB; bring it with put")
        return question.read(output.stdout)

    async def read(self, path: str, *, sudo: bool | None = None) -> bytes:
        """Return the content of a file.

        Raises:
            RemoteFailed: there is none, or we may not read it.
        """
        output = await self._execute(f"cat -- {shlex.quote(path)}", user=self._user(sudo))
        if output.status != 0 or output.truncated:
            raise self._failed(self._result(f"read {path}", replace(output, stdout=b"", status=output.status or 1)))
        return output.stdout
