"""Hosts reached through a real Salt master and its minions."""

from __future__ import annotations

import asyncio
import glob
import os
import signal
from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.fleet.command_line import genii

from genii.config.fleet import FleetSettings
from genii.errors import CommandFailed, UsageError
from genii.fleet.command import Command
from genii.fleet.execute import execute
from genii.fleet.salt_bridge import Bridge
from genii.fleet.transport import ConnectionFailed, Host
from genii.fleet.ways import open_transport

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path
    from typing import Any

    from tests.fleet.salt_site import SaltSite

    from genii.fleet.transport import Connection

needs_salt = [pytest.mark.slow, pytest.mark.compat, pytest.mark.xdist_group("salt"), pytest.mark.timeout(1200)]


class Client:
    """Salt's client as far as the bridge can see: jobs get numbers, and are published to the minions it knows."""

    def __init__(self, *minions: str) -> None:
        self.minions = minions
        self.jobs: list[tuple[list[str], str, list[str]]] = []

    def run_job(self, minions: list[str], function: str, arguments: list[str], **_: object) -> dict[str, Any]:
        self.jobs.append((minions, function, arguments))
        known = [minion for minion in minions if minion in self.minions]
        return {"jid": str(len(self.jobs)), "minions": known} if known else {}


def question(number: int, minion: str, *arguments: str) -> dict[str, Any]:
    return {"id": number, "minion": minion, "function": "cmd.run_all", "arguments": list(arguments), "keywords": {}}


def opened(*minions: str) -> tuple[Bridge, Client, list[dict[str, Any]]]:
    client = Client(*minions)
    answers: list[dict[str, Any]] = []
    return Bridge(client, answers.append), client, answers


def test_questions_that_are_alike_become_one_job() -> None:
    bridge, client, answers = opened("a", "b", "c")
    bridge.ask([question(1, "a", "x"), question(2, "b", "y"), question(3, "c", "x"), question(4, "d", "x")], 0.0)
    assert client.jobs == [(["a", "c", "d"], "cmd.run_all", ["x"]), (["b"], "cmd.run_all", ["y"])]
    assert answers == [{"id": 4, "error": "the Salt master has no minion of this name"}]
    bridge.event({"jid": "1", "id": "c", "return": "done"})
    bridge.event({"jid": "1", "id": "c", "return": "done"})  # once more
    bridge.event({"jid": "17", "id": "c", "return": "of somebody else"})
    assert answers[1:] == [{"id": 3, "return": "done"}]


def test_a_minion_that_is_still_at_it_is_waited_for_and_a_silent_one_is_not() -> None:
    bridge, client, answers = opened("a", "b")
    bridge.ask([question(1, "a", "x"), question(2, "b", "x")], 0.0)
    bridge.look(9.0)
    assert len(client.jobs) == 1
    for now in (11.0, 22.0, 33.0, 44.0, 55.0):
        bridge.look(now)
        minions, function, about = client.jobs[-1]
        assert (function, about) == ("saltutil.find_job", ["1"])
        bridge.event({"jid": str(len(client.jobs)), "id": "a", "return": {"jid": "1", "pid": 99}})
    assert answers == [{"id": 2, "error": "the minion has stopped answering"}]
    assert minions == ["a"]
    bridge.event({"jid": "1", "id": "a", "return": "done"})
    assert answers[1:] == [{"id": 1, "return": "done"}]


def test_a_minion_that_knows_nothing_of_its_job_any_more_is_given_up() -> None:
    bridge, client, answers = opened("a")
    bridge.ask([question(1, "a", "x")], 0.0)
    for now in (11.0, 22.0, 33.0, 44.0):
        bridge.look(now)
        bridge.event({"jid": str(len(client.jobs)), "id": "a", "return": {}})
    assert answers == [{"id": 1, "error": "the minion has stopped answering"}]


def test_a_minion_with_much_to_do_may_answer_late() -> None:
    bridge, client, answers = opened("a")
    bridge.ask([question(1, "a", "x")], 0.0)
    for now in (11.0, 22.0, 33.0, 44.0, 55.0, 66.0):
        before = str(len(client.jobs))
        bridge.look(now)
        if now > 11.0:  # what was asked the time before
            bridge.event({"jid": before, "id": "a", "return": {"jid": "1", "pid": 99}})
    assert answers == []


def test_an_answer_that_the_master_has_cut_is_none() -> None:
    bridge, _, answers = opened("a")
    bridge.ask([question(1, "a", "x")], 0.0)
    bridge.event({"jid": "1", "id": "a", "return": "VALUE_TRIMMED"})
    assert "max_event_size" in answers[0]["error"]


def test_what_the_client_raises_is_the_answer() -> None:
    class Broken(Client):
        def run_job(self, *_: object, **__: object) -> dict[str, Any]:
            raise RuntimeError("The salt master could not be contacted.")

    answers: list[dict[str, Any]] = []
    Bridge(Broken(), answers.append).ask([question(1, "a", "x")], 0.0)
    assert answers == [{"id": 1, "error": "The salt master could not be contacted."}]


def test_a_machine_without_salt_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="no 'salt' on this machine"):
        open_transport(FleetSettings(transport="salt"))
    (tmp_path / "salt").write_text("#!/bin/sh\n")
    (tmp_path / "salt").chmod(0o755)
    with pytest.raises(UsageError, match="which Python"):
        open_transport(FleetSettings(transport="salt"))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").touch()
    open_transport(FleetSettings(transport="salt"))


def on(settings: FleetSettings, work: Callable[[Connection], Awaitable[None]], name: str = "one") -> None:
    async def main() -> None:
        transport = open_transport(settings)
        try:
            connection = await transport.connect(Host(name))
            try:
                await work(connection)
            finally:
                await connection.close()
        finally:
            await transport.close()

    asyncio.run(main())


