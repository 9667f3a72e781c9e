"""Tasks on hosts: this machine under several names, so that it is quick, with real processes and threads."""

from __future__ import annotations

import asyncio
import os
import select
import threading
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import genii
from genii.errors import CheckFailed, TimedOut
from genii.fleet.engine import Fleet
from genii.fleet.local import LocalConnection, LocalTransport
from genii.fleet.performance import Observer, Outcome, Performance
from genii.fleet.remote import RemoteFailed, Settings
from genii.fleet.secret import Secret
from genii.fleet.transport import Connection, ConnectionFailed, Host

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from genii.fleet.task import Task
    from genii.fleet.task_result import TaskResult


class Here(LocalTransport):
    """This machine, except for hosts whose name begins with ``dead``."""

    def __init__(self) -> None:
        self.open = 0
        self.most = 0

    async def connect(self, host: Host) -> Connection:
        if host.name.startswith("dead"):
            raise ConnectionFailed(f"{host.name}: connection refused")
        self.open += 1
        self.most = max(self.most, self.open)
        return _Counted(host, self)


class _Counted(LocalConnection):
    def __init__(self, host: Host, transport: Here) -> None:
        super().__init__(host)
        self._transport = transport

    async def close(self) -> None:
        await super().close()
        self._transport.open -= 1


class Seen(Observer):
    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self.results: list[TaskResult] = []
        self.ended: list[Outcome] = []
        self.said = asyncio.Event()

    def line(self, host: str, text: str) -> None:
        self.lines.append((host, text))
        self.said.set()

    def result(self, host: str, result: TaskResult) -> None:
        self.results.append(result)

    def host_ends(self, outcome: Outcome) -> None:
        self.ended.append(outcome)


def hosts(*names: str) -> list[Host]:
    return [Host(name, variables={"number": number}) for number, name in enumerate(names)]


def perform(task: Task, *stages: list[Host], seen: Seen | None = None, **settings: Any) -> dict[str, Outcome]:
    values = settings.pop("values", {})
    transport = settings.pop("transport", None) or Here()
    limit = settings.pop("limit", None)
    fail_fast = settings.pop("fail_fast", False)

    async def run() -> list[Outcome]:
        async with Fleet(transport) as fleet:
            performance = Performance(
                task, values, fleet, Settings(**settings), limit=limit, observer=seen, fail_fast=fail_fast
            )
            return await performance.run(stages or [hosts("a")])

    outcomes = asyncio.run(run())
    assert getattr(transport, "open", 0) == 0, "a connection was left open"
    return {outcome.host: outcome for outcome in outcomes}


def test_a_plain_function_and_an_async_one_do_the_same() -> None:
    @genii.task
    def plain(host: genii.Remote, text: str) -> str:
        return host.run(f"echo {text} $((1 + 1)); echo {host.name} >&2").stdout

    @genii.task
    async def modern(host: genii.AsyncRemote, text: str) -> str:
        return (await host.run(f"echo {text} $((1 + 1)); echo {host.name} >&2")).stdout

    for task in (plain, modern):
        found = perform(task, hosts("a", "b"), values={"text": "x"})
        assert {name: outcome.value for name, outcome in found.items()} == {"a": "x 2\n", "b": "x 2\n"}
        assert found["b"].results[0].stderr == "b\n"


def test_what_fails_on_one_host_does_not_stop_the_others() -> None:
    @genii.task
    def picky(host: genii.Remote) -> str:
        if host.name == "b":
            raise ZeroDivisionError("of b")
        if host.name == "c":
            host.run("echo no such luck >&2; exit 3")
        return "fine"

    found = perform(picky, hosts("a", "b", "c", "dead", "e"))
    assert found["a"].value == found["e"].value == "fine"
    assert isinstance(found["b"].error, ZeroDivisionError)
    error = found["c"].error
    assert isinstance(error, RemoteFailed)
    assert (error.status, str(error)) == (
        3,
        "c: 'echo no such luck >&2; exit 3' ended with exit status 3: no such luck",
    )
    assert isinstance(found["dead"].error, ConnectionFailed)


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, StopIteration])
def test_a_task_that_wants_to_end_the_program_ends_on_its_host_only(error: type[BaseException]) -> None:
    @genii.task
    def plain(host: genii.Remote) -> None:
        if host.name == "a":
            raise error("enough")

    found = perform(plain, hosts("a", "b"))
    assert error.__name__ in str(found["a"].error)
    assert found["b"].ok


