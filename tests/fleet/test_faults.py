"""Hosts that are not what they should be, among others that are."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.fleet.conftest import make_key

from genii.config.fleet import FleetSettings
from genii.fleet.command import Command
from genii.fleet.engine import Fleet
from genii.fleet.run import Plan, run_command
from genii.fleet.transport import ConnectionFailed, Host
from genii.fleet.ways import open_transport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tests.fleet.conftest import Sshd

    from genii.fleet.result import Result


pytestmark = pytest.mark.timeout(180)


class Silence:
    """A watcher that is told and says nothing."""

    def started(self, host: str) -> None: ...

    def output(self, host: str, stream: str, data: bytes) -> None: ...

    def ended(self, result: Result) -> None: ...


def run(settings: FleetSettings, hosts: Sequence[Host], text: str = "true", limit: int = 50) -> dict[str, Result]:
    async def main() -> list[Result]:
        async with Fleet(open_transport(settings), limit=limit) as fleet:
            return await run_command(fleet, hosts, Plan(Command(text), limit=limit), Silence())

    return {result.host: result for result in asyncio.run(main())}


@pytest.fixture
def silent_port() -> Iterator[int]:
    """The port of a server that accepts connections (the kernel does) and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(50)
        yield listener.getsockname()[1]


def test_one_dead_host_among_many_costs_its_own_time_out_only(sshd: Sshd, silent_port: int) -> None:
    dead = Host("dead", "127.0.0.1", port=silent_port)
    begin = time.monotonic()
    results = run(sshd.configured(connect_timeout=8.0), [dead, *sshd.hosts(5)])
    assert time.monotonic() - begin < 30
    dead_one = results.pop("dead")
    assert dead_one.state == "unreachable"
    assert f"not connected within 8s (127.0.0.1:{silent_port})" in dead_one.error
    assert {result.state for result in results.values()} == {"ok"}


def test_a_name_that_does_not_resolve(server: Sshd) -> None:
    (result,) = run(server.settings, [Host("nowhere.invalid")]).values()
    assert result.state == "unreachable"
    assert "resolve" in result.error


def other_server(sshd: Sshd, folder: Path, known: str, transport: str) -> FleetSettings:
    """Return settings with a known_hosts file of its own."""
    (folder / "known_hosts").write_text(known)
    text = (sshd.folder / "ssh_config").read_text()
    (folder / "ssh_config").write_text(text.replace(f"{sshd.folder}/known_hosts", f"{folder}/known_hosts"))
    return sshd.configured(ssh_config=str(folder / "ssh_config"), transport=transport)


@pytest.mark.parametrize("transport", ["asyncssh", "openssh"])
@pytest.mark.parametrize("policy", ["strict", "accept-new"])
def test_a_changed_host_key_is_refused_by_every_policy(sshd: Sshd, tmp_path: Path, transport: str, policy: str) -> None:
    other = " ".join((make_key(tmp_path / "other").with_suffix(".pub")).read_text().split()[:2])
    known = f"[127.7.0.1]:{sshd.port} {other}\n"
    settings = msgspec.structs.replace(other_server(sshd, tmp_path, known, transport), known_hosts=policy)
    (result,) = run(settings, [sshd.host(0)]).values()
    assert result.state == "unreachable"
    assert "CHANGED" in result.error
    assert (tmp_path / "known_hosts").read_text() == known


@pytest.mark.parametrize("transport", ["asyncssh", "openssh"])
def test_a_new_host_key_is_written_down_where_the_policy_says_so(sshd: Sshd, tmp_path: Path, transport: str) -> None:
    settings = other_server(sshd, tmp_path, "", transport)
    (refused,) = run(settings, [sshd.host(0)]).values()
    assert "not known" in refused.error
    assert (tmp_path / "known_hosts").read_text() == ""
    accepting = msgspec.structs.replace(settings, known_hosts="accept-new")
    assert run(accepting, [sshd.host(0)])["127.7.0.1"].ok
    assert sshd.host_key in (tmp_path / "known_hosts").read_text()
    assert run(settings, [sshd.host(0)])["127.7.0.1"].ok


def test_a_known_hosts_file_that_is_switched_off_lets_nobody_in(sshd: Sshd, tmp_path: Path) -> None:
    text = (sshd.folder / "ssh_config").read_text().replace(f"{sshd.folder}/known_hosts", "none")
    (tmp_path / "ssh_config").write_text(text + "    StrictHostKeyChecking no\n")
    (result,) = run(sshd.configured(ssh_config=str(tmp_path / "ssh_config")), [sshd.host(0)]).values()
    assert "not known" in result.error


def test_a_connection_that_breaks_in_the_middle(server: Sshd) -> None:
    results = run(server.settings, [server.host(0)], "kill -9 $PPID; sleep 60")
    assert results["127.7.0.1"].state == "unreachable"
    assert "broke" in results["127.7.0.1"].error or "not started" in results["127.7.0.1"].error


