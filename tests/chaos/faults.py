"""The faults of the campaign: each leaves a supervisor running, and the world as it was."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import time
from typing import TYPE_CHECKING

from tests.real.harness import PATIENCE, await_end, is_alive, kill, open_files

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.real.harness import Site

__all__ = ["Chaos", "command_of"]

_SIZE = 2 << 20
"""Bytes of the small file systems."""


def send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def command_of(pid: int) -> bytes:
    """Return the command line of a process; empty: it is gone."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()
    except OSError:
        return b""


class SmallDisk:
    """A file system in memory of its own, that can be filled or made read-only."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_SIZE},mode=755", "none", path], check=True)

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        """Leave not a byte free."""
        ballast = self.path / "ballast"
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            for size in (65536, 512, 1):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(bytes(size))
        try:
            yield
        finally:
            ballast.unlink()

    @contextlib.contextmanager
    def read_only(self) -> Iterator[bool]:
        """Allow no more writing; yields False where files that are open for writing do not let us."""
        done = subprocess.run(["mount", "-o", "remount,ro", self.path], capture_output=True).returncode == 0
        try:
            yield done
        finally:
            subprocess.run(["mount", "-o", f"remount,rw,size={_SIZE}", self.path], check=True)

    def close(self) -> None:
        """Take it away."""
        subprocess.run(["umount", "-l", self.path], check=True)


class Chaos:
    """Faults of one site, chosen by ``chance``; those of the disks need ``state`` and ``logs`` (only root can)."""

    def __init__(self, site: Site, chance: random.Random, state: SmallDisk | None, logs: SmallDisk | None) -> None:
        self.site = site
        self.chance = chance
        self.state = state
        self.logs = logs
        self.faults: list[Callable[[], None]] = [
            self.kill_supervisor, self.kill_keeper, self.kill_both, self.kill_launcher, self.kill_programs,
            self.pause_keeper, self.pause_supervisor, self.kill_while_restarting, self.kill_programs_of_nobody,
            self.upgrade, self.kill_while_upgrading, self.kill_programs_while_upgrading, self.kill_while_starting,
            self.spoil_record, self.run_out_of_descriptors, self.run_out_of_memory, self.end_group,
        ]  # fmt: skip
        if shutil.which("strace"):
            self.faults.append(self.slow_disk)
        if state and logs:
            self.faults += [
                self.full_state, self.full_state_and_kill, self.full_logs, self.read_only_state, self.read_only_logs
            ]  # fmt: skip

    # ------------------------------------------------------------------ what there is

    def pids(self) -> list[int]:
        return [status["pid"] for status in self.site.client.statuses() if status["pid"]]

    def some(self) -> list[int]:
        pids = self.pids()
        return self.chance.sample(pids, self.chance.randint(1, len(pids))) if pids else []

    def await_restart(self, pids: list[int]) -> None:
        """Wait until programs that were killed have been started again."""
        end = time.monotonic() + PATIENCE
        while set(pids) & set(self.pids()):
            assert time.monotonic() < end, self.site.own_log()

    def pause_a_moment(self) -> None:
        """Let a random part of half a second pass: where in what goes on the next fault falls is the point."""
        time.sleep(self.chance.random() / 2)

    def up_again(self) -> None:
        """Start a supervisor, unless one runs."""
        self.site.up()

    # ------------------------------------------------------------------ deaths

    def kill_supervisor(self) -> None:
        self.site.kill_supervisor()
        self.up_again()

    def kill_keeper(self) -> None:
        kill(self.site.keeper_pid())

    def kill_both(self) -> None:
        keeper = self.site.keeper_pid()
        self.site.kill_supervisor()
        kill(keeper)
        self.up_again()

    def kill_launcher(self) -> None:
        supervisor = self.site.supervisor_pid()
        with open(f"/proc/{supervisor}/task/{supervisor}/children") as file:
            children = {int(pid) for pid in file.read().split()}
        for pid in children - {self.site.keeper_pid(), *self.pids()}:
            if b"launcher.py" in command_of(pid):
                kill(pid)

    def kill_programs(self) -> None:
        for pid in self.some():
            send(pid, signal.SIGKILL)

    def kill_programs_of_nobody(self) -> None:
        pids = self.some()
        self.site.kill_supervisor()
        for pid in pids:
            kill(pid)
        self.up_again()

    def kill_while_restarting(self) -> None:
        self.site.act("restart", "all", wait=False)
        self.site.kill_supervisor()
        self.up_again()

    def kill_while_starting(self) -> None:
        """Kill a supervisor that is just adopting."""
        supervisor = self.site.kill_supervisor()
        starting = subprocess.Popen(
            self.site.command("up", "-d"), cwd=self.site.path, env=self.site.environment, stderr=subprocess.DEVNULL
        )
        self.pause_a_moment()
        with contextlib.suppress(OSError, ValueError):
            pid = int((self.site.state_dir / "genii.pid").read_text())
            if pid != supervisor and b"bootstrap.py" in command_of(pid):
                kill(pid)
        starting.wait(PATIENCE)
        self.up_again()

    def end_group(self) -> None:
        """Kill the main process of a group whose other members go on and ignore TERM."""
        pid = self.site.status("family")["pid"]
        if pid:
            send(pid, signal.SIGKILL)

    # ------------------------------------------------------------------ pauses

    def pause_keeper(self) -> None:
        keeper = self.site.keeper_pid()
        send(keeper, signal.SIGSTOP)
        for pid in self.some():
            send(pid, signal.SIGKILL)
            await_end(pid)
        send(keeper, signal.SIGCONT)

    def pause_supervisor(self) -> None:
        supervisor, pids = self.site.supervisor_pid(), self.some()
        send(supervisor, signal.SIGSTOP)
        for pid in pids:
            send(pid, signal.SIGKILL)
            await_end(pid)
        send(supervisor, signal.SIGCONT)

    # ------------------------------------------------------------------ upgrades

    def upgrade(self) -> None:
        outcome = self.site.genii("upgrade")
        assert outcome.status == 0, (outcome, self.site.own_log())

    def kill_while_upgrading(self) -> None:
        supervisor = self.site.supervisor_pid()
        send(supervisor, signal.SIGUSR2)
        self.pause_a_moment()
        kill(supervisor)
        self.up_again()

    def kill_programs_while_upgrading(self) -> None:
        before, pids = self.site.client.supervisor()["upgrades"], self.some()
        send(self.site.supervisor_pid(), signal.SIGUSR2)
        self.pause_a_moment()
        for pid in pids:
            send(pid, signal.SIGKILL)
        end = time.monotonic() + PATIENCE
        while self.site.client.supervisor()["upgrades"] == before:
            assert time.monotonic() < end, self.site.own_log()

    # ------------------------------------------------------------------ what runs short

    def full_state(self) -> None:
        assert self.state
        with self.state.full():
            pids = self.some()
            for pid in pids:
                send(pid, signal.SIGKILL)
            self.await_restart(pids)

    def full_state_and_kill(self) -> None:
        """Restart programs while the state can't be written, then kill the supervisor: still no second copy."""
        assert self.state
        with self.state.full():
            pids = self.some()
            for pid in pids:
                send(pid, signal.SIGKILL)
            self.await_restart(pids)
            self.site.kill_supervisor()
        self.up_again()

    def full_logs(self) -> None:
        assert self.logs
        with self.logs.full():
            pids = self.some()
            for pid in pids:
                send(pid, signal.SIGKILL)
            self.await_restart(pids)

    def read_only_state(self) -> None:
        """Nobody can start while the state is read-only, and nothing happens to the programs."""
        assert self.state
        before = set(self.pids())
        self.site.kill_supervisor()
        with self.state.read_only() as done:
            if done:
                assert self.site.genii("up", "-d").status != 0
                assert all(map(is_alive, before))
        self.up_again()

    def read_only_logs(self) -> None:
        assert self.logs
        kill(self.site.keeper_pid())  # it has them open for writing
        with self.logs.read_only():
            pids = self.some()
            for pid in pids:
                send(pid, signal.SIGKILL)
            self.await_restart(pids)

    def run_out_of_descriptors(self) -> None:
        supervisor, pids = self.site.supervisor_pid(), self.some()
        before = resource.prlimit(supervisor, resource.RLIMIT_NOFILE)
        resource.prlimit(supervisor, resource.RLIMIT_NOFILE, (len(open_files(supervisor)), before[1]))
        try:
            for pid in pids:
                send(pid, signal.SIGKILL)
                await_end(pid)
            self.pause_a_moment()
        finally:
            resource.prlimit(supervisor, resource.RLIMIT_NOFILE, before)

    def run_out_of_memory(self) -> None:
        """Let the supervisor get no more memory for a while."""
        supervisor, pids = self.site.supervisor_pid(), self.some()
        with open(f"/proc/{supervisor}/statm") as file:
            size = int(file.read().split()[0]) * resource.getpagesize()
        resource.prlimit(supervisor, resource.RLIMIT_AS, (size, resource.RLIM_INFINITY))
        try:
            for pid in pids:
                send(pid, signal.SIGKILL)
                await_end(pid)
            self.pause_a_moment()
        finally:
            resource.prlimit(supervisor, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    def slow_disk(self) -> None:
        """Make each write, rename and sync of supervisor and keeper last 5 ms longer (strace's fault injection)."""
        calls = "write,pwrite64,rename,fsync,fdatasync,fallocate"
        tracer = subprocess.Popen(
            ["strace", "-f", "-q", "-o", os.devnull, "-e", f"trace={calls}", "-e", f"inject={calls}:delay_enter=5000",
             "-p", str(self.site.supervisor_pid()), "-p", str(self.site.keeper_pid())],
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            pids = self.some()
            for pid in pids:
                send(pid, signal.SIGKILL)
            self.await_restart(pids)
        finally:
            tracer.terminate()
            tracer.wait()

    def spoil_record(self) -> None:
        """Cut the record off somewhere, or overwrite some of it, before somebody reads it.

        Not between two lines: what ends with a whole line can't be told from a record that is complete.
        """
        self.site.kill_supervisor()
        record = self.site.state_dir / "record"
        data = bytearray(record.read_bytes().rstrip(b"\0"))
        at = self.chance.choice([at for at in range(1, len(data)) if data[at] != 10 and data[at - 1] != 10])
        if self.chance.random() < 0.5:
            del data[at:]
        else:
            data[at : at + 20] = self.chance.randbytes(20)
        record.write_bytes(data)
        self.up_again()
