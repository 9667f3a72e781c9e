"""genii beside supervisord with the same file: python bench/supervisord.py VENV [PROGRAMS …] (default: 200 1000).

VENV is a virtual environment with the package supervisor (``python -m venv V && V/bin/pip install supervisor``).
Times are of whole commands and calls in milliseconds, the median of three; memory is the unshared part (USS) of the
daemon's processes in MiB.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from genii.errors import GeniiError
from genii.supervisord.client import Client
from genii.supervisord.xmlrpc import render_call

if TYPE_CHECKING:
    from collections.abc import Callable

CONF = """
[unix_http_server]
file = {here}/s.sock
[supervisord]
logfile = {here}/main.log
pidfile = {here}/s.pid
childlogdir = {here}
minfds = 8192
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl = unix://{here}/s.sock
[program:p]
command = /bin/sleep 100000
process_name = p%(process_num)04d
numprocs = {count}
startsecs = 0
stdout_logfile = NONE
stderr_logfile = NONE
"""


def uss(pid: int) -> float:
    """Return the unshared memory of a process and of its children of the same program."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    own = [pid, *(int(child) for child in children if "python" in os.readlink(f"/proc/{child}/exe"))]
    total = 0
    for each in own:
        for line in Path(f"/proc/{each}/smaps_rollup").read_text().splitlines():
            if line.startswith("Private"):
                total += int(line.split()[1])
    return total / 1024


def timed(work: Callable[[], object], times: int = 3) -> float:
    """Return the median of several runs in milliseconds."""
    found = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        found.append(1e3 * (time.perf_counter() - start))
    return median(found)


def ask_raw(path: str) -> None:
    """Ask for all processes and read the answer, without looking at it: what the daemon takes."""
    body = render_call("supervisor.getAllProcessInfo", ())
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        connection.sendall(
            b"POST /RPC2 HTTP/1.0\r\nHost: x\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n%b"
            % (len(body), body)
        )
        while connection.recv(1 << 20):
            pass


def measure(daemon: list[str], venv: str, count: int) -> dict[str, float]:
    """Run one daemon and return its figures."""
    with tempfile.TemporaryDirectory(prefix="gsb-") as folder:
        conf = Path(folder, "s.conf")
        conf.write_text(CONF.format(here=folder, count=count))
        process = subprocess.Popen(
            [*daemon, "-n", "-c", str(conf)], stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
        )
        client = Client(f"unix://{folder}/s.sock")
        start = time.perf_counter()
        while True:
            try:
                if all(info["state"] == 20 for info in client.call("supervisor.getAllProcessInfo")):
                    break
            except (OSError, GeniiError):
                client.close()
            time.sleep(0.02)
        found = {"up": 1e3 * (time.perf_counter() - start)}

        def ctl(command: list[str], *words: str) -> Callable[[], object]:
            return lambda: subprocess.run(
                [*command, "-c", str(conf), *words], stdout=subprocess.DEVNULL, check=False, timeout=300
            )

        theirs, ours = [f"{venv}/bin/supervisorctl"], [sys.executable, "-m", "genii", "supervisorctl"]
        found["getAllProcessInfo"] = timed(lambda: ask_raw(f"{folder}/s.sock"), 5)
        found["status, real ctl"] = timed(ctl(theirs, "status"))
        found["status, our ctl"] = timed(ctl(ours, "status"))
        found["memory"] = uss(process.pid)
        found["restart all, real ctl"] = timed(ctl(theirs, "restart", "all"))
        found["stop all, real ctl"] = timed(ctl(theirs, "stop", "all"), 1)
        process.send_signal(signal.SIGTERM)
        start = time.perf_counter()
        process.wait()
        found["end, all stopped"] = 1e3 * (time.perf_counter() - start)
        client.close()
        return found


def main() -> None:
    """Print the figures of both and how many times ours are better."""
    venv, counts = sys.argv[1], [int(word) for word in sys.argv[2:]] or [200, 1000]
    for count in counts:
        theirs = measure([f"{venv}/bin/supervisord"], venv, count)
        ours = measure([sys.executable, "-m", "genii", "supervisord"], venv, count)
        print(f"{count} programs{'supervisord':>30}{'genii':>12}{'ratio':>10}")
        for key, value in theirs.items():
            print(f"  {key:<26}{value:>12.1f}{ours[key]:>12.1f}{value / ours[key]:>9.1f}x")


if __name__ == "__main__":
    main()