@pytest.mark.parametrize("transport", ["asyncssh", "openssh"])
def test_handshakes_that_a_busy_sshd_drops_are_tried_again(start_server: Callable[..., Sshd], transport: str) -> None:
    busy = start_server("MaxStartups 1:100:1")
    settings = busy.configured(transport=transport, retries=1000, connect_timeout=55.0)
    results = run(settings, busy.hosts(6))
    assert {result.state for result in results.values()} == {"ok"}, [result.error for result in results.values()]
    log = (busy.folder / "sshd.log").read_text()
    assert "drop connection" in log or "MaxStartups" in log


@pytest.mark.parametrize("transport", ["asyncssh", "openssh"])
def test_hosts_behind_a_jump_host_are_reached(start_server: Callable[..., Sshd], transport: str) -> None:
    behind = start_server()
    hosts = [Host(host.name, jump="127.7.0.100") for host in behind.hosts(3)]
    results = run(behind.configured(transport=transport), hosts, "echo $SSH_CONNECTION")
    assert {result.state for result in results.values()} == {"ok"}, [result.error for result in results.values()]
    accepted = (behind.folder / "sshd.log").read_text().count("Accepted publickey")
    # The library shares one connection to the jump host; ssh opens one for each host behind it.
    assert accepted == (4 if transport == "asyncssh" else 6)


def test_a_jump_host_that_can_not_reach_further_is_told(sshd: Sshd) -> None:
    (result,) = run(sshd.settings, [Host("127.7.0.1", port=1, jump=f"127.7.0.100:{sshd.port}")]).values()
    assert result.state == "unreachable"
    assert "can't reach 127.7.0.1:1" in result.error


def test_certificates_and_agents_and_match_blocks(
    sshd: Sshd, tmp_path: Path, start_server: Callable[..., Sshd]
) -> None:
    authority = make_key(tmp_path / "authority")
    server = start_server(f"TrustedUserCAKeys {authority}.pub")
    key = make_key(tmp_path / "certified")
    sign = ["ssh-keygen", "-q", "-s", str(authority), "-I", "test", "-n", server.user, "-V", "+1d", f"{key}.pub"]
    subprocess.run(sign, check=True, timeout=30)
    lines = (server.folder / "ssh_config").read_text().replace(f"IdentityFile {server.folder}/user_key", "")
    (tmp_path / "more").write_text(f"Match originalhost certified.* user {server.user}\n  IdentityFile {key}\n")
    alias = f"Host certified.test\n  HostName 127.7.0.1\nInclude {tmp_path}/more\n"
    (tmp_path / "ssh_config").write_text(alias + lines.replace("Host 127.*", "Host 127.* certified.*"))
    settings = server.configured(ssh_config=str(tmp_path / "ssh_config"))
    assert run(settings, [Host("certified.test", user=server.user)])["certified.test"].ok
    assert not run(settings, [Host("127.7.0.1")])["127.7.0.1"].ok  # without the certificate


def test_the_ssh_configuration_must_be_there_if_it_is_named() -> None:
    from genii.errors import ConfigError

    with pytest.raises(ConfigError, match="ssh_config"):
        open_transport(FleetSettings(ssh_config="/nowhere/ssh_config"))


def test_more_hosts_than_the_limit_are_never_worked_on_at_once(sshd: Sshd) -> None:
    running: list[int] = []
    most: list[int] = []

    class Count(Silence):
        def started(self, host: str) -> None:
            running.append(1)
            most.append(len(running))

        def ended(self, result: Result) -> None:
            running.pop()

    async def main() -> None:
        async with Fleet(open_transport(sshd.settings), limit=3) as fleet:
            await run_command(fleet, sshd.hosts(12), Plan(Command("true"), limit=3), Count())

    asyncio.run(main())
    # A result is told a moment after its worker has gone on to the next host.
    assert max(most) <= 6


def test_a_connection_that_is_kept_and_breaks_is_opened_anew(sshd: Sshd) -> None:
    async def main() -> list[str]:
        states: list[str] = []
        async with Fleet(open_transport(sshd.settings), keep=True) as fleet:
            for text in ("true", "kill -9 $PPID; sleep 60", "true"):
                (result,) = await run_command(fleet, [sshd.host(0)], Plan(Command(text)), Silence())
                states.append(result.state)
        return states

    assert asyncio.run(main()) == ["ok", "unreachable", "ok"]


def test_the_local_transport_needs_no_server() -> None:
    results = run(FleetSettings(transport="local"), [Host("here")], "exit 3")
    assert (results["here"].state, results["here"].status) == ("failed", 3)


def test_the_unknown_transport_is_refused() -> None:
    from genii.errors import UsageError

    with pytest.raises(UsageError, match="there is no transport"):
        open_transport(FleetSettings(transport="pigeon"))


def test_an_error_names_its_host() -> None:
    assert "web1" in str(ConnectionFailed("web1: refused"))
