"""A host as a task sees it: its commands, dialogues and checks, with every result reported and every secret hidden."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from genii.errors import CheckFailed, CommandFailed, UsageError
from genii.fleet.command import Command, quote
from genii.fleet.execution import Output, execute
from genii.fleet.expect import converse
from genii.fleet.result import Mask, Result, Secret
from genii.fleet.state.system import SYSTEM, System
from genii.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from genii.fleet.dialogue import Answers
    from genii.fleet.state.plan import Question
    from genii.fleet.transport import Connection

__all__ = ["Commander", "RemoteFailed", "Settings"]

T = TypeVar("T")
_SHORTENED = 500


class RemoteFailed(CommandFailed):
    """A command failed on a host; ``result`` tells all about it."""

    def __init__(self, message: str, result: Result) -> None:
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
        observe: Callable[[Result], None] | None = None,
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
    ) -> Result:
        """Run a command with sh(1) and return its result.

        ``changes=False`` says that it only reads: it is then run in a dry run, too. ``stream`` shows its output line by
        line as it comes. ``input`` is what it reads; secrets belong there, since arguments are seen by all users of
        the host.

        Raises:
            RemoteFailed: it failed, unless it ``may_fail``.
            TimedOut: it took longer than ``timeout`` (seconds, or ``"5m"``).
            ConnectionFailed: the connection broke.
        """
        wanted = Command(command, cwd, env or {}, "root" if self.settings.sudo else "")
        return await self._run(wanted, input, timeout, may_fail=may_fail, changes=changes, stream=stream)

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
    ) -> Result:
        """Run a command as another user; the password is never an argument and never in a log.

        Raises:
            SudoRefused: sudo did not let us in; else as ``run``.
        """
        wanted = Command(command, cwd, env or {}, user)
        return await self._run(wanted, input, timeout, may_fail=may_fail, changes=changes, stream=stream)

    async def _run(
        self,
        command: Command,
        given: str | bytes,
        timeout: float | str | None,
        *,
        may_fail: bool,
        changes: bool,
        stream: bool,
    ) -> Result:
        if changes and self.dry_run:
            return self._report(self._result(command.text, changed=True, planned=True))
        data = given.encode() if isinstance(given, str) else given
        output = await self._execute(command, data, timeout, on_line=self.say if stream else None)
        result = self._report(self._result(command.text, output, changed=changes))
        if not (result.ok or may_fail):
            raise self._failed(result)
        return result

    async def _execute(
        self,
        command: Command,
        given: bytes = b"",
        timeout: float | str | None = None,
        *,
        on_line: Callable[[str], None] | None = None,
    ) -> Output:
        seconds = self.settings.timeout if timeout is None else parse_duration(timeout)
        root = bool(command.user) and (await self.system()).is_root
        return await execute(
            self.connection,
            command,
            input=given,
            password=self.settings.password.reveal(),
            root=root,
            timeout=seconds,
            on_line=on_line,
        )

    def _result(self, command: str, output: Output | None = None, **more: Any) -> Result:
        output = output or Output()
        return Result(
            self.name,
            self.mask(command),
            output.status,
            self.mask(output.stdout.decode(errors="replace")),
            self.mask(output.stderr.decode(errors="replace")),
            truncated=output.truncated,
            **more,
        )

    def _report(self, result: Result) -> Result:
        if self._observe is not None:
            self._observe(result)
        return result

    def _failed(self, result: Result) -> RemoteFailed:
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
    ) -> Result:
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
            return self._report(self._result(what, changed=True, planned=True))
        text = Command(words).line("") if words else ""
        status, transcript = await converse(self.connection, text, given, parse_duration(timeout))
        output = Output(status, transcript.encode())
        result = self._report(self._result(what, output, changed=True))
        if not (result.ok or may_fail):
            raise self._failed(result)
        return result

    async def check(self, command: str, *, sudo: bool | None = None) -> Result:
        """Run a check such as ``apachectl configtest``: its exit status decides. It runs in a dry run, too.

        Raises:
            CheckFailed: it said no; carries all that it printed.
        """
        result = self._result(command, await self._execute(Command(command, user=self._user(sudo))))
        self._report(result)
        if not result.ok:
            raise CheckFailed(f"{self.name}: the check {result.command!r} failed", result.stderr + result.stdout)
        return result

    # -- what the host is ----------------------------------------------------------------------------------------------

    async def system(self) -> System:
        """Return what kind of system it is; asked once."""
        async with self._asking:
            if self._system is None:
                output = await execute(self.connection, Command(SYSTEM.script), timeout=self.settings.timeout)
                self._system = SYSTEM.read(output.stdout)
            return self._system

    def _user(self, sudo: bool | None) -> str:
        return "root" if (self.settings.sudo if sudo is None else sudo) else ""

    async def _ask(self, question: Question[T], user: str) -> T:
        output = await self._execute(Command(question.script, user=user))
        if output.status != 0:
            said = output.stderr.decode(errors="replace").strip()
            raise self._failed(self._result("a look at the host", replace(output, stderr=said.encode())))
        return question.read(output.stdout)

    async def read(self, path: str, *, sudo: bool | None = None) -> bytes:
        """Return the content of a file.

        Raises:
            RemoteFailed: there is none, or we may not read it.
        """
        command = Command(f"cat -- {quote(path)}", user=self._user(sudo))
        output = await self._execute(command)
        if output.status != 0 or output.truncated:
            raise self._failed(self._result(f"read {path}", replace(output, stdout=b"", status=output.status or 1)))
        return output.stdout
