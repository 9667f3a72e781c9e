"""Measure job servers beside gearmand: python bench/job_servers.py [-r ROUNDS] [-k SCENARIO,...] [NAME=COMMAND ...].

Each COMMAND is a server that listens at 127.0.0.1:{port}; without any it is that of this checkout. All servers of a
scenario run at once, and the load (jobs/load.c) goes to them in turn, ROUNDS times, so that a busy machine troubles all
of them alike. Servers are kept on one core and the load on another (bg-ack: on the same one), with real-time scheduling
where that is allowed. Printed are medians, and ratios to gearmand: of the rate within each round, of the CPU time.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).parent
SCENARIOS = {
    "bg-ack": "-m bg -c 1 -w 0 -d 1",
    "bg-pipe": "-m bg -c 4 -w 8 -d 100 -q 10000",
    "bg-submit": "-m bg -c 4 -w 0 -d 100",
    "fg-serial": "-m fg -c 1 -w 1 -d 1",
    "fg-32x32": "-m fg -c 32 -w 32 -d 1",
    "fg-pipe": "-m fg -c 4 -w 8 -d 100",
    "fg-pipe-10k": "-m fg -c 4 -w 8 -d 100 -s 10240",
}
GEARMAND = "gearmand -L 127.0.0.1 -p {port} -l none --pid-file={folder}/pid --backlog=2000 -t 1"


def pin(core: int) -> Callable[[], None]:
    def begin() -> None:
        os.sched_setaffinity(0, {core})
        with suppress(PermissionError):
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(10))

    return begin


class Server:
    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self.port = port

    def cpu(self) -> float:
        """Return the processor time of all its threads so far, in seconds."""
        tasks = Path(f"/proc/{self.process.pid}/task")
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir()) / 1e9


@contextmanager
def serving(command: str) -> Iterator[Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(dir=".") as folder:
        os.chmod(folder, 0o777)  # gearmand changes its user
        words = shlex.split(command.format(port=port, folder=Path(folder).absolute()))
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        environment = {**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin"}
        process = subprocess.Popen(words, preexec_fn=pin(0), env=environment, **quiet)  # noqa: PLW1509
        try:
            for _ in range(200):
                with suppress(OSError):
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                time.sleep(0.05)
            time.sleep(0.1)
            yield Server(process, port)
        finally:
            process.kill()
            process.wait()


def load(program: str, server: Server, scenario: str, seconds: float) -> dict[str, Any]:
    words = [program, "-p", str(server.port), *SCENARIOS[scenario].split(), "-t", str(seconds)]
    before = server.cpu()
    core = 0 if scenario == "bg-ack" else 1
    done = subprocess.run(words, preexec_fn=pin(core), stdout=subprocess.PIPE, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    assert not found["errors"], found
    found["cpu_us"] = (server.cpu() - before) * 1e6 / found["jobs"]
    return found


def measure(program: str, scenario: str, servers: dict[str, str], rounds: int, seconds: float) -> None:
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in servers}
    keep = "-w 0" not in SCENARIOS[scenario]  # without workers the jobs of a round would be in the way of the next
    with ExitStack() as stack:
        running = {name: stack.enter_context(serving(command)) for name, command in servers.items()} if keep else {}
        for _ in range(rounds):
            for name, command in servers.items():
                if keep:
                    results[name].append(load(program, running[name], scenario, seconds))
                else:
                    with serving(command) as fresh:
                        results[name].append(load(program, fresh, scenario, seconds))
    first = next(iter(results.values()))
    print(f"{scenario}: {SCENARIOS[scenario]}")
    for name, found in results.items():
        rate, cpu, p99 = (statistics.median(one[key] for one in found) for key in ("rate", "cpu_us", "p99_us"))
        ratio = statistics.median(one["rate"] / other["rate"] for one, other in zip(found, first, strict=True))
        cpu_ratio, p99_ratio = (
            median / statistics.median(one[key] for one in first) for key, median in (("cpu_us", cpu), ("p99_us", p99))
        )
        print(
            f"  {name:12} {rate:9,.0f} jobs/s ({ratio:.2f})   {cpu:6.1f} us CPU a job ({cpu_ratio:.2f})"
            f"   p99 {p99:9,.0f} us ({p99_ratio:.2f})",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("servers", nargs="*", metavar="NAME=COMMAND")
    parser.add_argument("-k", default=",".join(SCENARIOS), help="scenarios: %(default)s")
    parser.add_argument("-r", type=int, default=7, help="rounds")
    parser.add_argument("-t", type=float, default=0.5, help="seconds of each load")
    options = parser.parse_args()
    if len(os.sched_getaffinity(0)) < 2:
        raise SystemExit("it needs two cores")
    if not shutil.which("gearmand", path=os.environ["PATH"] + ":/usr/sbin"):
        raise SystemExit("install gearmand first: apt install gearman-job-server")
    genii = f"{shlex.quote(sys.executable)} -m genii jobs serve -p {{port}} -q builtin"
    servers = dict(word.split("=", 1) for word in options.servers) or {"genii": genii}
    with tempfile.TemporaryDirectory() as folder:
        program = f"{folder}/load"
        subprocess.run(["cc", "-O2", "-o", program, str(HERE / "jobs" / "load.c")], check=True)
        for scenario in options.k.split(","):
            measure(program, scenario, {"gearmand": GEARMAND, **servers}, options.r, options.t)


if __name__ == "__main__":
    main()
