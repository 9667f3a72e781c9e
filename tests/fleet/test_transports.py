"""What all transports promise, over a real sshd, a real ssh and a real shell."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import threading
from typing import TYPE_CHECKING

import msgspec
import pytest

from genii.fleet import ssh
from genii.fleet.library import load_asyncssh
from genii.fleet.openssh import OpenSshTransport
from genii.fleet.ssh_config import SshConfig
from genii.fleet.transport import ConnectionFailed, Host
from genii.fleet.ways import open_transport

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tests.fleet.conftest import Reached, Sshd

    from genii.fleet.transport import Connection, RemoteProcess


def use(reached: Reached, work: Callable[[Connection], Awaitable[None]]) -> None:
    async def main() -> None:
        settings, host = reached
        transport = open_transport(settings)
        try:
            connection = await transport.connect(host)
            try:
                async with asyncio.timeout(50):
                    await work(connection)
            finally:
                await connection.close()
        finally:
            await transport.close()

    asyncio.run(main())


async def everything(read: Callable[[], Awaitable[bytes]]) -> bytes:
    found = bytearray()
    while piece := await read():
        found += piece
    return bytes(found)


async def finish(process: RemoteProcess) -> tuple[int, bytes, bytes]:
    await process.write_end()
    output, errors = await asyncio.gather(everything(process.read), everything(process.read_error))
    return await process.wait(), output, errors


def test_keeps_the_streams_and_the_exit_status_apart(carried: Reached) -> None:
    async def work(connection: Connection) -> None:
        process = await connection.start("echo out; echo err >&2; exit 3")
        assert await finish(process) == (3, b"out\n", b"err\n")

    use(carried, work)


def test_what_no_shell_can_read_is_the_commands_own_failure(reached: Reached) -> None:
    async def work(connection: Connection) -> None:
        status, output, errors = await finish(await connection.start("echo 'open", no_input=True))
        assert status in (1, 2)
        assert output == b""
        assert errors != b""

    use(reached, work)


def test_sends_input_and_its_end(carried: Reached) -> None:
    async def work(connection: Connection) -> None:
        process = await connection.start("wc -c")
        await process.write(b"x" * 100_000)
        await process.write_end()
        status, output, _ = await finish(process)
        assert (status, output.strip()) == (0, b"100000")

    use(carried, work)


def test_runs_commands_at_once_over_one_connection(carried: Reached) -> None:
    async def work(connection: Connection) -> None:
        async def one(number: int) -> bytes:
            process = await connection.start(f"echo {number}")
            return (await finish(process))[1]

        assert await asyncio.gather(*map(one, range(5))) == [b"%d\n" % number for number in range(5)]

    use(carried, work)


def test_bytes_of_all_kinds_come_as_they_are(carried: Reached) -> None:
    async def work(connection: Connection) -> None:
        process = await connection.start("cat")
        data = bytes(range(256)) * 16
        await process.write(data)
        await process.write_end()
        assert await finish(process) == (0, data, b"")

    use(carried, work)


def test_a_terminal_is_one(reached: Reached) -> None:
    async def work(connection: Connection) -> None:
        process = await connection.start("tty; echo err >&2; read -r line; echo got $line", terminal=True)
        await process.write(b"something\n")
        status, output, errors = await finish(process)
        assert status == 0
        assert b"/dev/" in output
        assert b"got something" in output
        assert b"err" in output
        assert errors == b""

    use(reached, work)


def test_kills_what_hangs_with_its_children(reached: Reached, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    async def work(connection: Connection) -> None:
        # The sleeping child holds the pipe open for writing: reading ends when both have ended.
        reading = asyncio.create_task(asyncio.to_thread(pipe.read_bytes))
        process = await connection.start(f"exec 9>{pipe}; sleep 3600 & echo begun; wait")
        assert await process.read() == b"begun\n"
        await process.kill()
        assert await reading == b""

    use(reached, work)


def test_writing_to_a_command_that_has_ended_is_a_broken_pipe(reached: Reached) -> None:
    async def work(connection: Connection) -> None:
        process = await connection.start("exit 0")
        await process.wait()
        with pytest.raises(BrokenPipeError):
            await write_much(process)

    use(reached, work)


async def write_much(process: RemoteProcess) -> None:
    for _ in range(200):
        await process.write(b"x" * 65536)


def test_reaches_a_unix_socket_on_the_host(reached: Reached, tmp_path: Path) -> None:
    async def work(connection: Connection) -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write((await reader.readline()).upper())
            await writer.drain()
            writer.close()

        path = str(tmp_path / "socket")
        listener = await asyncio.start_unix_server(answer, path)
        async with listener:
            reader, writer = await connection.connect_unix(path)
            writer.write(b"hello\n")
            await writer.drain()
            assert await reader.read(100) == b"HELLO\n"
            writer.close()
        with pytest.raises(ConnectionFailed, match="nowhere"):
            await connection.connect_unix(str(tmp_path / "nowhere"))

    use(reached, work)


def test_a_host_that_refuses_is_named(server: Sshd) -> None:
    with pytest.raises(ConnectionFailed, match=r"(?i)127\.7\.0\.9: .*refused"):
        use((server.settings, Host("127.7.0.9", port=1)), fail)


async def fail(connection: Connection) -> None:
    pytest.fail("connected")


def test_an_unknown_host_key_is_refused(server: Sshd) -> None:
    with pytest.raises(ConnectionFailed, match="not known"):
        use((server.settings, Host("127.8.0.1")), fail)


def test_a_key_that_is_not_accepted_is_told(server: Sshd) -> None:
    with pytest.raises(ConnectionFailed, match=r"(?i)does not let .* in|permission denied"):
        use((server.settings, Host("127.7.0.3", user="nobody-here")), fail)


@pytest.mark.parametrize(("more", "interval"), [("", 15), ("ServerAliveInterval 3", 3)])
def test_silent_hosts_are_asked_whether_they_are_there(sshd: Sshd, tmp_path: Path, more: str, interval: int) -> None:
    path = tmp_path / "ssh_config"
    path.write_text(f"Host *\n{more}\n{(sshd.folder / 'ssh_config').read_text()}")
    route = SshConfig(str(path)).route(sshd.host())
    options = route.options()
    assert options.kwargs.get("keepalive_interval", options.config.get("ServerAliveInterval")) == interval
    transport = OpenSshTransport(sshd.configured(ssh_config=str(path)))
    asked = subprocess.run(["ssh", "-G", *transport.options(sshd.host()), "127.7.0.1"], capture_output=True, text=True)
    asyncio.run(transport.close())
    assert f"serveraliveinterval {interval}\n" in asked.stdout
    assert f"port {sshd.port}\n" in asked.stdout


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("", "127.0.0.1"),
        ("AddressFamily inet", "127.0.0.1"),
        ("BindAddress 127.9.9.9", "127.9.9.9"),
        ("CanonicalizeHostname yes\n  CanonicalDomains invalid", "127.0.0.1"),
        ("ProxyCommand ssh -F {folder}/ssh_config -b 127.9.9.8 -W %h:%p 127.7.0.100", "127.0.0.1"),
    ],
)
def test_the_way_is_that_of_the_configuration(server: Sshd, tmp_path: Path, more: str, told: str) -> None:
    path = tmp_path / "ssh_config"
    alias = f"Host there.test\n  HostName 127.7.0.1\n  {more.format(folder=server.folder)}\n"
    path.write_text(alias + (server.folder / "ssh_config").read_text().replace("Host 127.*", "Host 127.* there.test"))

    async def work(connection: Connection) -> None:
        process = await connection.start("echo $SSH_CLIENT")
        status, output, _ = await finish(process)
        assert (status, output.split()[0].decode()) == (0, told)

    use((msgspec.structs.replace(server.settings, ssh_config=str(path)), Host("there.test")), work)


def test_only_a_plain_way_is_ours(sshd: Sshd, tmp_path: Path) -> None:
    path = tmp_path / "ssh_config"
    path.write_text(
        "Host a\n  AddressFamily inet6\nHost b\n  ProxyCommand nc %h %p\nHost c\n  BindAddress 127.0.0.1\n"
        "Host d\n  CanonicalizeHostname always\nHost e\n  ProxyCommand none\nHost f\n  CanonicalizeHostname no\n"
    )
    routes = [SshConfig(str(path)).route(Host(name)) for name in "abcdef"]
    assert [route.direct for route in routes] == [True, False, False, False, True, True]
    assert routes[0].family == socket.AF_INET6


def test_hosts_are_dialled_while_the_library_is_loaded(sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(50)
        guests: list[socket.socket] = []

        def load() -> object:
            if not loaded.is_set():
                guests.append(listener.accept()[0])
                loaded.wait(1)  # longer than the host has
                loaded.set()
            return load_asyncssh()

        monkeypatch.setattr(ssh, "load_asyncssh", load)
        settings = sshd.configured(connect_timeout=0.2)
        with pytest.raises(ConnectionFailed, match=r"not connected within 200ms"):
            use((settings, Host("127.7.0.1", address="127.0.0.1", port=listener.getsockname()[1])), fail)
        assert loaded.is_set(), "the time for loading was counted as the host's"
        guests.pop().close()


def test_an_interruption_while_the_library_is_loaded_waits_for_it(sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go, ended = threading.Event(), threading.Event(), threading.Event()

    def load() -> object:
        begun.set()
        go.wait(50)
        ended.set()
        return load_asyncssh()

    async def main() -> None:
        transport = open_transport(sshd.settings)
        connecting = asyncio.create_task(transport.connect(sshd.host()))
        await asyncio.to_thread(begun.wait, 50)
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
        asyncio.get_running_loop().call_soon(go.set)
        await transport.close()
        assert ended.is_set()

    monkeypatch.setattr(ssh, "load_asyncssh", load)
    asyncio.run(main())
