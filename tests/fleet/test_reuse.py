"""Commands that share a channel must not be told from those with one each: both ways, over a real sshd."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.fleet.test_transports import finish

from genii.errors import TimedOut
from genii.fleet import reuse
from genii.fleet.command import Command
from genii.fleet.execute import execute
from genii.fleet.reuse import ReusingConnection, ReusingTransport
from genii.fleet.transport import ConnectionFailed
from genii.fleet.ways import open_transport

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tests.fleet.conftest import Sshd

    from genii.fleet.transport import Connection, RemoteProcess

Answer = tuple[int, bytes, bytes]


def use(server: Sshd, work: Callable[[ReusingConnection, Counting], Awaitable[None]], first: int = 1) -> None:
    """Do some work over a connection that counts the channels it opens."""

    async def main() -> None:
        transport = open_transport(server.settings)
        try:
            channels = Counting(await transport.connect(server.host()))
            connection = ReusingConnection(channels, first)
            try:
                async with asyncio.timeout(50):
                    await work(connection, channels)
            finally:
                await connection.close()
        finally:
            await transport.close()

    asyncio.run(main())


class Counting:
    """A connection that remembers its channels."""

    interactive = True

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.host = connection.host
        self.asked = 0
        self.channels: list[RemoteProcess] = []

    async def start(self, command: str, *, terminal: bool = False, no_input: bool = False) -> RemoteProcess:
        self.asked += 1
        process = await self._connection.start(command, terminal=terminal, no_input=no_input)
        self.channels.append(process)
        return process

    async def connect_unix(self, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await self._connection.connect_unix(path)

    async def close(self) -> None:
        await self._connection.close()


async def answer(connection: Connection, command: str) -> Answer:
    return await finish(await connection.start(command, no_input=True))


async def outcome(connection: Connection, command: str) -> Answer | str:
    try:
        return await answer(connection, command)
    except ConnectionFailed as error:
        return str(error)


COMMANDS = {
    "streams": "echo out; echo err >&2; exit 3",
    "no final newline": "printf a; printf b >&2",
    "binary": r"printf '\000\001\036\377\n\000'; printf '0 0\n' >&2",
    "nothing": "",
    "exit": "exit 7",
    "exec": "exec echo replaced",
    "what a shell keeps": "cd /; export A=1; B=2; set -e; umask 077; trap 'echo bye' EXIT; false",
    "where that went": 'pwd; echo "$A$B"; umask; trap; ulimit -a; set -o',
    "environment": "env -u _ -u SHLVL | sort",
    "input": "wc -c; read -r line; echo $?",
    "a terminal": "tty; test -t 1; echo $?",
    "words": 'echo "$0" $#',
    "unknown command": "no-such-command",
    "syntax": "echo 'open",
    "its own signal": "kill -TERM $$; echo never",
    "a child's signal": "exec 2>/dev/null; sh -c 'kill -9 $$'; echo $?",
    "its own group": "trap 'echo caught' TERM; kill 0; echo $?; exit 4",
    "the group that it leads": "trap '' HUP; kill -HUP -- -$$; echo $?",
    "signals": "grep Sig /proc/self/status | grep -v SigQ",
    "descriptors": "ls /proc/self/fd",
    "a child that lasts": "(sleep 0.2; echo late; echo too >&2) & echo early; exit 5",
    "a child of its own session": "setsid sh -c 'sleep 0.2; echo late' & echo early",
    "a child that keeps nothing": "sleep 3600 >/dev/null 2>&1 </dev/null & echo $! >/dev/null; kill $!; exit 6",
    "closed streams": "exec >&- 2>&-; sleep 0.1; exit 9",
    "two lines": "echo 1\necho 2 # a comment",
    "quotes": """echo "it's" 'a "test"' \\! $HOME""",
    "not ASCII": "echo é ✓",
    "not even UTF-8": "echo \udcff",
    "for sh": "exec sh -c 'echo $0; exit 3'",
    "long": "echo " + "x" * 70_000,
}


def test_commands_do_the_same_as_with_a_channel_each(server: Sshd) -> None:
    async def work(connection: ReusingConnection, channels: Counting) -> None:
        for name, command in COMMANDS.items():
            found, wanted = await outcome(connection, command), await outcome(channels, command)
            if wanted == (255, b"", b""):  # the system's ssh does not tell signals
                wanted = (143, b"", b"")
            assert (name, found) == (name, wanted)
        assert channels.asked - len(COMMANDS) == 1, "there should be the runner, and no more"

    use(server, work)


def test_what_is_too_long_for_an_argument_is_told_as_ever(server: Sshd) -> None:
    async def work(connection: ReusingConnection, channels: Counting) -> None:
        command = "echo " + "x" * 150_000
        found = await outcome(connection, command)
        assert found == await outcome(channels, command)
        assert "Argument list too long" in str(found)

    use(server, work)


def test_much_output_comes_whole_and_as_it_is_printed(server: Sshd, pipe: Path) -> None:
    async def work(connection: ReusingConnection, channels: Counting) -> None:
        process = await connection.start(f"echo first; cat {pipe}; echo last >&2", no_input=True)
        assert await process.read(3) == b"fir"
        assert await process.read() == b"st\n"
        await asyncio.to_thread(pipe.write_bytes, b"second\n")
        assert await finish(process) == (0, b"second\n", b"last\n")
        size = 20_000_000
        status, output, errors = await answer(connection, f"head -c {size} /dev/zero | tee /dev/stderr")
        assert (status, len(output), len(errors)) == (0, size, size)
        assert (await answer(connection, "echo next"))[1] == b"next\n"
        assert len(channels.channels) == 1

    use(server, work)


def test_what_the_runner_cannot_carry_has_a_channel(server: Sshd) -> None:
    async def work(connection: ReusingConnection, channels: Counting) -> None:
        assert await answer(connection, "echo 1") == (0, b"1\n", b"")
        process = await connection.start("cat")
        await process.write(b"input")
        await process.write_end()
        assert await finish(process) == (0, b"input", b"")
        process = await connection.start("tty", terminal=True)
        assert b"/dev/" in (await finish(process))[1]
        assert len(channels.channels) == 3
        at_once = [answer(connection, f"echo {number}") for number in range(4)]
        assert [found[1] for found in await asyncio.gather(*at_once)] == [b"%d\n" % number for number in range(4)]
        assert len(channels.channels) == 6, "one of four runs in the runner"

    use(server, work)


def test_the_runner_begins_with_the_command_that_was_asked_for(server: Sshd) -> None:
    async def work(connection: ReusingConnection, channels: Counting) -> None:
        for number, open_ones in enumerate((1, 2, 2, 2)):
            assert (await answer(connection, f"echo {number}"))[1] == b"%d\n" % number
            assert len(channels.channels) == open_ones

    use(server, work, first=2)


def test_a_command_has_no_input_and_nobody_reads_any(server: Sshd) -> None:
    async def work(connection: ReusingConnection, _: Counting) -> None:
        process = await connection.start("true", no_input=True)
        with pytest.raises(BrokenPipeError):
            await process.write(b"x")
        assert await process.wait() == 0
        await process.kill()

    use(server, work)


def test_a_time_out_kills_the_group_and_the_next_command_runs(server: Sshd, pipe: Path) -> None:
    async def work(connection: ReusingConnection, channels: Counting) -> None:
        reading = asyncio.create_task(asyncio.to_thread(pipe.read_bytes))
        said: list[bytes] = []
        with pytest.raises(TimedOut, match="killed after 3s"):
            await execute(
                connection,
                Command(f"exec 9>{pipe}; echo begun; sleep 3600 & sleep 3600"),
                on_output=said.append,
                on_error=said.append,
                timeout=3.0,
            )
        assert await reading == b"", "its child still holds the pipe"
        assert said == [b"begun\n"]
        assert await answer(connection, "echo next") == (0, b"next\n", b"")
        assert len(channels.channels) == 2, "the runner should have been replaced"

    use(server, work)


def test_a_command_that_prints_without_end_can_be_killed_unread(server: Sshd) -> None:
    async def work(connection: ReusingConnection, _: Counting) -> None:
        process = await connection.start("exec yes", no_input=True)
        assert (await process.read(2)) == b"y\n"
        await process.kill()
        assert await process.wait() == 137
        assert await answer(connection, "echo next") == (0, b"next\n", b"")

    use(server, work)


def test_an_interruption_kills_what_runs(server: Sshd, pipe: Path) -> None:
    async def work(connection: ReusingConnection, _: Counting) -> None:
        reading = asyncio.create_task(asyncio.to_thread(pipe.read_bytes))
        begun = asyncio.Event()

        def note(_: bytes) -> None:
            begun.set()

        command = Command(f"exec 9>{pipe}; echo begun; sleep 3600")
        running = asyncio.create_task(execute(connection, command, on_output=note, on_error=note))
        await begun.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert await reading == b""

    use(server, work)


def test_closing_ends_what_runs(server: Sshd, pipe: Path) -> None:
    async def work(connection: ReusingConnection, _: Counting) -> None:
        reading = asyncio.create_task(asyncio.to_thread(pipe.read_bytes))
        process = await connection.start(f"exec 9>{pipe}; echo begun; sleep 3600", no_input=True)
        assert await process.read() == b"begun\n"
        await connection.close()
        assert await reading == b""

    use(server, work)


def test_a_runner_that_was_killed_is_told_and_replaced(server: Sshd) -> None:
    async def work(connection: ReusingConnection, channels: Counting) -> None:
        with pytest.raises(ConnectionFailed, match="before the command had ended"):
            await answer(connection, "kill -9 $PPID; sleep 0.1")
        assert await answer(connection, "echo next") == (0, b"next\n", b"")
        assert len(channels.channels) == 2

    use(server, work)


FORCED = {
    "nologin": "echo This account is currently not available.; exit 1",
    "another command": "echo forced",
    "only what is allowed": """case $SSH_ORIGINAL_COMMAND in
