"""Prefork servers: requests a second, processor time of each, memory, and what restarts and deaths cost.

    python bench/prefork.py [--rounds 3] [--seconds 2.5] [--only speed,faults] [--workers 5]

Every server tells the size of a text: connect, send, answer, close, 32 connections at once from one C client. The
servers take turns, and all ratios are to the C prefork server of the same round that replaces its workers as they do
(after 100 requests, or never). cpu: user and system time of
the whole process tree (ended workers too) for each request. Needs cc; Parallel::Prefork is measured where it is there.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

HERE = Path(__file__).parent
TICKS = os.sysconf("SC_CLK_TCK")

GENII = """
import os, sys, genii
def handle(connection, peer):
    text = connection.recv(2000).decode("utf-8", "replace")
    connection.sendall(b"%d your text size: %d\\n\\n" % (os.getpid(), len(text)))
genii.prefork(handle, listen="127.0.0.1:" + sys.argv[1], workers=int(sys.argv[2]), max_requests=int(sys.argv[3]))
"""

GENII_ASYNC = """
import asyncio, os, sys, genii
async def handle(connection, peer):
    loop = asyncio.get_running_loop()
    text = (await loop.sock_recv(connection, 2000)).decode("utf-8", "replace")
    await loop.sock_sendall(connection, b"%d your text size: %d\\n\\n" % (os.getpid(), len(text)))
genii.prefork(handle, listen="127.0.0.1:" + sys.argv[1], workers=int(sys.argv[2]), max_requests=int(sys.argv[3]))
"""

BARE_PYTHON = """
import _signal, _socket, gc, os, sys
port, workers, requests = map(int, sys.argv[1:])
listener = _socket.socket()
listener.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", port))
listener.listen(1024)
_signal.signal(_signal.SIGTERM, lambda *_: os.killpg(0, _signal.SIGKILL))
def work():
    left = requests or -1
    while left:
        connection = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM, 0, listener._accept()[0])
        text = connection.recv(2000).decode("utf-8", "replace")
        connection.sendall(b"%d your text size: %d\\n\\n" % (os.getpid(), len(text)))
        connection.close()
        left -= 1
    os._exit(0)
gc.freeze()
for _ in range(workers):
    os.fork() or work()
while True:
    os.wait()
    os.fork() or work()
"""
"""The least that Python can do: no supervision, no hook, no deadline, no reload, no status, nothing imported."""

PARALLEL_PREFORK = """
use IO::Socket::INET; use Parallel::Prefork;
my ($port, $workers, $requests) = @ARGV; $requests ||= 1e9;
my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $port, Proto => 'tcp', ReuseAddr => 1,
    Listen => 1024) or die $!;
