"""Memory of the supervisor with its keeper: python bench/memory.py [PROGRAMS …] (default: 1 100 1000), as root.

Each program is declared by itself and has a log. What the two processes hold is counted in MiB, each page once.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from supervisord import memory

SETTLED = 5.0
"""Seconds after which what only the start needed has been given back."""


def main() -> None:
    """Print the figures."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    for count in [int(word) for word in sys.argv[1:]] or [1, 100, 1000]:
        with tempfile.TemporaryDirectory(prefix="gmb-") as folder:
            programs = [f'[program.p{number:04}]\ncommand = "sleep 10000"\n' for number in range(count)]
            text = '[supervisor]\nlog_level = "warning"\n' + "".join(programs)
            Path(folder, "genii.toml").write_text(text)
            command = [sys.executable, "-m", "genii", "up", "-q", "-c", f"{folder}/genii.toml"]
            with subprocess.Popen(command, env=environment) as supervisor:
                children = Path(f"/proc/{supervisor.pid}/task/{supervisor.pid}/children")
                while len(children.read_text().split()) <= count:
                    time.sleep(0.05)
                time.sleep(SETTLED)
                print(f"{count} programs: {memory(supervisor.pid):.1f} MiB")
                supervisor.terminate()


if __name__ == "__main__":
    main()
