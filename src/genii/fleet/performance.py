"""Run a task on hosts: group after group, so many hosts at once, each with its own outcome.

An error on one host is that host's outcome and stops no other. Plain functions run in threads over the one loop.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from genii.errors import GeniiError, TimedOut
from genii.fleet.caller import Caller
from genii.fleet.remote import Settings
from genii.fleet.task import in_order
from genii.fleet.verbs import AsyncRemote

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from genii import patterns
    from genii.fleet.engine import Fleet
    from genii.fleet.task import Task
    from genii.fleet.task_result import TaskResult
    from genii.fleet.transport import Connection, Host

__all__ = ["LIMIT", "Observer", "Outcome", "Performance"]

LIMIT = 50
"""Hosts at once, unless something else is said."""


@dataclass(slots=True)
class Outcome:
    """What became of a task on one host."""

    task: str
    host: str
    results: list[TaskResult] = field(default_factory=list)
    """Of all that was done there, in order."""
    value: Any = None
    """What the function returned."""
    error: BaseException | None = None
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether it went well."""
        return self.error is None

    @property
    def changed(self) -> bool:
        """Whether the host is different now, or would be after a run that is not dry."""
        return any(result.changed for result in self.results)


class Observer:
    """Be told what happens; these methods do nothing, and are called in the loop unless they say otherwise."""

    def host_begins(self, host: str) -> None:
        """Begin with a host; called within its own context, so that a context variable set here is its own."""

    def result(self, host: str, result: TaskResult) -> None:
        """Take what became of one command or state."""

    def line(self, host: str, text: str) -> None:
        """Take a line that a task says; also called in threads."""

    def host_ends(self, outcome: Outcome) -> None:
        """Take what became of the task on a host."""


class Performance:
    """One run of a task, with the values of its parameters."""

    def __init__(
        self,
        task: Task,
        values: Mapping[str, Any],
        fleet: Fleet,
        settings: Settings | None = None,
        *,
        limit: int | None = None,
        observer: Observer | None = None,
        fail_fast: bool = False,
    ) -> None:
        self.task = task
        self._values = values
        self._fleet = fleet
        self._settings = settings or Settings()
        self._limit = max(1, limit or task.limit or LIMIT)
        self._observer = observer or Observer()
        self._fail_fast = fail_fast
        self._failed = False
        self._caller = Caller(self._limit)

    async def run(self, stages: Sequence[Sequence[Host]]) -> list[Outcome]:
        """Run the task on each stage's hosts, one stage after the other; return all outcomes as they came.

        A host that is in several stages is done in the first of them.
        """
        todo = _distinct(stages)
        outcomes: list[Outcome] = []
        names = [host.name for stage in todo for host in stage]
        try:
            for hook in self.task.hooks.begin:
                await self._caller.call(hook, names)
            try:
                for stage in todo:
                    async with aclosing(self._each(stage)) as ended:
                        outcomes += [self._noted(one) async for one in ended]
            finally:
                for hook in self.task.hooks.end:
                    await self._caller.call(hook, outcomes)
        finally:
            self._caller.close()
        return outcomes

    def _each(self, stage: Sequence[Host]) -> AsyncGenerator[patterns.Outcome[Outcome], None]:
        return self._fleet.each(
            stage, self._on_host, limit=self._limit, more=lambda: not (self._fail_fast and self._failed)
        )

    def _noted(self, ended: patterns.Outcome[Outcome]) -> Outcome:
        """Return what became of a host, also of one that could not be reached, and tell the observer."""
        if ended.error is None:
            outcome = ended.result()
        elif isinstance(ended.error, GeniiError):
            outcome = Outcome(self.task.name, ended.item.name, error=ended.error)
        else:
            raise ended.error  # ours: no host's
        outcome.seconds = ended.seconds
        self._failed |= not outcome.ok
        self._observer.host_ends(outcome)
        return outcome

    async def _on_host(self, connection: Connection) -> Outcome:
        host = connection.host.name
        self._observer.host_begins(host)
        outcome = Outcome(self.task.name, host)
        try:
            outcome.value = await self._perform(connection, outcome)
        except Exception as error:
            self._failed = True  # at once: the next host is chosen before this outcome is read
            outcome.error = error
        return outcome

    async def _perform(self, connection: Connection, outcome: Outcome) -> Any:
        """Run what the task needs, then the task; return what it returns."""
        name = outcome.host

        def observe(result: TaskResult) -> None:
            outcome.results.append(result)
            self._observer.result(name, result)

        remote = AsyncRemote(
            connection, self._settings, observe=observe, print_line=lambda text: self._observer.line(name, text)
        )
        order = in_order(self.task)
        for one in order:
            if one.check:
                await remote.check(one.check, sudo=self._settings.sudo or one.sudo)
        value = None
        for one in order:
            remote.settings = replace(self._settings, sudo=self._settings.sudo or one.sudo)
            values = self._values if one is self.task else {have.name: have.default for have in one.parameters}
            value = await self._with_hooks(one, remote, values)
        return value

    async def _with_hooks(self, task: Task, remote: AsyncRemote, values: Mapping[str, Any]) -> Any:
        """Run one task's hooks and function on a host; an interruption skips the hooks that are left."""
        try:
            for hook in task.hooks.before:
                await self._caller.call_on(remote, hook)
            async with AsyncExitStack() as stack:
                for hook in task.hooks.around:
                    await stack.enter_async_context(self._caller.around(remote, hook))
                value = await self._in_time(task, remote, values)
        except Exception as error:
            for hook in task.hooks.after:
                await self._caller.call_on(remote, hook, error)
            raise
        for hook in task.hooks.after:
            await self._caller.call_on(remote, hook, None)
        return value

    async def _in_time(self, task: Task, remote: AsyncRemote, values: Mapping[str, Any]) -> Any:
        limit = asyncio.timeout(task.timeout)
        try:
            async with limit:
                return await self._caller.call_on(remote, task.function, **values)
        except TimeoutError:
            if not limit.expired():
                raise
            raise TimedOut(f"{remote.name}: the task took longer than {task.timeout:g} s") from None


def _distinct(stages: Sequence[Sequence[Host]]) -> list[list[Host]]:
    """Return the stages with each host in the first of them that names it."""
    seen: set[str] = set()
    found = []
    for stage in stages:
        fresh = {host.name: host for host in stage if host.name not in seen}
        seen.update(fresh)
        found.append(list(fresh.values()))
    return found
