"""One program, one process: a count that grows each second, signals that change it, schedules, a file watch, a page.

python counter.py
curl http://127.0.0.1:9090/
kill -USR1 PID; touch files/x
"""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING

import genii

if TYPE_CHECKING:
    from genii.events.snapshot import Batch

FILES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "files")


class Counter:
    """The state is the program's own object."""

    def __init__(self) -> None:
        self.count = 0


def make_app(counter: Counter, listen: str = "127.0.0.1:9090", files: str = FILES) -> genii.App:
    app = genii.App(listen=listen, health=True, metrics=True)
    app.gauge("current_count", lambda: counter.count)

    @app.every(1)
    def count() -> None:
        counter.count += 1

    @app.signal("USR1")
    def greet() -> None:
        print("Hello!", flush=True)

    @app.signal("USR2")
    def reset() -> None:
        counter.count = 0

    @app.cron("1 seconds")
    def each_second() -> None:
        print("every second", flush=True)

    @app.cron("5 seconds")
    def each_five_seconds() -> None:
        print("every five seconds", flush=True)

    @app.cron("* * * * *")
    def each_minute() -> None:
        print("every minute", flush=True)

    @app.watch(files)
    def changed(changes: Batch) -> None:
        for change in changes:
            print(change.kind, change.path, flush=True)

    @app.get("/", inline=True)
    def show() -> str:
        return f"Current Count is {counter.count}."

    @app.on_stop
    def bye() -> None:
        print("Bye.", flush=True)

    return app


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    os.makedirs(FILES, exist_ok=True)
    print(f"pid {os.getpid()}", flush=True)
    sys.exit(make_app(Counter()).run())
