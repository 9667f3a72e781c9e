"""Measure genii beside its peers: ``make bench``; each part also runs by itself, see bench/README.md."""

from __future__ import annotations

import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def main() -> int:
    environment = {**os.environ, "GENII": os.path.join(os.path.dirname(sys.executable), "genii")}
    folder = os.path.join(HERE, "supervise")
    subprocess.run(["sh", "setup.sh"], cwd=folder, check=True)
    peers = "floor,limit-cat,supervisord,runit,genii"
    only = "respawn,startup,storm,memory,idle,logs,status"
    command = [sys.executable, "bench.py", "--adapters", "genii_peer.py", "--peers", peers, "--only", only]
    subprocess.run(command, cwd=folder, env=environment, check=True)
    for script in ("configuration.py", "events.py", "daemon.py", "jobs.py", "prefork.py", "dashboard.py"):
        subprocess.run([sys.executable, os.path.join(HERE, script)], env=environment, check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
