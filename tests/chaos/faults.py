"""The faults of the campaign: each leaves a supervisor running, and the world as it was."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import time
from typing import TYPE_CHECKING, NamedTuple

from tests.real.harness import PATIENCE, is_alive, kill, open_files
from tests.waiting import wait_gone

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from tests.chaos.disk import SmallDisk
    from tests.real.harness import Site

__all__ = ["Chaos", "Disks", "command_of"]


class Disks(NamedTuple):
    """The file systems of a site."""

    state: SmallDisk
    logs: SmallDisk
    journal: SmallDisk


def send(pid: int, number: int) -> None:
    """Send a signal, if there is a process (0: there is none just now)."""
    with contextlib.suppress(ProcessLookupError):
        if pid:
            os.kill(pid, number)


def command_of(pid: int) -> bytes:
    """Return the command line of a process; empty: it is gone."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()
    except OSError:
        return b""


class Chaos:
    """Faults of one site, chosen by ``chance``; those of the disks need ``disks`` (which only root can make)."""

    def __init__(self, site: Site, chance: random.Random, disks: Disks | None) -> None:
        self.site = site
        self.chance = chance
        self.disks = disks

    def faults(self) -> dict[str, list[Callable[[], None]]]:
        """Return what can be done here, by kind."""
        found: dict[str, list[Callable[[], None]]] = {
            "deaths": [
                self.kill_supervisor, self.kill_keeper, self.kill_both, self.kill_launcher,
                self.kill_launcher_while_starting, self.kill_programs, self.kill_programs_of_nobody,
                self.kill_job_server, self.kill_workers, self.end_group, self.pause_keeper, self.pause_supervisor,
                self.pause_job_server, self.pause_programs,
            ],
            "moments": [
                self.kill_while_restarting, self.kill_while_starting, self.upgrade, self.kill_while_upgrading,
                self.kill_programs_while_upgrading, self.spoil_record, self.spoil_pid_file, self.remove_state,
            ],
            "shortages": [self.run_out_of_descriptors, self.run_out_of_memory],
        }  # fmt: skip
        if shutil.which("strace"):
            found["shortages"].append(self.slow_disk)
        if self.disks:
            found["shortages"] += [
                self.full_state, self.full_state_and_kill, self.full_logs, self.full_journal, self.read_only_state,
                self.read_only_logs,
            ]  # fmt: skip
        return found

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

    def kill_some(self) -> None:
        """Kill programs and wait until they have been started again."""
        pids = self.some()
        for pid in pids:
            send(pid, signal.SIGKILL)
        self.await_restart(pids)

    def kill_some_unseen(self) -> None:
        """Kill programs and wait until they are dead, whatever comes of it."""
        self.kill_unseen(self.some())

    def kill_unseen(self, pids: list[int]) -> None:
        for pid in filter(None, pids):  # 0: there is none just now
            send(pid, signal.SIGKILL)
            wait_gone(pid)

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

    def kill_launcher_while_starting(self) -> None:
        """Kill the launcher at about the time when it starts programs."""
        pids = [status["pid"] for status in self.site.client.statuses(["limited"]) if status["pid"]]
        for pid in pids:
            send(pid, signal.SIGKILL)
        time.sleep(self.chance.random() / 20)
        self.kill_launcher()
        self.await_restart(pids)

    def kill_programs(self) -> None:
        self.kill_some_unseen()

    def kill_job_server(self) -> None:
        self.kill_unseen([self.site.status("jobs")["pid"]])

    def kill_workers(self) -> None:
        self.kill_unseen([status["pid"] for status in self.site.client.statuses(["work"])])

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
        self.kill_unseen([self.site.status("family")["pid"]])

    # ------------------------------------------------------------------ pauses

    def pause_keeper(self) -> None:
        keeper = self.site.keeper_pid()
        send(keeper, signal.SIGSTOP)
        self.kill_some_unseen()
        send(keeper, signal.SIGCONT)

    def pause_supervisor(self) -> None:
        supervisor, pids = self.site.supervisor_pid(), self.some()
        send(supervisor, signal.SIGSTOP)
        self.kill_unseen(pids)
        send(supervisor, signal.SIGCONT)

    def pause_job_server(self) -> None:
        server = self.site.status("jobs")["pid"]
        send(server, signal.SIGSTOP)
        self.kill_some()
        self.pause_a_moment()
        send(server, signal.SIGCONT)

    def pause_programs(self) -> None:
        """Stop programs for a moment; some of them are to be restarted meanwhile."""
        pids = self.some()
        for pid in pids:
            send(pid, signal.SIGSTOP)
        self.site.act("restart", "count", "work")
        for pid in pids:
            send(pid, signal.SIGCONT)

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
        assert self.disks
        with self.disks.state.full():
            self.kill_some()

    def full_state_and_kill(self) -> None:
        """Restart programs while the state can't be written, then kill the supervisor: still no second copy."""
        assert self.disks
        with self.disks.state.full():
            self.kill_some()
            self.site.kill_supervisor()
        self.up_again()

    def full_logs(self) -> None:
        assert self.disks
        with self.disks.logs.full():
            self.kill_some()

    def full_journal(self) -> None:
        """Kill the job server while its journal can't be written."""
        assert self.disks
        with self.disks.journal.full():
            self.kill_job_server()
            self.pause_a_moment()

    def read_only_state(self) -> None:
        """Nobody can start while the state is read-only, and nothing happens to the programs."""
        assert self.disks
        before = set(self.pids())
        self.site.kill_supervisor()
        with self.disks.state.read_only() as done:
            if done:
                assert self.site.genii("up", "-d").status != 0
                assert all(map(is_alive, before))
        self.up_again()

    def read_only_logs(self) -> None:
        assert self.disks
        kill(self.site.keeper_pid())  # it has them open for writing
        with self.disks.logs.read_only():
            self.kill_some()

    def run_out_of_descriptors(self) -> None:
        supervisor, pids = self.site.supervisor_pid(), self.some()
        before = resource.prlimit(supervisor, resource.RLIMIT_NOFILE)
        resource.prlimit(supervisor, resource.RLIMIT_NOFILE, (len(open_files(supervisor)), before[1]))
        try:
            self.kill_unseen(pids)
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
            self.kill_unseen(pids)
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
            self.kill_some()
        finally:
            tracer.terminate()
            tracer.wait()

    def spoil_pid_file(self) -> None:
        """Leave a pid file that is empty, cut off, full of zeros, or names somebody else."""
        self.site.kill_supervisor()
        (self.site.state_dir / "genii.pid").write_bytes(
            self.chance.choice((b"", b"1", b"-5\n", b"%d" % os.getpid(), bytes(40)))
        )
        self.up_again()

    def remove_state(self) -> None:
        """Remove what is in the state directory, and kill the supervisor while programs restart."""
        supervisor = self.site.supervisor_pid()
        self.site.act("restart", "count", wait=False)
        for name in ("record", "genii.pid", "genii.sock", "keeper.sock", "notify.sock"):
            (self.site.state_dir / name).unlink(missing_ok=True)
        time.sleep(self.chance.random() / 20)
        kill(supervisor)
        self.up_again()

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
