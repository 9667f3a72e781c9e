"""``genii work``: do jobs for job servers, in this process."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import sys
from typing import TYPE_CHECKING, NoReturn

from genii.errors import NotRunning, UsageError
from genii.system.notify import notify

if TYPE_CHECKING:
    from genii.gearman.worker import Worker

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.description = "Do the jobs that a worker class offers, until TERM or INT ends it after its current job."
    add = parser.add_argument
    add("worker", metavar="MODULE:CLASS", help="the class, such as shop.workers:Thumbs")
    add("-s", "--server", action="append", metavar="ADDRESS",
        help="host:port or unix:/path; may be repeated (default: 127.0.0.1:4730)")  # fmt: skip
    add("-I", "--lib", action="append", default=[], metavar="FOLDER", help="look for modules here first (repeated)")
    add("--prefix", help="what stands before the names of methods instead of the name of the class")
    add("--separator", help="what stands between them (default: ::)")
    add("--jobs", "--max-jobs", dest="max_jobs", type=int, default=0, metavar="N",
        help="end (with --min or --max: be replaced) after so many jobs; 0: never")  # fmt: skip
    add("--min", type=int, metavar="N", help="run at least so many of them, as processes of their own (default: 1)")
    add("--max", type=int, metavar="N", help="run more of them while all are busy, at most so many (default: --min)")
    add("--http", metavar="ADDRESS", help="with --min or --max: serve a status page there, as host:port")
    add("--codec", default=None, metavar="NAME", help="bytes, text, json or msgpack (default: the class's)")
    add("--id", default="", metavar="TEXT", help="how the server's list of workers calls it")
    add("--warm", action="store_true", help="with --min or --max: fork them from a process that has the class loaded")
    add("--nursery", action="store_true", help=argparse.SUPPRESS)
    add("--list", action="store_true", help="print the names of the jobs that it offers, and end")


def run(options: argparse.Namespace) -> int:
    """Work until it is stopped; return 0."""
    if options.max_jobs < 0:
        raise UsageError("--jobs is 0 or more")
    found = _find(options)  # a mistake is told once, and not by each of several processes
    if options.min is not None or options.max is not None or options.http:
        from genii.cli.work_slots import run_slots

        return run_slots(options)
    if options.warm:
        raise UsageError("--warm is for several processes: give --min or --max, too")
    if options.nursery:
        _load_ahead(found)
        _serve_nursery()
    worker = _make(found, options)
    if options.list:
        print("\n".join(worker.functions))
        return 0
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    _tie_to_manager()
    worker.check()  # a class without jobs must not count as started
    if os.environ.get("GENII_PAUSED") == "1":
        worker.pause()
    notify("READY=1")
    worker.run()
    if options.nursery:
        _leave()
    return 0


def _leave() -> NoReturn:
    """End as a program does, but without taking the interpreter apart: that takes longer than all of a short life."""
    import atexit
    import threading

    for thread in threading.enumerate():
        if thread is not threading.main_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(0)


def _tie_to_manager() -> None:
    """Have the kernel kill us when the slot manager that started us is gone, however it ended (prctl(2))."""
    manager = os.environ.get("GENII_LIFELINE", "")
    if not manager.isdigit():
        return
    import ctypes
    import signal

    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != int(manager):
        raise NotRunning(f"the slot manager (pid {manager}) has ended")


def _serve_nursery() -> None:
    """Become the process whose children start warm; returns in each of them."""
    from genii.system.nursery import serve

    serve()


def _load_ahead(found: type[Worker]) -> None:
    """Import what a worker of this class imports when it runs."""
    from inspect import iscoroutinefunction

    if any(iscoroutinefunction(getattr(found, name, None)) for name in dir(found) if not name.startswith("_")):
        import genii.gearman.async_worker  # noqa: F401 -- for its side effect


def _find(options: argparse.Namespace) -> type[Worker]:
    """Import the class; a user's mistake is told without our part of the traceback."""
    from importlib import import_module

    from genii.gearman.worker import Worker

    module_name, colon, class_name = options.worker.partition(":")
    if not colon or not module_name or not class_name:
        raise UsageError(f"{options.worker!r}: write module:Class, such as shop.workers:Thumbs")
    sys.path[:0] = [*options.lib, os.getcwd()]
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise UsageError(f"there is no module {error.name!r} in {os.getcwd()} or on the import path (-I)") from None
    found = getattr(module, class_name, None)
    if not (isinstance(found, type) and issubclass(found, Worker)):
        raise UsageError(f"{options.worker}: {class_name} is not a class that inherits from genii.Worker")
    return found


def _make(found: type[Worker], options: argparse.Namespace) -> Worker:
    """Make a worker of the class."""
    chosen: dict[str, object] = {"prefix": options.prefix, "separator": options.separator, "codec": options.codec}
    given = {name: value for name, value in chosen.items() if value is not None}
    try:
        return found(
            options.server or ["127.0.0.1:4730"],
            max_jobs=options.max_jobs,
            client_id=options.id,
            **given,  # type: ignore[arg-type]  # checked by the class
        )
    except TypeError as error:
        hint = "its __init__ must take the arguments of genii.Worker and pass them on"
        raise UsageError(f"{options.worker} can't be made: {error}; {hint}") from error