def test_hooks_are_called_in_their_order() -> None:
    said: list[str] = []

    @genii.task
    def main(host: genii.Remote) -> None:
        said.append("function")

    @main.begin
    def begin(names: list[str]) -> None:
        said.append(f"begin {names}")

    @main.before
    async def before(host: genii.AsyncRemote) -> None:
        said.append((await host.run("echo before")).stdout.strip())

    @main.around
    def around(host: genii.Remote) -> Iterator[None]:
        said.append(host.run("echo in").stdout.strip())
        yield
        said.append(host.run("echo out").stdout.strip())

    @main.around
    async def deeper(host: genii.AsyncRemote) -> AsyncIterator[None]:
        said.append("deeper in")
        yield
        said.append("deeper out")

    @main.after
    def after(host: genii.Remote, error: Exception | None) -> None:
        said.append(f"after {error}")

    @main.end
    def end(outcomes: list[Outcome]) -> None:
        said.append(f"end {[outcome.host for outcome in outcomes]}")

    assert perform(main)["a"].error is None
    assert said == [
        "begin ['a']", "before", "in", "deeper in", "function", "deeper out", "out", "after None", "end ['a']",
    ]  # fmt: skip


def test_a_failure_goes_through_the_hooks() -> None:
    said: list[str] = []

    @genii.task
    def main(host: genii.Remote) -> None:
        raise ValueError("broken")

    @main.around
    def around(host: genii.Remote) -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            said.append(f"around {error}")
            raise
        finally:
            said.append("cleaned")

    @main.after
    def after(host: genii.Remote, error: Exception | None) -> None:
        said.append(f"after {error}")

    assert isinstance(perform(main)["a"].error, ValueError)
    assert said == ["around broken", "cleaned", "after broken"]


def test_a_before_that_fails_keeps_the_function_from_running() -> None:
    said: list[str] = []

    @genii.task
    def main(host: genii.Remote) -> None:
        said.append("function")

    @main.before
    def before(host: genii.Remote) -> None:
        host.run("false")

    assert isinstance(perform(main)["a"].error, RemoteFailed)
    assert said == []


def test_what_a_task_needs_runs_first_on_the_same_connection() -> None:
    transport = Here()

    @genii.task
    def prepare(host: genii.Remote, text: str = "default") -> None:
        host.say(f"prepared {text}")

    @genii.task(needs=[prepare])
    def main(host: genii.Remote, text: str) -> None:
        host.say(f"main {text}")

    seen = Seen()
    perform(main, seen=seen, transport=transport, values={"text": "given"})
    assert seen.lines == [("a", "prepared default"), ("a", "main given")]
    assert transport.most == 1


def test_a_check_that_says_no_keeps_everything_from_running(tmp_path: Path) -> None:
    @genii.task
    def prepare(host: genii.Remote) -> None:
        host.run(f"touch {tmp_path}/touched")

    @genii.task(needs=[prepare], check="echo 'site.conf:3: syntax error' >&2; exit 1")
    def main(host: genii.Remote) -> None: ...

    error = perform(main)["a"].error
    assert isinstance(error, CheckFailed)
    assert error.exit_code == 5
    assert error.output == "site.conf:3: syntax error\n"
    assert not (tmp_path / "touched").exists()


def test_groups_are_done_one_after_the_other_and_a_host_once() -> None:
    order: list[str] = []

    @genii.task
    async def main(host: genii.AsyncRemote) -> None:
        await host.run("true")
        order.append(host.name)

    perform(main, hosts("db1", "db2"), hosts("web1", "db1", "web2"))
    assert sorted(order[:2]) == ["db1", "db2"]
    assert sorted(order[2:]) == ["web1", "web2"]


def test_no_more_hosts_than_the_limit_are_open_at_once() -> None:
    transport = Here()

    @genii.task
    def main(host: genii.Remote) -> None:
        host.run("true")

    assert len(perform(main, hosts(*(f"h{number}" for number in range(12))), transport=transport, limit=3)) == 12
    assert transport.most <= 3


def test_after_a_failure_no_further_host_is_begun_if_that_is_wanted() -> None:
    @genii.task(limit=1)
    def main(host: genii.Remote) -> None:
        host.run("false" if host.name == "b" else "true")

    found = perform(main, hosts("a", "b", "c"), hosts("d"), fail_fast=True)
    assert {name: outcome.ok for name, outcome in found.items()} == {"a": True, "b": False}


def test_plain_functions_run_side_by_side() -> None:
    together = threading.Barrier(4, timeout=30)

    @genii.task
    def main(host: genii.Remote) -> None:
        together.wait()

    assert all(outcome.ok for outcome in perform(main, hosts("a", "b", "c", "d")).values())


def test_a_task_that_takes_too_long_is_ended_and_what_it_started_is_killed() -> None:
    duration = f"600.{uuid.uuid4().int}"  # nobody else sleeps as long

    @genii.task(timeout=0.5)
    def main(host: genii.Remote) -> None:
        host.run(f"sleep {duration}; true")

    error = perform(main)["a"].error
    assert isinstance(error, TimedOut)
    assert "the task took longer than 0.5 s" in str(error)
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        if duration.encode() in _content(path):
            _wait_for_end(int(path.parent.name))


