"""Measure client and worker libraries: python bench/clients.py [--rounds 3] [LIBRARY ...].

One client and one worker process each, payloads of 100 bytes: calls one after the other, and background jobs until the
last one is done. genii and python3_gearman talk to C gearmand (genii+server to genii's own), rq, huey and dramatiq to a
Redis that keeps nothing on the disk. What is not installed is left out:

    pip install python3_gearman rq huey 'dramatiq[redis]'
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

PAYLOAD = "x" * 100
SECONDS = 3.0


def echo(text: str) -> str:
    return text


def mark(path: str) -> str:
    Path(path).touch()
    return path


class Genii:
    """What is measured of a library: ``work`` runs echo and mark; ``call`` waits for a result, ``submit`` doesn't."""

    module, server, jobs = "genii", "gearmand", 20_000

    def __init__(self, port: int) -> None:
        self.address = f"127.0.0.1:{port}"

    def work(self) -> None:
        from genii import Worker

        worker = Worker([self.address])
        worker.register(lambda payload: payload, "echo")
        worker.register(lambda payload: mark(payload.decode()).encode(), "mark")
        worker.run()

    def connect(self) -> None:
        from genii import Client

        self.client = Client([self.address])

    def call(self) -> None:
        self.client.call("echo", PAYLOAD)

    def submit(self, name: str = "echo", text: str = PAYLOAD) -> None:
        self.client.submit(name, text)


class GeniiWithServer(Genii):
    """The same on genii's own job server."""

    server = "genii"


class Python3Gearman(Genii):
    module = "python3_gearman"

    def work(self) -> None:
        import python3_gearman

        worker = python3_gearman.GearmanWorker([self.address])
        worker.register_task("echo", lambda _, job: job.data)
        worker.register_task("mark", lambda _, job: mark(job.data))
        worker.work()

    def connect(self) -> None:
        import python3_gearman

        self.client = python3_gearman.GearmanClient([self.address])

    def call(self) -> None:
        self.client.submit_job("echo", PAYLOAD)

    def submit(self, name: str = "echo", text: str = PAYLOAD) -> None:
        self.client.submit_job(name, text, background=True)


class Rq:
    """Its SimpleWorker, which is much faster than the default: it does not fork for each job."""

    module, server, jobs = "rq", "redis", 1000

    def __init__(self, port: int) -> None:
        import redis
        import rq

        self.queue = rq.Queue(connection=redis.Redis(port=port))

    def work(self) -> None:
        import rq

        rq.SimpleWorker([self.queue], connection=self.queue.connection).work(logging_level="ERROR")

    def connect(self) -> None:
        import clients  # rq wants functions of a module, not of __main__

        self.tasks: Any = clients

    def call(self) -> None:
        assert self.queue.enqueue(self.tasks.echo, PAYLOAD, result_ttl=60).latest_result(timeout=30)

    def submit(self, name: str = "echo", text: str = PAYLOAD) -> None:
        self.queue.enqueue(getattr(self.tasks, name), text, result_ttl=0)


class Huey:
    module, server, jobs = "huey", "redis", 3000

    def __init__(self, port: int) -> None:
        from huey import RedisHuey

        self.huey = RedisHuey("bench", port=port)
        self.tasks = {"echo": self.huey.task(name="echo")(echo), "mark": self.huey.task(name="mark")(mark)}

    def work(self) -> None:
        self.huey.create_consumer(workers=1, periodic=False).run()

    def connect(self) -> None:
        pass

    def call(self) -> None:
        self.tasks["echo"](PAYLOAD).get(blocking=True, timeout=30)

    def submit(self, name: str = "echo", text: str = PAYLOAD) -> None:
        self.tasks[name](text)


class Dramatiq:
    module, server, jobs = "dramatiq", "redis", 2000

    def __init__(self, port: int) -> None:
        import dramatiq
        from dramatiq.brokers.redis import RedisBroker
        from dramatiq.results import Results
        from dramatiq.results.backends import RedisBackend

        self.broker = RedisBroker(port=port)
        self.broker.add_middleware(Results(backend=RedisBackend(port=port)))
        dramatiq.set_broker(self.broker)
        self.asked = dramatiq.actor(echo, actor_name="asked", store_results=True)
        self.tasks = {
            name: dramatiq.actor(task, actor_name=name) for name, task in {"echo": echo, "mark": mark}.items()
        }

    def work(self) -> None:
        import dramatiq

        dramatiq.Worker(self.broker, worker_threads=1).start()
        threading.Event().wait()

    def connect(self) -> None:
        pass

    def call(self) -> None:
        self.asked.send(PAYLOAD).get_result(block=True, timeout=30_000)

    def submit(self, name: str = "echo", text: str = PAYLOAD) -> None:
        self.tasks[name].send(text)


LIBRARIES: dict[str, Any] = {"genii+server": GeniiWithServer}
LIBRARIES |= {kind.module: kind for kind in (Genii, Python3Gearman, Rq, Huey, Dramatiq)}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def server_command(kind: str, port: int, folder: str) -> list[str]:
    if kind == "redis":
        return ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    if kind == "genii":
        return [sys.executable, "-m", "genii", "jobs", "serve", "-p", str(port), "-q", "builtin"]
    return ["gearmand", "-L", "127.0.0.1", "-p", str(port), "-l", "none", f"--pid-file={folder}/pid", "-t", "1"]


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what}: nothing for a minute")
        time.sleep(0.001)


def measure(name: str) -> tuple[float, float]:
    """Return calls and background jobs a second; fresh server, worker and client."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin"}
        words = server_command(LIBRARIES[name].server, port, folder)
        worker = [sys.executable, __file__, "--work", name, "--port", str(port)]
        processes = [subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)]
        try:
            until(lambda: accepts(port), words[0])
            processes.append(subprocess.Popen(worker, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            return drive(name, port, Path(folder))
        finally:
            for process in reversed(processes):
                process.kill()
                process.wait()


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def drive(name: str, port: int, folder: Path) -> tuple[float, float]:
    library = LIBRARIES[name](port)
    library.connect()
    for _ in range(5):
        library.call()
    count, begin = 0, time.perf_counter()
    while time.perf_counter() - begin < SECONDS:
        library.call()
        count += 1
    calls = count / (time.perf_counter() - begin)
    begin = time.perf_counter()
    for _ in range(library.jobs):
        library.submit()
    library.submit("mark", str(folder / "done"))
    until((folder / "done").exists, name)
    return calls, library.jobs / (time.perf_counter() - begin)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("libraries", nargs="*", help=" ".join(LIBRARIES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        LIBRARIES[options.work](options.port).work()
        return
    names = options.libraries or [name for name, kind in LIBRARIES.items() if find_spec(kind.module)]
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for _ in range(options.rounds):
        for name in names:
            found[name].append(measure(name))
    print(f"{'':16} {'calls/s':>9} {'jobs done/s':>12}   (medians of {options.rounds})")
    for name, results in found.items():
        calls, jobs = (statistics.median(values) for values in zip(*results, strict=True))
        print(f"{name:16} {calls:9,.0f} {jobs:12,.0f}")


if __name__ == "__main__":
    main()
