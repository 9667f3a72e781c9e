"""Tasks of an ordinary user who becomes root with a password: packages, users, files, over real SSH and sudo."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import subprocess
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from tests.debian import install_packages
from tests.fleet.command_line import genii

from genii.errors import CommandFailed
from genii.fleet.engine import Fleet
from genii.fleet.remote import RemoteFailed, Settings
from genii.fleet.secret import Secret
from genii.fleet.transport import Host
from genii.fleet.verbs import AsyncRemote
from genii.fleet.ways import open_transport

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from tests.fleet.conftest import Sshd
    from tests.keyrings import Keyring

T = TypeVar("T")

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a user for this"),
    pytest.mark.xdist_group("users"),  # useradd(8) locks /etc/passwd and does not wait long
]


@dataclass
class Admin:
    """A user of this machine who may use sudo with a password."""

    name: str
    password: str
    server: Sshd

    def run(self, work: Callable[[AsyncRemote], Awaitable[T]], *, password: str | None = None, **settings: Any) -> T:
        given = Secret(self.password if password is None else password)

        async def run() -> T:
            host = Host(self.server.host().name, user=self.name)
            async with Fleet(open_transport(self.server.settings)) as fleet:
                each = fleet.each([host], lambda found: work(AsyncRemote(found, Settings(password=given, **settings))))
                (outcome,) = [one async for one in each]
                return outcome.result()

        return asyncio.run(run())


@pytest.fixture(scope="module")
def admin(start_server: Callable[..., Sshd]) -> Iterator[Admin]:
    if shutil.which("sudo") is None:
        install_packages("sudo")
    if shutil.which("sudo") is None:
        pytest.skip("sudo is not here")
    name, password = f"genii-{uuid.uuid4().hex[:8]}", f"pass word {uuid.uuid4().hex[:8]}"
    subprocess.run(["useradd", "-m", "-s", "/bin/bash", name], check=True, timeout=60)
    rule = f"/etc/sudoers.d/{name}"
    try:
        subprocess.run(["chpasswd"], input=f"{name}:{password}\n", text=True, check=True, timeout=60)
        with open(rule, "w", opener=lambda path, flags: os.open(path, flags, 0o440)) as file:
            file.write(f"Defaults:{name} passwd_tries=3\n{name} ALL=(ALL) ALL\n")
        keys = f"{pwd.getpwnam(name).pw_dir}/keys"
        server = start_server(f"Match User {name}\n    AuthorizedKeysFile {keys}")
        shutil.copy(server.folder / "authorized_keys", keys)
        yield Admin(name, password, server)
    finally:
        os.unlink(rule)
        subprocess.run(["userdel", "-r", name], capture_output=True, timeout=60)


def test_sudo_gets_the_password_and_the_command_its_input(admin: Admin) -> None:
    result = admin.run(lambda host: host.sudo("id -un; cat; echo $HOME", input="the input\n"))
    assert result.stdout == "root\nthe input\n/root\n"
    assert result.stderr == ""


def test_sudo_that_asks_for_nothing_gets_no_password(admin: Admin) -> None:
    """Once it was asked, sudo does not ask for a while; the password must not become input then."""

    async def work(host: AsyncRemote) -> list[str]:
        return [(await host.sudo("cat", input="x")).stdout for _ in range(3)]

    assert admin.run(work) == ["x", "x", "x"]


def test_another_user_than_root(admin: Admin) -> None:
    assert admin.run(lambda host: host.sudo("id -un", user="nobody")).stdout == "nobody\n"


def test_everything_can_be_done_as_root(admin: Admin) -> None:
    assert admin.run(lambda host: host.run("id -un"), sudo=True).stdout == "root\n"


def test_a_wrong_password_is_told_without_it(admin: Admin) -> None:
    with pytest.raises(CommandFailed, match="sudo does not accept the password") as caught:
        admin.run(lambda host: host.sudo("id"), password="wr0ng")
    assert "wr0ng" not in str(caught.value)


def test_a_password_that_is_not_given_is_missed(admin: Admin) -> None:
    with pytest.raises(CommandFailed, match="sudo asks for a password"):
        admin.run(lambda host: host.sudo("id"), password="")


def test_the_password_comes_from_the_keyring(admin: Admin, keyring: Keyring, tmp_path: Path) -> None:
    (tmp_path / "genii.toml").write_text(f'[fleet]\nssh_config = "{admin.server.folder}/ssh_config"\n')
    where = f"{admin.name}@{admin.server.host().name}"
    keyring.set("fleet", admin.password)
    ended = genii(tmp_path, "run", "--on", where, "--sudo-password", "keyring:fleet", "--", "sudo -k; id -un")
    assert (ended.status, ended.out) == (0, "root\n"), ended.err
    keyring.set("fleet", "wr0ng")
    ended = genii(tmp_path, "run", "--on", where, "--sudo-password", "keyring:fleet", "--json", "--", "id -un")
    assert ended.rows[0]["error"].endswith("sudo does not accept the password")
    assert "wr0ng" not in ended.out + ended.err


def test_who_may_not_use_sudo_is_told(admin: Admin) -> None:
    rule = f"/etc/sudoers.d/{admin.name}"
    os.rename(rule, f"{rule}~")  # names with a tilde are not read: sudoers(5)
    try:
        with pytest.raises(RemoteFailed, match="is not in the sudoers file"):
            admin.run(lambda host: host.sudo("id"))
    finally:
        os.rename(f"{rule}~", rule)


def test_the_password_is_in_no_process_list(admin: Admin) -> None:
    listed = admin.run(lambda host: host.sudo("cat /proc/[0-9]*/cmdline | tr '\\0' ' '; env", may_fail=True)).stdout
    assert "cat /proc/" in listed
    assert admin.password not in listed


def test_users_and_groups_come_and_go(admin: Admin) -> None:
    name = f"genii-{uuid.uuid4().hex[:8]}"

    async def work(host: AsyncRemote) -> list[bool]:
        keys = ["ssh-ed25519 AAAA one", "ssh-ed25519 BBBB two"]
        user: dict[str, Any] = {"shell": "/bin/sh", "comment": "A test", "groups": [name + "x"], "keys": keys}
        changed = [
            await host.group(name + "x", system=True),
            await host.group(name + "x"),
            await host.user(name, **user),
            await host.user(name, **user),
            await host.user(name, shell="/bin/bash", password="$6$salt$" + "x" * 86),
            await host.user(name, shell="/bin/bash", password="$6$salt$" + "x" * 86),
        ]
        return [one.changed for one in changed]

    async def gone(host: AsyncRemote) -> list[bool]:
        found = [
            await host.user(name, state="absent", remove_home=True),
            await host.user(name, state="absent", remove_home=True),
            await host.group(name + "x", state="absent"),
            await host.group(name + "x", state="absent"),
        ]
        return [one.changed for one in found]

    try:
        assert admin.run(work) == [True, False, True, False, True, False]
        entry = pwd.getpwnam(name)
        assert (entry.pw_gecos, entry.pw_shell) == ("A test", "/bin/bash")
        home = entry.pw_dir
        with open(f"{home}/.ssh/authorized_keys") as file:
            assert file.read() == "ssh-ed25519 AAAA one\nssh-ed25519 BBBB two\n"
        found = os.stat(f"{home}/.ssh/authorized_keys")
        assert (found.st_mode & 0o7777, found.st_uid) == (0o600, entry.pw_uid)
    finally:
        assert admin.run(gone) == [True, False, True, False]
    with pytest.raises(KeyError):
        pwd.getpwnam(name)
    assert not os.path.exists(home)


def test_a_file_of_root_is_written_and_read(admin: Admin, tmp_path: Path) -> None:
    path = f"{tmp_path}/secret"  # in a folder that only root can enter

    async def work(host: AsyncRemote) -> tuple[bool, bool, bytes]:
        first = await host.file(path, content="x\n", mode=0o600, sudo=True)
        again = await host.file(path, content="x\n", mode=0o600, sudo=True)
        return first.changed, again.changed, await host.read(path, sudo=True)

    assert admin.run(work) == (True, False, b"x\n")
    with pytest.raises(RemoteFailed, match="Permission denied"):
        admin.run(lambda host: host.read(path))


@pytest.mark.slow
@pytest.mark.compat
@pytest.mark.skipif(shutil.which("apt-get") is None, reason="this is no Debian")
@pytest.mark.timeout(600)
def test_a_package_is_installed_and_removed(admin: Admin) -> None:
    async def work(host: AsyncRemote) -> list[bool]:
        found = [
            await host.package("cowsay", state="absent", purge=True),
            await host.package("cowsay", options="--no-install-recommends"),
            await host.package("cowsay"),
            await host.package("cowsay", state="latest"),
        ]
        said = await host.run("/usr/games/cowsay moo")
        assert "< moo >" in said.stdout
        found += [
            await host.package("cowsay", state="absent", purge=True),
            await host.package("cowsay", state="absent"),
        ]
        assert "- cowsay 3" in found[-2].difference
        return [one.changed for one in found[1:]]

    assert admin.run(work) == [True, False, False, True, False]
    with pytest.raises(RemoteFailed, match="Unable to locate package genii-no-such-package"):
        admin.run(lambda host: host.package("genii-no-such-package"))