async def never(connection: Connection) -> None:
    raise CommandFailed("connected", 1)


def bridge_of(pid: int) -> int:
    """Return the pid of Salt's client that a process has started."""
    children = [int(word) for path in glob.glob(f"/proc/{pid}/task/*/children") for word in read(path).split()]
    return next(child for child in children if "salt_bridge.py" in read(f"/proc/{child}/cmdline"))


def read(path: str) -> str:
    with open(path) as file:
        return file.read()


async def run(connection: Connection, command: Command, **more: Any) -> tuple[int, bytes, bytes]:
    output, errors = bytearray(), bytearray()
    status = await execute(connection, command, on_output=output.extend, on_error=errors.extend, **more)
    return status, bytes(output), bytes(errors)


def left_behind() -> list[str]:
    """Return the folders of commands; their names are those of nothing else."""
    return glob.glob("/tmp/genii-" + "[0-9a-f]" * 32)


@pytest.mark.usefixtures("salt")
class TestWithSalt:
    pytestmark = needs_salt

    def test_large_outputs_come_whole_and_nothing_is_left(self, salt: FleetSettings) -> None:
        async def work(connection: Connection) -> None:
            text = "head -c 1000000 /dev/zero; head -c 300000 /dev/zero >&2; exit 3"
            assert await run(connection, Command(text)) == (3, bytes(1_000_000), bytes(300_000))

        before = left_behind()
        on(salt, work)
        assert left_behind() == before

    def test_large_inputs_arrive_whole(self, salt: FleetSettings) -> None:
        async def work(connection: Connection) -> None:
            data = os.urandom(2_500_000)
            assert await run(connection, Command("sha256sum", input=data)) == (0, checksum(data), b"")

        on(salt, work)

    def test_what_takes_too_long_is_killed_with_its_children(self, salt: FleetSettings, tmp_path: Path) -> None:
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)

        async def work(connection: Connection) -> None:
            # The sleeping child holds the pipe open for writing: reading ends when both have ended.
            command = Command(f"exec 9>{pipe}; echo begun >&9; sleep 3600 & wait")
            running = asyncio.create_task(run(connection, command))
            with await asyncio.to_thread(pipe.open) as reader:
                assert reader.readline() == "begun\n"
                running.cancel()
                assert await asyncio.to_thread(reader.read) == ""
            with pytest.raises(asyncio.CancelledError):
                await running

        before = left_behind()
        on(salt, work)
        assert left_behind() == before

    def test_sudo_must_not_ask(self, salt: FleetSettings) -> None:
        async def work(connection: Connection) -> None:
            with pytest.raises(UsageError, match="can't be given a password"):
                await run(connection, Command("id", sudo=True), password="secret")

        on(salt, work)

    def test_dialogues_and_sockets_are_refused(self, salt: FleetSettings) -> None:
        async def work(connection: Connection) -> None:
            with pytest.raises(ConnectionFailed, match="no dialogues"):
                await connection.start("sh", terminal=True)
            with pytest.raises(ConnectionFailed, match="no sockets"):
                await connection.connect_unix("/run/genii/genii.sock")

        on(salt, work)

    def test_a_minion_of_another_master_is_unreachable(self, salt: FleetSettings) -> None:
        with pytest.raises(ConnectionFailed, match="three: the Salt master has no minion of this name"):
            on(salt, never, "three")

    def test_a_client_that_is_killed_ends_what_waits_for_it(self, salt: FleetSettings, tmp_path: Path) -> None:
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)

        async def work(connection: Connection) -> None:
            running = asyncio.create_task(run(connection, Command(f"echo $$ >{pipe}; sleep 3600")))
            pid = int(await asyncio.to_thread(pipe.read_text))
            os.kill(bridge_of(os.getpid()), signal.SIGKILL)
            with pytest.raises(ConnectionFailed, match="one: Salt's client has ended"):
                await running
            os.killpg(pid, signal.SIGKILL)
            with pytest.raises(ConnectionFailed, match="one: Salt's client has ended"):
                await run(connection, Command("true"))

        on(salt, work)

    def test_a_master_that_does_not_run_is_told(self, salt: FleetSettings, tmp_path: Path) -> None:
        (tmp_path / "master").write_text(f"root_dir: {tmp_path}\nsock_dir: {tmp_path}\n")
        with pytest.raises(ConnectionFailed, match="could not be contacted"):
            on(msgspec.structs.replace(salt, salt_config=str(tmp_path)), never)

    def test_from_the_command_line(self, salt: FleetSettings, salt_site: SaltSite, tmp_path: Path) -> None:
        text = f'[fleet]\ntransport = "salt"\nsalt_config = "{salt_site.master_folder}"\nconnect_timeout = "60s"\n'
        (tmp_path / "genii.toml").write_text(text + '[groups]\nall-of-it = ["one", "two"]\n')
        # One after the other: both minions have the same /tmp here, as no two machines have.
        ended = genii(tmp_path, "run", "--serial", "--on", "all-of-it,three", "--results", "kept", "--", "echo hello")
        assert (ended.status, sorted(ended.out.splitlines())) == (1, ["one   | hello", "two   | hello"]), ended.err
        assert "unreachable     1  three  the Salt master has no minion of this name" in ended.err
        (tmp_path / "file").write_bytes(os.urandom(100_000))
        ended = genii(tmp_path, "put", "--on", "one", "file", str(tmp_path / "there"))
        assert ended.status == 0, ended.err
        assert (tmp_path / "there").read_bytes() == (tmp_path / "file").read_bytes()


def checksum(data: bytes) -> bytes:
    import hashlib

    return hashlib.sha256(data).hexdigest().encode() + b"  -\n"
