#!/usr/bin/env python3
"""A daemon that counts, and its control program: start, stop, restart, reload, status, reset ...

It says WORK 1, WORK 2, ... once a second, by a timer. USR1 greets, USR2 starts the count again, HUP
would re-read a configuration, INT and TERM end it.
"""

import os
import signal

import genii

FOLDER = os.environ.get("COUNTER_FOLDER", "/tmp")


class Counter:
    number = 0

    def work(self) -> None:
        self.number += 1
        print(f"WORK {self.number}", flush=True)

    def greet(self) -> None:
        print("Hello!", flush=True)

    def reset(self) -> None:
        self.number = 0
        print("Reset", flush=True)

    def reload(self) -> None:
        print("Reloaded", flush=True)


def count(control: genii.Control) -> None:
    counter = Counter()
    with genii.Signals() as signals:
        signals.on("ALRM", counter.work)
        signals.on("HUP", counter.reload)
        signals.on("USR1", counter.greet)
        signals.on("USR2", counter.reset)
        signal.setitimer(signal.ITIMER_REAL, 1, 1)
        control.ready()
        while signals.wait():
            pass
    print("Bye", flush=True)


control = genii.Control(
    name="Counter",
    program=count,
    pid_file=f"{FOLDER}/counter.pid",
    stdout_file=f"{FOLDER}/counter.log",
    ready_call=True,
    lsb_sdesc="Counts",
    lsb_desc="A daemon that counts once a second",
)


@control.command
def reset(control: genii.Control) -> int:
    """Start the count again."""
    running = control.signal("USR2")
    control.pretty_print(*(("Reset",) if running else ("Not Running", "red")))
    return 0 if running else 7


if __name__ == "__main__":
    control.run()
