"""A copy of this machine in which root may change what it likes: namespaces over an overlay that lies in memory.

It can have a real systemd as its first process. What it changes is gone with it; its network is this machine's.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest
from tests.fleet.conftest import start_sshd

from genii.fleet.remote import Settings
from genii.fleet.verbs import AsyncRemote
from genii.fleet.ways import open_transport

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from tests.fleet.conftest import Sshd

__all__ = ["Guest", "open_guest"]

T = TypeVar("T")

# Its cgroups are below one of its own, so that systemd leaves the machine's alone.
BEGIN = """
for tree in /sys/fs/cgroup/systemd /sys/fs/cgroup; do
  [ -e $tree/cgroup.procs ] || continue
  mkdir $tree/$NAME && echo $$ >$tree/$NAME/cgroup.procs && break
done
exec unshare -m -p -u -i -C --fork --kill-child -- sh -c "$INNER"
"""
INNER = """
set -e
mount --make-rprivate /
mount -t tmpfs -o size=1g guest $BASE
cd $BASE
mkdir up work root
mount -t overlay overlay -o lowerdir=/,upperdir=up,workdir=work root
mount -t proc proc root/proc
mount --rbind /dev root/dev
mount -t tmpfs -o mode=755 run root/run
mount -t sysfs sysfs root/sys || mount --bind /sys root/sys
mkdir -p root$SHARED
mount --bind $SHARED root$SHARED
rm -rf root/etc/systemd/system
mkdir -p root/etc/systemd/system root/etc/systemd/system.conf.d
printf '[Manager]\nDefaultMemoryAccounting=no\nDefaultTasksAccounting=no\n' >root/etc/systemd/system.conf.d/test.conf
printf '[Unit]\nDescription=Only what tests start\nDefaultDependencies=no\n' >root/etc/systemd/system/idle.target
if [ "$INIT" = systemd ]; then
  mount -t tmpfs -o mode=755 cgroup root/sys/fs/cgroup
  mkdir root/sys/fs/cgroup/systemd
  mount -t cgroup -o none,name=systemd cgroup root/sys/fs/cgroup/systemd || mount -t cgroup2 cgroup root/sys/fs/cgroup
  set -- /lib/systemd/systemd --system --unit=idle.target --log-target=console --show-status=no
else
  set -- sh -c 'while :; do sleep 1000; done'
fi
cd root
touch $SHARED/ready
exec env -i container=test PATH=$PATH unshare -R . -- "$@"
"""


class Guest:
    """A running copy."""

    def __init__(self, pid: int) -> None:
        self.first = pid
        """The pid of its first process, as seen from here."""
        self.within = ["nsenter", "-t", str(pid), "-m", "-p", "-u", "-i", "-r", "-w", "--"]
        """Before the words of a command that runs there."""
        self.server: Sshd

    def run(self, *words: str, given: str | None = None) -> str:
        """Run a command in it and return what it prints.

        Raises:
            OSError: it failed.
        """
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        ended = subprocess.run(
            [*self.within, *words], env=environment, input=given, capture_output=True, text=True, timeout=400
        )
        if ended.returncode:
            raise OSError(f"{words}: {ended.stdout[-1000:]}{ended.stderr[-1000:]}")
        return ended.stdout

    def reach(self, work: Callable[[AsyncRemote], Awaitable[T]], *, dry_run: bool = False) -> T:
        """Do something with it as a task does, over SSH."""

        async def main() -> T:
            transport = open_transport(self.server.settings)
            try:
                connection = await transport.connect(self.server.host())
                try:
                    return await work(AsyncRemote(connection, Settings(dry_run=dry_run)))
                finally:
                    await connection.close()
            finally:
                await transport.close()

        return asyncio.run(main())

    def write(self, path: str, text: str, *, mode: str = "644") -> None:
        """Write a file in it."""
        self.run("sh", "-c", 'mkdir -p "${1%/*}" && cat >"$1" && chmod $2 "$1"', "sh", path, mode, given=text)

    def install(self, *packages: str) -> None:
        """Install Debian packages in it, or skip."""
        words = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages]
        try:
            try:
                self.run(*words)
            except OSError:
                self.run(
                    "dpkg", "--configure", "-a"
                )  # this machine may have been installing something when it was copied
                self.run("apt-get", "update", "-q")
                self.run(*words)
        except OSError as error:
            pytest.skip(f"{' '.join(packages)} can't be installed from Debian: {error}")


def first_process(unshare: subprocess.Popen[bytes], ready: Path) -> int:
    """Return the pid of the guest's first process once its file systems are there; 0: it has ended."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and unshare.poll() is None:
        children = Path(f"/proc/{unshare.pid}/task/{unshare.pid}/children").read_text().split()
        if children and ready.exists() and os.readlink(f"/proc/{children[0]}/root") != "/":
            return int(children[0])
        time.sleep(0.05)
    return 0


def has_booted(guest: Guest) -> bool:
    """Wait until its systemd answers."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        words = [*guest.within, "systemctl", "is-system-running"]
        asked = subprocess.run(words, capture_output=True, text=True, timeout=60)
        if asked.stdout.strip() in ("running", "degraded"):
            return True
        time.sleep(0.1)
    return False


@contextmanager
def open_guest(sshd_program: str, init: str = "") -> Iterator[Guest]:
    """Make a guest with an sshd in it; skip where this machine does not let us."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a copy of this machine")
    shared = Path(tempfile.mkdtemp(prefix="genii-guest-"))
    base = shared / "base"
    base.mkdir()
    log = shared / "log"
    environment = {
        "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin", "NAME": shared.name, "INNER": INNER, "INIT": init,
        "BASE": str(base), "SHARED": str(shared),
    }  # fmt: skip
    with log.open("wb") as file:
        process = subprocess.Popen(
            ["sh", "-c", BEGIN], env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file
        )
    server: subprocess.Popen[bytes] | None = None
    try:
        pid = first_process(process, shared / "ready")
        if not pid:
            pytest.skip(f"this machine does not let us make a copy of itself: {log.read_text()[-500:]}")
        guest = Guest(pid)
        (shared / "sshd").mkdir()
        guest.run("mkdir", "-p", "/run/sshd")
        if init and not has_booted(guest):
            pytest.skip(f"systemd does not come up in a copy of this machine: {log.read_text()[-500:]}")
        guest.server, server = start_sshd(sshd_program, shared / "sshd", "", within=guest.within)
        yield guest
    finally:
        if server is not None:
            server.kill()
            server.wait()
        process.kill()  # and with it all that runs in there (unshare --kill-child)
        process.wait()
        for folder in (f"/sys/fs/cgroup/systemd/{shared.name}", f"/sys/fs/cgroup/{shared.name}"):
            for path, _, _ in os.walk(folder, topdown=False):
                remove_cgroup(path)
        shutil.rmtree(shared, ignore_errors=True)


def remove_cgroup(path: str) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.rmdir(path)
        except OSError:  # its processes are being killed still
            time.sleep(0.05)
        else:
            return