def _wait_for_end(pid: int) -> None:
    """Wait for a process that was killed, but need not be dead yet: nobody of ours is its parent."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([descriptor], [], [], 30)[0], f"process {pid} was left running"
    finally:
        os.close(descriptor)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has just ended
        return b""


def test_an_interruption_ends_threads_and_processes_and_keeps_what_finished() -> None:
    went_on = threading.Event()

    @genii.task
    def main(host: genii.Remote) -> None:
        if host.name == "quick":
            return
        try:
            host.run("echo $$; exec sleep 600", stream=True)
        except Exception:
            went_on.set()

    seen = Seen()

    async def interrupted() -> None:
        async with Fleet(Here()) as fleet:
            performance = Performance(main, {}, fleet, observer=seen, limit=2)
            running = asyncio.ensure_future(performance.run([hosts("quick"), hosts("slow")]))
            await seen.said.wait()
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running

    asyncio.run(interrupted())
    assert not went_on.is_set()
    assert [outcome.host for outcome in seen.ended] == ["quick"]
    _wait_for_end(int(seen.lines[0][1]))


def test_hooks_still_reach_the_host_after_a_time_out(tmp_path: Path) -> None:
    @genii.task(timeout=0.3)
    def main(host: genii.Remote) -> None:
        host.run("sleep 600")

    @main.around
    def locked(host: genii.Remote) -> Iterator[None]:
        host.run(f"touch {tmp_path}/lock")
        try:
            yield
        finally:
            host.run(f"rm {tmp_path}/lock")

    @main.after
    async def after(host: genii.AsyncRemote, error: Exception | None) -> None:
        await host.run(f"echo '{error}' > {tmp_path}/after")

    assert isinstance(perform(main)["a"].error, TimedOut)
    assert not (tmp_path / "lock").exists()
    assert "took longer than 0.3 s" in (tmp_path / "after").read_text()


@pytest.mark.parametrize("modern", [True, False])
def test_an_interruption_runs_no_more_hooks(modern: bool, capfd: pytest.CaptureFixture[str]) -> None:
    done: list[str] = []

    async def waits(host: genii.AsyncRemote) -> None:
        await host.run("echo $$; exec sleep 600", stream=True)

    def blocks(host: genii.Remote) -> None:
        host.run("echo $$; exec sleep 600", stream=True)

    main = genii.task(waits if modern else blocks)

    @main.around
    def around(host: genii.Remote) -> Iterator[None]:
        try:
            yield
        finally:
            host.run("true")
            done.append("around")

    @main.after
    def after(host: genii.Remote, error: Exception | None) -> None:
        done.append("after")

    seen = Seen()

    async def interrupted() -> None:
        async with Fleet(Here()) as fleet:
            running = asyncio.ensure_future(Performance(main, {}, fleet, observer=seen).run([hosts("a")]))
            await seen.said.wait()
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running

    asyncio.run(interrupted())
    assert done == []
    _wait_for_end(int(seen.lines[0][1]))
    assert capfd.readouterr().err == ""


def test_a_dry_run_asks_but_changes_nothing(tmp_path: Path) -> None:
    @genii.task
    def main(host: genii.Remote) -> None:
        assert host.run("echo read", changes=False).stdout == "read\n"
        assert host.run(f"touch {tmp_path}/a").planned
        result = host.file(f"{tmp_path}/b", content="new\n")
        assert result.changed
        assert result.difference.endswith("+new\n")
        assert host.expect("read x", {"x": "y"}).planned
        assert host.dry_run

    seen = Seen()
    outcome = perform(main, dry_run=True, seen=seen)["a"]
    assert outcome.error is None
    assert outcome.changed
    assert list(tmp_path.iterdir()) == []
    assert [result.planned for result in seen.results] == [False, True, True, True]


def test_secrets_are_in_no_result(tmp_path: Path) -> None:
    @genii.task
    def main(host: genii.Remote) -> None:
        secret = host.hide("hunter2")
        host.run(f"echo {secret.reveal()}; cat >&2", input="hunter2 and the password s3same")
        host.file(f"{tmp_path}/file", content="key = hunter2\n")
        host.run("echo hunter2; exit 4")

    seen = Seen()
    error = perform(main, seen=seen, password=Secret("s3same"))["a"].error
    shown = repr(seen.results) + str(error)
    assert "hunter2" not in shown
    assert "s3same" not in shown
    assert (tmp_path / "file").read_text() == "key = hunter2\n"


def test_lines_are_handed_on_as_they_come() -> None:
    @genii.task
    def main(host: genii.Remote) -> None:
        host.run("echo one; echo two; printf three", stream=True)
        host.say("four\nfive")

    seen = Seen()
    perform(main, seen=seen)
    assert [text for _, text in seen.lines] == ["one", "two", "three", "four", "five"]