my $pm = Parallel::Prefork->new({ max_workers => $workers, trap_signals => { TERM => 'TERM', HUP => 'TERM' } });
while ($pm->signal_received ne 'TERM') {
    $pm->start && next;
    my $left = $requests; $SIG{TERM} = sub { $left = 0 };
    while ($left-- > 0) {
        my $client = $listen->accept() or last;
        $client->recv(my $text, 2000); utf8::decode($text);
        print $client "$$ your text size: " . length($text) . "\\n\\n"; close $client;
    }
    $pm->finish;
}
$pm->wait_all_children;
"""


@dataclass
class Kind:
    """One way to serve; ``command`` takes port, workers, requests of each worker."""

    name: str
    command: list[str]
    requests: int = 0


class Running:
    """A server that runs; ended with the ``with`` block."""

    def __init__(self, kind: Kind, build: Path, workers: int) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        tail = {"cprefork": ["shared", "text"]}.get(Path(kind.command[0]).name, [])
        words = [*kind.command, str(self.port), str(workers), *tail, str(kind.requests)]
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        self.process = subprocess.Popen(words, stderr=subprocess.DEVNULL, env=environment, start_new_session=True)
        self.pid, self.build = self.process.pid, build
        while True:
            try:
                self.ask()
                break
            except OSError:
                if self.process.poll() is not None:
                    raise SystemExit(f"{kind.name} ended with {self.process.returncode}") from None
                time.sleep(0.01)
        while len(self.workers()) < workers:
            time.sleep(0.01)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self.pid, signal.SIGKILL)
                self.process.wait()

    def ask(self) -> int:
        with socket.create_connection(("127.0.0.1", self.port), 5) as connection:
            connection.sendall(b"ab\n")
            return int(connection.recv(100).split()[0])

    def workers(self) -> list[int]:
        try:
            return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]
        except OSError:
            return []

    def cpu(self) -> float:
        """Return the seconds of processor time of all processes of the server that live or were waited for."""
        total = 0
        for pid in (self.pid, *self.workers()):
            try:
                total += sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]))
            except OSError:
                continue
        return total / TICKS

    def memory(self) -> float:
        """Return the proportional set size of the whole server in MiB."""
        total = 0
        time.sleep(0.2)  # until nobody is on the way out
        for pid in (self.pid, *self.workers()):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                total += int(line.split()[1]) if line.startswith("Pss:") else 0
        return total / 1024

    def load(self, seconds: float, connections: int = 32) -> subprocess.Popen[str]:
        words = [str(self.build / "load"), "-p", str(self.port), "-c", str(connections), "-d", str(seconds)]
        return subprocess.Popen([*words, "-w", "0", "-m", "text", "-b", "100", "-t", "4000"],
                                stdout=subprocess.PIPE, text=True)  # fmt: skip


def result(load: subprocess.Popen[str]) -> tuple[int, dict[str, int]]:
    """Return (requests answered, what went wrong)."""
    told = json.loads(load.communicate()[0])
    return told["ok"], told["errors"]


def speed(kind: Kind, build: Path, workers: int, seconds: float) -> tuple[float, float, float]:
    """Return requests a second, microseconds of processor time for each, MiB."""
    with Running(kind, build, workers) as server:
        before = server.cpu()
        answered, _ = result(server.load(seconds))
        spent = server.cpu() - before
        return answered / seconds, spent / max(1, answered) * 1e6, server.memory()


def disturbed(kind: Kind, build: Path, workers: int, what: str, times: int) -> str:
    """Return what went wrong under load while something was done to the server again and again."""
    with Running(kind, build, workers) as server:
        load = server.load(times * 0.2 + 1, 16)
        for _ in range(times):
            time.sleep(0.2)
            if what == "KILL":
                for victim in server.workers()[:1]:
                    os.kill(victim, signal.SIGKILL)
            else:
                os.kill(server.pid, getattr(signal, what))
        answered, errors = result(load)
        return f"{answered} answered, lost: {errors or 'none'}"


def successor(kind: Kind, build: Path) -> float:
    """Return the milliseconds from the death of the only worker to the first answer of its successor."""
    with Running(kind, build, 1) as server:
        (victim,) = server.workers()
        time.sleep(0.5)
        os.kill(victim, signal.SIGKILL)
        began = time.monotonic()
        answered = victim
        while answered == victim:
            with contextlib.suppress(OSError):  # the victim had taken it
                answered = server.ask()
        return (time.monotonic() - began) * 1000


def orphans(kind: Kind, build: Path, workers: int) -> str:
    """Say how long workers live on when the manager is killed."""
    with Running(kind, build, workers) as server:
        left = server.workers()
        os.kill(server.pid, signal.SIGKILL)
        began = time.monotonic()
        while left and time.monotonic() < began + 3:
            left = [pid for pid in left if lives(pid)]
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        return f"{len(left)} live on" if left else f"gone after {(time.monotonic() - began) * 1000:.0f} ms"


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def kinds(build: Path) -> list[Kind]:
    for name, text in (
        ("serve_sync.py", GENII),
        ("serve_async.py", GENII_ASYNC),
        ("pp.pl", PARALLEL_PREFORK),
        ("bare.py", BARE_PYTHON),
    ):
        (build / name).write_text(text)
    found = [
        Kind("C prefork", [str(build / "cprefork")]),
        Kind("genii", [sys.executable, str(build / "serve_sync.py")]),
        Kind("bare Python", [sys.executable, str(build / "bare.py")]),
        Kind("genii, async", [sys.executable, str(build / "serve_async.py")]),
    ]
    if not subprocess.run(["perl", "-MParallel::Prefork", "-e1"], capture_output=True, check=False).returncode:
        found.append(Kind("Parallel::Prefork", ["perl", str(build / "pp.pl")]))
    return [*found, *(Kind(f"{kind.name}, 100 each", kind.command, 100) for kind in found if "async" not in kind.name)]


def print_speed(found: list[Kind], build: Path, workers: int, rounds: int, seconds: float) -> None:
    rows: dict[str, list[tuple[float, float, float]]] = {kind.name: [] for kind in found}
    for _ in range(rounds):
        for kind in found:
            rows[kind.name].append(speed(kind, build, workers, seconds))
            print(kind.name, rows[kind.name][-1], file=sys.stderr)
    print("| server | requests/s | of C | cpu µs/request | of C | PSS MiB |\n|---|--:|--:|--:|--:|--:|")
    for name, measured in rows.items():
        floor = rows["C prefork, 100 each" if name.endswith("100 each") else "C prefork"]
        rate, cpu, memory = (statistics.median(row[column] for row in measured) for column in range(3))
        of_rate = statistics.median(row[0] / other[0] for row, other in zip(measured, floor, strict=True))
        of_cpu = statistics.median(row[1] / other[1] for row, other in zip(measured, floor, strict=True))
        print(f"| {name} | {rate:.0f} | {of_rate:.2f} | {cpu:.1f} | {of_cpu:.2f} | {memory:.1f} |", flush=True)


def print_faults(found: list[Kind], build: Path, workers: int) -> None:
    for kind in found:
        print(f"\n{kind.name}")
        for what, times in (("SIGHUP", 20), ("SIGUSR2", 5), ("KILL", 50)):
            if what != "SIGUSR2" or "genii" in kind.name:
                print(f"  {what} x {times}: {disturbed(kind, build, workers, what, times)}", flush=True)
        print(f"  successor of a killed worker answers after {successor(kind, build):.1f} ms")
        print(f"  manager killed: workers {orphans(kind, build, workers)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.5)
    parser.add_argument("--workers", type=int, default=5)
    parser.add_argument("--only", default="speed,faults")
    arguments = parser.parse_args()
    build = Path(tempfile.mkdtemp(prefix="genii-bench-"))
    try:
        for name in ("load", "cprefork"):
            source = HERE / "prefork" / f"{name}.c"
            subprocess.run(["cc", "-O2", "-o", str(build / name), str(source)], check=True)
        found = kinds(build)
        if "speed" in arguments.only:
            print_speed(found, build, arguments.workers, arguments.rounds, arguments.seconds)
        if "faults" in arguments.only:
            wanted = [kind for kind in found if kind.name in ("genii", "genii, 100 each", "Parallel::Prefork")]
            print_faults(wanted, build, arguments.workers)
    finally:
        shutil.rmtree(build)


if __name__ == "__main__":
    main()
