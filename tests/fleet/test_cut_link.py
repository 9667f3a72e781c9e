"""A link that is cut in the middle: an sshd in a network namespace of its own, at the other end of a virtual cable.

Needs root, and a kernel that lets it make network namespaces (unshare(1), veth(4)).
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import secrets
import shutil
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.debian import install_packages
from tests.fleet.conftest import start_sshd

from genii.errors import GeniiError
from genii.fleet.command import Command
from genii.fleet.engine import Fleet
from genii.fleet.run import Plan, run_command
from genii.fleet.transfer import Access, Put, put
from genii.fleet.transport import Host
from genii.fleet.tree import scan
from genii.fleet.ways import open_transport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.fleet.conftest import Sshd

    from genii.config.fleet import FleetSettings
    from genii.fleet.result import Result

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

PATIENCE = 90


@dataclass(frozen=True)
class Far:
    """A host at the other end of a cable."""

    sshd: Sshd
    address: str
    cable: str

    @property
    def host(self) -> Host:
        return Host(self.address)

    def settings(self, transport: str, near: Sshd, more: str = "") -> FleetSettings:
        """Return how it, and all hosts of the near server, are reached."""
        path = self.sshd.folder / "both"
        own = (self.sshd.folder / "ssh_config").read_text().replace("IdentityFile", f"{more}\n    IdentityFile")
        path.write_text(f"{own}\n{(near.folder / 'ssh_config').read_text()}")
        return self.sshd.configured(transport=transport, ssh_config=str(path))

    def cut(self) -> None:
        run("ip", "link", "set", "dev", self.cable, "down")

    def mend(self) -> None:
        run("ip", "link", "set", "dev", self.cable, "up")


def run(*words: str) -> None:
    ended = subprocess.run(words, capture_output=True, text=True, timeout=60)
    if ended.returncode:
        raise OSError(f"{words}: {ended.stderr.strip()}")


def kill_inside(holder: int) -> None:
    """Kill all that runs in the network namespace of a process: nobody could tell it from outside to end."""
    namespace = Path(f"/proc/{holder}/ns/net").readlink()
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (entry / "ns" / "net").readlink() == namespace:
                os.kill(int(entry.name), signal.SIGKILL)


@pytest.fixture
def far(sshd_program: str, tmp_path: Path) -> Iterator[Far]:
    if os.geteuid() != 0:
        pytest.skip("only root may make network namespaces")
    if shutil.which("ip") is None:
        install_packages("iproute2")
    with subprocess.Popen(["unshare", "-n", "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        try:
            holder.stdin.write(b"there\n")
            holder.stdin.flush()
        except BrokenPipeError:
            pass
        if holder.stdout.readline() != b"there\n":
            pytest.skip("the kernel refuses network namespaces: unshare -n fails")
        number = secrets.randbelow(1 << 15)  # of the networks of 198.18.0.0/15, which is for tests (RFC 2544)
        network = ipaddress.ip_address("198.18.0.0") + 4 * number
        cable, near, address = f"genii{number}", str(network + 1), str(network + 2)
        inside = ["nsenter", "-t", str(holder.pid), "-n"]
        run("ip", "link", "add", cable, "type", "veth", "peer", "name", "far", "netns", str(holder.pid))
        try:
            run("ip", "address", "add", f"{near}/30", "dev", cable)
            run("ip", "link", "set", "dev", cable, "up")
            run(*inside, "ip", "address", "add", f"{address}/30", "dev", "far")
            run(*inside, "ip", "link", "set", "dev", "far", "up")
            server, process = start_sshd(sshd_program, tmp_path, "", within=inside, address=address)
            yield Far(server, address, cable)
            process.kill()
            process.wait()
        finally:
            subprocess.run(["ip", "link", "delete", cable], capture_output=True)
            kill_inside(holder.pid)


class Cutter:
    """Cuts the link as soon as all commands run, then lets the near ones go on."""

    def __init__(self, far: Far, count: int, flag: Path) -> None:
        self.far = far
        self.waiting = count
        self.flag = flag

    def started(self, host: str) -> None: ...

    def output(self, host: str, stream: str, data: bytes) -> None:
        if b"begun" not in data:
            return
        self.waiting -= 1
        if not self.waiting:
            self.far.cut()
            self.flag.touch()

    def ended(self, result: Result) -> None: ...


def run_and_cut(far: Far, near: Sshd, settings: FleetSettings, flag: Path, timeout: float | None) -> dict[str, Result]:
    hosts = [far.host, *near.hosts(3)]
    text = f"echo begun; set -- $SSH_CONNECTION; [ $3 != {far.address} ] || sleep 3600; until [ -e {flag} ]; do :; done"

    async def main() -> list[Result]:
        async with Fleet(open_transport(settings)) as fleet:
            watcher = Cutter(far, len(hosts), flag)
            return await run_command(fleet, hosts, Plan(Command(text), timeout=timeout), watcher)

    results = {result.host: result for result in asyncio.run(main())}
    assert {results[host.name].state for host in near.hosts(3)} == {"ok"}
    return results


@pytest.mark.parametrize("transport", ["asyncssh", "openssh"])
def test_a_command_ends_at_its_deadline_and_the_others_go_on(
    far: Far, sshd: Sshd, transport: str, tmp_path: Path
) -> None:
    results = run_and_cut(far, sshd, far.settings(transport, sshd), tmp_path / "flag", 6.0)
    assert results[far.address].state == "timeout"
    assert "not ended after 6s, and the host does not answer any more" in results[far.address].error


@pytest.mark.parametrize("transport", ["asyncssh", "openssh"])
def test_a_command_without_a_deadline_ends_when_the_host_is_silent(
    far: Far, sshd: Sshd, transport: str, tmp_path: Path
) -> None:
    settings = far.settings(transport, sshd, "ServerAliveInterval 1")
    results = run_and_cut(far, sshd, settings, tmp_path / "flag", None)
    assert results[far.address].state == "unreachable"
    assert "the connection broke" in results[far.address].error


@pytest.mark.parametrize("transport", ["asyncssh", "openssh"])
def test_a_transfer_goes_on_where_the_link_was_cut(far: Far, sshd: Sshd, transport: str, tmp_path: Path) -> None:
    settings = far.settings(transport, sshd, "ServerAliveInterval 1")
    source, size = tmp_path / "source", 40_000_000
    source.write_bytes(os.urandom(size))
    sent: list[int] = []

    def cut_in_the_middle(count: int) -> None:
        sent.append(count)
        if sum(sent) >= size // 2:
            far.cut()

    async def send(on_bytes: Callable[[int], object]) -> None:
        transport = open_transport(settings)
        try:
            connection = await transport.connect(far.host)
            order = Put(str(source), scan(str(source)), str(tmp_path / "target"), False, Access(Command("")))
            try:
                await put(connection, order, on_bytes)
            finally:
                await connection.close()
        finally:
            await transport.close()

    with pytest.raises(GeniiError):
        asyncio.run(send(cut_in_the_middle))
    far.mend()
    sent.clear()
    asyncio.run(send(sent.append))
    assert (tmp_path / "target").read_bytes() == source.read_bytes()
    assert 0 < sum(sent) < size
