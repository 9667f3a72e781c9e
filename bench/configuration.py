"""Time and memory of reading genii.toml: python bench/configuration.py [PROGRAMS …] (default: 1 200 1000)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

PROGRAM = """\
[program.web{number}]
command = "python -m http.server {number}"
processes = 2
stop = {{ signal = "TERM", timeout = "10s" }}
limits = {{ nofile = 1000 }}
logs = {{ stdout = "log/web{number}.log" }}
environment = {{ PLACE = "${{PATH}}/x" }}

"""


def resident_mib() -> float:
    """Return the memory of this process."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("Rss:")).split()[1]) / 1024


def measure(count: int) -> None:
    """Print the figures of one size."""
    # msgspec imports typing_extensions if the development tools have brought it; an installation hasn't got it.
    sys.modules["typing_extensions"] = None  # type: ignore[assignment]
    start = perf_counter()
    import msgspec  # noqa: F401

    below = perf_counter()
    from genii.config.load import load

    imported = perf_counter()
    with TemporaryDirectory() as folder:
        path = Path(folder, "genii.toml")
        path.write_text("".join(PROGRAM.format(number=number) for number in range(count)))
        before = resident_mib()
        settings = load(str(path))
        first, after = perf_counter() - imported, resident_mib()
        times = []
        for _ in range(9):
            begin = perf_counter()
            settings = load(str(path))
            times.append(perf_counter() - begin)
    assert len(settings.programs) == count
    print(
        f"{count:5} programs: import {1e3 * (imported - below):.1f} ms "
        f"(msgspec and model {1e3 * (below - start):.1f}), "
        f"first load {1e3 * first:.1f} ms, median {1e3 * median(times):.1f} ms, "
        f"RSS {before:.1f} -> {after:.1f} MiB, after nine reloads {resident_mib():.1f} MiB"
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(int(sys.argv[2]))
    else:
        for size in sys.argv[1:] or ["1", "200", "1000"]:
            subprocess.run([sys.executable, __file__, "--measure", size], check=True)
