"""A private OpenSSH server on addresses of 127.0.0.0/8, each as good as a host of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.debian import install_packages
from tests.fleet.salt_site import SaltSite, run_salt
from tests.keyrings import keyring  # noqa: F401 -- a fixture
from tests.ports import free_port, wait_for_port

from genii.config.fleet import FleetSettings
from genii.fleet.transport import Host

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

SFTP_SERVERS = ("/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server")


@pytest.fixture(scope="session")
def sshd_program() -> str:
    """Return the path of sshd, installing Debian's when it is missing and we may."""
    path = os.environ["PATH"] + ":/usr/sbin"
    if shutil.which("sshd", path=path) is None or shutil.which("ssh") is None:
        install_packages("openssh-server", "openssh-client")
    found = shutil.which("sshd", path=path)
    if found is None:
        pytest.skip("sshd is not here; install the Debian package openssh-server")
    return found


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """Return a pipe in the file system: whoever reads it learns when the last process that could write is gone."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


def make_key(path: Path) -> Path:
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", path.name, "-f", str(path)]
    subprocess.run(words, check=True, timeout=30)
    return path


@dataclass(frozen=True)
class Sshd:
    """A running sshd: everything on 127.0.0.0/8 at its port is a host that it serves."""

    folder: Path
    port: int
    user: str
    settings: FleetSettings
    """Reach it with ``open_transport(sshd.settings)``."""
    pid: int

    @property
    def host_key(self) -> str:
        """The public host key, as known_hosts wants it."""
        return " ".join((self.folder / "host_key.pub").read_text().split()[:2])

    def host(self, number: int = 1) -> Host:
        """Return a host: 127.7.N.M, known to known_hosts, of which there are as many as you like."""
        return Host(f"127.7.{number // 200}.{number % 200 + 1}")

    def hosts(self, count: int) -> list[Host]:
        return [self.host(number) for number in range(count)]

    def configured(self, **changes: object) -> FleetSettings:
        """Return the settings with changes."""
        import msgspec

        return msgspec.structs.replace(self.settings, **changes)


SERVER = """\
{listen}
HostKey {folder}/host_key
PidFile {folder}/sshd.pid
AuthorizedKeysFile {folder}/authorized_keys
StrictModes no
UsePAM no
UseDNS no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
AllowTcpForwarding yes
AllowStreamLocalForwarding yes
PrintMotd no
PrintLastLog no
LogLevel VERBOSE
Subsystem sftp {sftp}
# Else a bash that sshd starts reads ~/.bashrc, which may do anything and take its time.
SetEnv SHLVL=2
{more}
"""
CLIENT = """\
Host {hosts}
    Port {port}
    User {user}
    IdentityFile {folder}/user_key
    IdentitiesOnly yes
    IdentityAgent none
    UserKnownHostsFile {folder}/known_hosts
    GlobalKnownHostsFile /dev/null
    KexAlgorithms curve25519-sha256
"""


def start_sshd(
    program: str, folder: Path, more: str, *, within: Sequence[str] = (), address: str = ""
) -> tuple[Sshd, subprocess.Popen[bytes]]:
    """Start an sshd on all addresses of this machine, or by the words ``within`` where it has another one."""
    import pwd

    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # privilege separation; the Debian package makes it at boot
    make_key(folder / "host_key")
    make_key(folder / "user_key")
    shutil.copy(folder / "user_key.pub", folder / "authorized_keys")
    user = pwd.getpwuid(os.geteuid()).pw_name
    sftp = next((path for path in SFTP_SERVERS if os.path.exists(path)), "internal-sftp")
    public = " ".join((folder / "host_key.pub").read_text().split()[:2])
    known = (address,) if address else ("127.7.*", "127.0.0.1")
    for _ in range(5):  # somebody else may take the free port first
        port = free_port()
        listen = f"Port {port}\nListenAddress 0.0.0.0"
        (folder / "sshd_config").write_text(SERVER.format(listen=listen, folder=folder, sftp=sftp, more=more))
        (folder / "ssh_config").write_text(CLIENT.format(hosts=address or "127.*", port=port, user=user, folder=folder))
        (folder / "known_hosts").write_text("".join(f"[{name}]:{port} {public}\n" for name in known))
        words = [*within, program, "-D", "-f", str(folder / "sshd_config"), "-E", str(folder / "sshd.log")]
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL)
        if wait_for_port(port, process, address or "127.0.0.1"):
            settings = FleetSettings(ssh_config=str(folder / "ssh_config"), connect_timeout=30.0)
            return Sshd(folder, port, user, settings, process.pid), process
        process.kill()
        process.wait()
    raise RuntimeError(f"sshd does not start: {(folder / 'sshd.log').read_text()}")


@pytest.fixture(scope="session")
def start_server(sshd_program: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Sshd]]:
    """Start an sshd with more lines of configuration, as often as it is called."""
    running: list[subprocess.Popen[bytes]] = []

    def start(more: str = "MaxStartups 2000:30:4000\nMaxSessions 100") -> Sshd:
        server, process = start_sshd(sshd_program, tmp_path_factory.mktemp("sshd"), more)
        running.append(process)
        return server

    yield start
    for process in running:
        process.terminate()
        process.wait()


@pytest.fixture(scope="session")
def sshd(start_server: Callable[..., Sshd]) -> Sshd:
    """The sshd that tests share: let it as it is, and use ``start_server`` for one of your own."""
    return start_server()


@pytest.fixture(params=["asyncssh", "openssh"])
def server(request: pytest.FixtureRequest, sshd: Sshd) -> Sshd:
    """The shared sshd, by each SSH transport."""
    return replace(sshd, settings=sshd.configured(transport=request.param))


Reached = tuple[FleetSettings, Host]
"""A host, and the settings by which it is reached."""
SALT = pytest.param(
    "salt", marks=[pytest.mark.slow, pytest.mark.compat, pytest.mark.xdist_group("salt"), pytest.mark.timeout(1200)]
)


def reach(request: pytest.FixtureRequest) -> Reached:
    if request.param == "local":
        return FleetSettings(transport="local"), Host("here")
    if request.param == "salt":
        return request.getfixturevalue("salt"), Host("one")
    server: Sshd = request.getfixturevalue("sshd")
    return server.configured(transport=request.param), server.host()


@pytest.fixture(params=["asyncssh", "openssh", "local"])
def reached(request: pytest.FixtureRequest) -> Reached:
    """A host by each transport that carries dialogues."""
    return reach(request)


@pytest.fixture(params=["asyncssh", "openssh", "local", SALT])
def carried(request: pytest.FixtureRequest) -> Reached:
    """A host by each transport."""
    return reach(request)


@pytest.fixture(scope="session")
def salt_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SaltSite]:
    """A Salt master with the minions ``one`` and ``two``."""
    with run_salt(tmp_path_factory.mktemp("salt")) as site:
        yield site


@pytest.fixture
def salt(salt_site: SaltSite, monkeypatch: pytest.MonkeyPatch) -> FleetSettings:
    """The settings by which they are reached; Salt's programs are found."""
    monkeypatch.setenv("PATH", f"{salt_site.programs}:{os.environ['PATH']}")
    return FleetSettings(transport="salt", salt_config=str(salt_site.master_folder), connect_timeout=60.0)
