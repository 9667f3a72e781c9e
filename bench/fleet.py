"""What a run on many hosts costs: the next command over open connections, one dead host among many, start-up.

    python bench/fleet/lab.py up --hosts 1000 --port 2922     # once, as root: hosts 127.1.*, in $FLEET_LAB
    python bench/fleet.py [next] [dead] [start] [-n 200]

Beside the times there is a loop of bare asyncssh, in the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

LAB = Path(os.environ.get("FLEET_LAB", "/tmp/ssh-bench"))
LIMIT = 50
GENII = [sys.executable, "-m", "genii"]


def hosts(count: int) -> list[str]:
    return [f"127.1.{number // 250}.{number % 250 + 1}" for number in range(count)]


def configure(folder: Path, count: int, more: str = "") -> None:
    text = (
        f'[fleet]\nssh_config = "{LAB}/ssh_config"\nlimit = {LIMIT}\n[groups]\nall-of-it = {json.dumps(hosts(count))}\n'
    )
    (folder / "genii.toml").write_text(text + more)


def cpu_of(pid: int) -> float:
    words = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def tell(what: str, rows: list[tuple[float, float]], count: int) -> None:
    first, second, rest = rows[0], rows[1], sorted(rows[1:])
    wall, cpu = rest[len(rest) // 2]
    print(
        f"{what}: first {first[0]:.2f} s ({first[1] / count * 1000:.1f} ms CPU a host), second {second[0]:.2f} s, "
        f"{first[0] / second[0]:.1f} times faster; median of the next {len(rest)}: {wall:.2f} s "
        f"({cpu / count * 1000:.2f} ms), {first[0] / wall:.1f} times faster"
    )


def next_command(count: int, folder: Path, rounds: int = 6) -> None:
    """Run one command several times over the same connections."""
    configure(folder, count)
    words = [*GENII, "run", "--on", "all-of-it", "-q"]
    with subprocess.Popen(words, cwd=folder, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        time.sleep(1)  # its start is another figure
        rows = []
        for _ in range(rounds):
            begin, cpu = time.monotonic(), cpu_of(process.pid)
            process.stdin.write("true\n")
            process.stdin.flush()
            while f"{count} of {count} hosts ok" not in (line := process.stderr.readline()):
                assert line, "it has ended"
            rows.append((time.monotonic() - begin, cpu_of(process.pid) - cpu))
        peak = Path(f"/proc/{process.pid}/status").read_text().split("VmHWM:")[1].split()[0]
        process.stdin.close()
    tell("genii", rows, count)
    print(f"genii: peak of memory {int(peak) / 1024:.0f} MB")
    tell("bare asyncssh", asyncio.run(bare(count, rounds)), count)


async def bare(count: int, rounds: int) -> list[tuple[float, float]]:
    import asyncssh

    lab = json.loads((LAB / "lab.json").read_text())
    known, key = asyncssh.read_known_hosts(lab["known_hosts"]), asyncssh.read_private_key(lab["key"])
    room, found, rows = asyncio.Semaphore(LIMIT), {}, []

    async def one(name: str) -> None:
        async with room:
            if name not in found:
                found[name] = await asyncssh.connect(
                    name, port=lab["port"], username=lab["user"], known_hosts=known, client_keys=[key],
                    agent_path=None, config=None, login_timeout=120,
                )  # fmt: skip
            await found[name].run("true")

    for _ in range(rounds):
        begin, cpu = time.monotonic(), time.process_time()
        await asyncio.gather(*map(one, hosts(count)))
        rows.append((time.monotonic() - begin, time.process_time() - cpu))
    return rows


@contextmanager
def dead_hosts() -> Iterator[dict[str, int]]:
    """Make hosts that never say a word, and give their ports: one lets the kernel accept, one has it drop all."""
    with ExitStack() as open_ones:
        ports = {}
        for name, backlog in (("silent", 50), ("blackhole", 0)):
            listener = open_ones.enter_context(socket.create_server(("127.0.0.1", 0), backlog=backlog))
            ports[name] = listener.getsockname()[1]
        for _ in range(3):  # the queue is full then
            link = open_ones.enter_context(socket.socket())
            link.setblocking(False)
            link.connect_ex(("127.0.0.1", ports["blackhole"]))
        yield ports


def dead_host(count: int, folder: Path) -> None:
    """Run one command without and with a host that is dead, the last and the first of all."""
    with dead_hosts() as ports:
        lines = [f'{name} = {{ address = "127.0.0.1", port = {port} }}\n' for name, port in ports.items()]
        configure(folder, count, "[hosts]\n" + "".join(lines))
        base = 0.0
        for chosen in ("all-of-it", "all-of-it,silent", "all-of-it,blackhole", "blackhole,all-of-it", "all-of-it"):
            begin = time.monotonic()
            words = [*GENII, "run", "--on", chosen, "-q", "--connect-timeout", "10s", "--", "true"]
            ended = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
            took = time.monotonic() - begin
            base = base or took
            last = ended.stderr.splitlines()[-1]
            print(f"{chosen}: {took:.1f} s, {took - base:+.1f} s; the time-out is 10 s; {last}", flush=True)


def start_up(folder: Path, rounds: int = 10) -> None:
    """Measure the command line without hosts, and with a single one."""
    configure(folder, 1)
    for what in (["--dry-run", "--", "true"], ["--", "true"]):
        rows = []
        for _ in range(rounds):
            before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
            subprocess.run([*GENII, "run", "--on", "all-of-it", *what], cwd=folder, capture_output=True, check=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            rows.append((time.monotonic() - begin, cpu))
        wall, cpu = sorted(rows)[rounds // 2]
        print(f"genii run {' '.join(what)}: {wall * 1000:.0f} ms, {cpu * 1000:.0f} ms CPU")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=["next", "dead", "start"])
    parser.add_argument("-n", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for part in options.parts:
            if part == "next":
                next_command(options.n, Path(folder))
            elif part == "dead":
                dead_host(options.n, Path(folder))
            else:
                start_up(Path(folder))


if __name__ == "__main__":
    main()
