"""Measure what the record of state costs: its share of a respawn, in processor time and in what the program waits for.

``python bench/record.py [RESPAWNS]`` (default 300): one program is killed so often under ``genii up``. The time of a
respawn is from the kill to the new process; what the supervisor works for it is what the kernel counts
(``/proc/PID/schedstat``). The four lines of the record that belong to a respawn are then written by themselves, two of
which (that the process is gone, that another one is about to be started) come before the new process.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from genii.supervise.record import Memory
from genii.supervise.recorder import Recorder

BEFORE = (("gone", "job", -9), ("intent", "job"))
AFTER = (("process", "job", 1234567, 123456789, 1234567890, 1795270203.8542335, 100), ("running", "job"))


def worked(pid: int) -> float:
    """Return the seconds that a process has spent on a processor."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def children(pid: int) -> set[int]:
    """Return the children of a process."""
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def respawns(folder: Path, count: int) -> tuple[list[float], float]:
    """Kill a program so often; return the times until it was there again, and the supervisor's work for each."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    (folder / "genii.toml").write_text('[defaults]\nstartsecs = "0s"\n[program.job]\ncommand = "sleep 100000"\n')
    genii = [sys.executable, "-m", "genii"]
    subprocess.run([*genii, "up", "-d"], cwd=folder, env=environment, check=True, stderr=subprocess.DEVNULL)
    try:
        pid = int((folder / ".genii" / "genii.pid").read_text())
        (job,) = [child for child in children(pid) if Path(f"/proc/{child}/comm").read_text() == "sleep\n"]
        others, times = children(pid) - {job}, []
        time.sleep(3)  # what is done once after the start is over
        before = worked(pid)
        for _ in range(count):
            begun = time.monotonic()
            os.kill(job, 9)
            while not (new := children(pid) - others - {job}):
                pass
            times.append(time.monotonic() - begun)
            (job,) = new
            time.sleep(0.01)  # the lines after it, too
        return times, (worked(pid) - before) / count
    finally:
        subprocess.run([*genii, "down"], cwd=folder, env=environment, check=True, stderr=subprocess.DEVNULL)


def lines(folder: Path, rows: tuple[tuple[object, ...], ...], count: int = 20000) -> float:
    """Return the processor time of writing such lines."""
    recorder = Recorder(str(folder / "record"), "boot", "1")
    recorder.begin(Memory)
    before = time.process_time()
    for _ in range(count):
        for row in rows:
            recorder.write(*row)
    taken = (time.process_time() - before) / count
    recorder.close(remove=True)
    return taken


def main() -> None:
    """Run as the command line says."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    with tempfile.TemporaryDirectory(prefix="genii-bench-") as name:
        folder = Path(name)
        times, work = respawns(folder, count)
        first, second = lines(folder, BEFORE), lines(folder, AFTER)
    latency = statistics.median(times)
    print(f"load {os.getloadavg()[0]:.1f}, {count} respawns")
    print(f"until the new process is there: {1e6 * latency:6.0f} µs, of which the record {1e6 * first:5.1f} µs", end="")
    print(f" ({100 * first / latency:.1f} %)")
    print(
        f"processor time of the supervisor: {1e6 * work:4.0f} µs, of which the record {1e6 * (first + second):5.1f} µs",
        end="",
    )
    print(f" ({100 * (first + second) / work:.1f} %)")


if __name__ == "__main__":
    main()