*"echo one"|*"echo two") eval "$SSH_ORIGINAL_COMMAND" ;;
*) echo denied >&2; exit 77 ;;
esac""",
    "a talking shell": 'echo "motd of today"; eval "$SSH_ORIGINAL_COMMAND"',
    "no Perl": 'case $SSH_ORIGINAL_COMMAND in *perl*) exit 127 ;; esac; eval "$SSH_ORIGINAL_COMMAND"',
    "waits for ever": 'case $SSH_ORIGINAL_COMMAND in *perl*) exec cat >/dev/null ;; esac; eval "$SSH_ORIGINAL_COMMAND"',
}


NO_WAY_FOR_OPENSSH = ("nologin", "another command", "only what is allowed")
"""Its control master has to run a command of its own."""


@pytest.mark.parametrize("forced", FORCED)
def test_a_host_without_a_runner_works_as_ever(
    server: Sshd,
    start_server: Callable[..., Sshd],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    forced: str,
) -> None:
    if forced == "waits for ever":
        monkeypatch.setattr(reuse, "STARTING", 0.5)
    script = tmp_path / "forced"
    script.write_text(f"#!/bin/sh\n{FORCED[forced]}\n")
    script.chmod(0o755)
    own = start_server(f"ForceCommand {script}\nMaxStartups 2000:30:4000")
    own = own if server.settings.transport == "asyncssh" else with_openssh(own)

    async def work(connection: ReusingConnection, channels: Counting) -> None:
        for command in ("echo one", "echo two", "echo three"):
            assert await outcome(connection, command) == await outcome(channels, command)
        assert channels.asked == 7, "one attempt to start a runner is enough"

    if own.settings.transport == "openssh" and forced in NO_WAY_FOR_OPENSSH:
        with pytest.raises(ConnectionFailed, match=own.host().name):
            use(own, work)
    else:
        use(own, work)


def with_openssh(server: Sshd) -> Sshd:
    from dataclasses import replace

    return replace(server, settings=server.configured(transport="openssh"))


def test_a_host_that_allows_one_channel_loses_its_runner_to_what_needs_one(start_server: Callable[..., Sshd]) -> None:
    async def work(connection: ReusingConnection, channels: Counting) -> None:
        assert (await answer(connection, "echo 1"))[1] == b"1\n"
        assert (await answer(connection, "echo 2"))[1] == b"2\n"
        assert len(channels.channels) == 1
        process = await connection.start("cat")
        await process.write(b"input")
        assert await finish(process) == (0, b"input", b"")
        assert (await answer(connection, "echo 3"))[1] == b"3\n"
        assert len(channels.channels) == 3

    use(start_server("MaxSessions 1"), work)


def test_a_broken_connection_is_told(sshd: Sshd) -> None:
    async def work(connection: ReusingConnection, _: Counting) -> None:
        assert (await answer(connection, "echo 1"))[1] == b"1\n"
        # The parent of the runner is the sshd of this connection.
        with pytest.raises(ConnectionFailed, match="the connection broke"):
            await answer(connection, "kill -9 $(ps -o ppid= -p $PPID); sleep 1")
        with pytest.raises(ConnectionFailed, match="not started"):
            await answer(connection, "echo 2")

    use(sshd, work)


def test_only_ssh_has_need_of_a_runner(server: Sshd) -> None:
    assert isinstance(open_transport(server.settings, reuse_from=1), ReusingTransport)
    assert not isinstance(open_transport(server.configured(transport="local"), reuse_from=1), ReusingTransport)
    assert not isinstance(open_transport(server.settings), ReusingTransport)
