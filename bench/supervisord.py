"""genii beside supervisord with the same file: python bench/supervisord.py VENV [PROGRAMS …] (default: 200 1000).

VENV is a virtual environment with the package supervisor (``python -m venv V && V/bin/pip install supervisor``).
Times are of whole commands and calls in milliseconds, the median of three; memory (as root) is what the processes of
the daemon hold, each page once, in MiB. "waiting for it" is the time of the command without what the client takes by
itself (measured with a server that has every answer ready): the part that a daemon can do anything about.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from array import array
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from genii.errors import GeniiError
from genii.supervisord.client import Client
from genii.supervisord.xmlrpc import render_call, render_result

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


def own_processes(pid: int) -> list[int]:
    """Return a daemon and those of its children that are part of it: interpreters, not programs."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(int(child) for child in children if "python" in os.readlink(f"/proc/{child}/exe"))]


def frames(pid: int) -> set[int]:
    """Return the page frames that a process has in memory (root only; see proc(5), pagemap)."""
    found: set[int] = set()
    size = os.sysconf("SC_PAGE_SIZE")
    with open(f"/proc/{pid}/pagemap", "rb", buffering=0) as pagemap:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            if line.endswith("[vsyscall]"):
                continue
            first, last = (int(word, 16) // size for word in line.split()[0].split("-"))
            entries = array("Q", os.pread(pagemap.fileno(), 8 * (last - first), 8 * first))
            found.update(entry & (1 << 55) - 1 for entry in entries if entry >> 63)
    return found - {0}


def memory(pid: int) -> float:
    """Return the memory in MiB that a daemon's processes hold, each page once, whoever else shares it."""
    pages = set().union(*(frames(each) for each in own_processes(pid)))
    return len(pages) * os.sysconf("SC_PAGE_SIZE") / 1048576


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


def stopped(stop: Callable[[], object], start: Callable[[], object]) -> dict[str, float]:
    """Measure a stop of what runs, three times."""
    found = []
    for _ in range(3):
        found.append(timed(stop, 1))
        start()
    return {"stop all, real ctl": median(found)}


class Instant:
    """A server that has every answer ready: with it a command takes what the client alone needs."""

    def __init__(self, path: str, answers: dict[bytes, bytes]) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen(8)
        self._answers = answers
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            with connection, connection.makefile("rb") as reader:
                while reader.readline():
                    length = 0
                    while line := reader.readline().strip().lower():
                        if line.startswith(b"content-length:"):
                            length = int(line.split(b":")[1])
                    call = reader.read(length)
                    body = next(answer for name, answer in self._answers.items() if name in call)
                    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n" % len(body)
                    connection.sendall(head + body)


def client_alone(theirs: list[str], infos: list[object]) -> dict[str, float]:
    """Return what the real client's commands take when nobody lets it wait."""
    done = [{"name": info["name"], "group": "p", "status": 80, "description": "OK"} for info in infos]  # type: ignore[index]
    answers = {
        b"getVersion": render_result("3.0"),
        b"getAllProcessInfo": render_result(infos),
        b"AllProcesses": render_result(done),
    }
    with tempfile.TemporaryDirectory(prefix="gsb-") as folder:
        Instant(f"{folder}/s.sock", answers)

        def ctl(*words: str) -> Callable[[], object]:
            command = [*theirs, "-s", f"unix://{folder}/s.sock", *words]
            return lambda: subprocess.run(command, stdout=subprocess.DEVNULL, check=False, timeout=300)

        names = ("status", "restart all", "stop all")
        return {f"{name}, real ctl": timed(ctl(*name.split()), 5) for name in names}


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
        found["memory"] = memory(process.pid)
        found["getAllProcessInfo"] = timed(lambda: ask_raw(f"{folder}/s.sock"), 5)
        found["status, real ctl"] = timed(ctl(theirs, "status"))
        found["status, our ctl"] = timed(ctl(ours, "status"))
        found["memory after requests"] = memory(process.pid)
        found["restart all, real ctl"] = timed(ctl(theirs, "restart", "all"))
        found |= stopped(ctl(theirs, "stop", "all"), ctl(theirs, "start", "all"))
        alone = client_alone(theirs, client.call("supervisor.getAllProcessInfo"))
        found |= {f"  waiting for it: {name.partition(',')[0]}": found[name] - part for name, part in alone.items()}
        client.call("supervisor.stopAllProcesses")
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
        print(f"{count} programs{'supervisord':>32}{'genii':>12}{'ratio':>10}")
        for key, value in theirs.items():
            print(f"  {key:<28}{value:>12.1f}{ours[key]:>12.1f}{value / max(ours[key], 1):>9.1f}x")


if __name__ == "__main__":
    main()
