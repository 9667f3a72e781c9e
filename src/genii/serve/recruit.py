"""From the fork to a worker that serves: signals, the tie to the manager, hooks, and the one way out."""

from __future__ import annotations

import _signal  # see genii.serve.manager
import ctypes
import os
from typing import TYPE_CHECKING, NoReturn

from genii.serve import messages
from genii.serve.worker import Place, Worker, flush
from genii.units import parse_signal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from genii.serve.asynchronous import AsyncWorker
    from genii.serve.manager import Manager
    from genii.serve.model import Handler
    from genii.serve.scoreboard import Scoreboard

__all__ = ["Recruit", "is_async"]

_PR_SET_PDEATHSIG = 1
_SIGTERM = int(_signal.SIGTERM)
_HARD = 2
"""How many times its memory limit a worker can have before it is refused."""
_FAILED = 70
"""Exit code (EX_SOFTWARE of sysexits.h) of a worker that could not be set up, or whose handler broke out."""


def is_async(handler: object) -> bool:
    """Say whether calling ``handler`` gives something to await."""
    from inspect import iscoroutinefunction

    return iscoroutinefunction(handler) or iscoroutinefunction(getattr(handler, "__call__", None))  # noqa: B004


class Recruit:
    """What the next worker will be: all that can be made before the fork is, so that each worker copies less memory.

    ``load`` brings the handler when the manager has none; then each worker loads its own.
    """

    def __init__(
        self,
        manager: Manager,
        load: Callable[[], Handler],
        board: Scoreboard,
        wake: int,
        caught: Sequence[int],
        blocked: Sequence[int],
    ) -> None:
        self.handler = manager.handler
        self.settings = manager.settings
        self._manager = manager
        self._load = load
        self._place = Place(board, wake)
        self._blocked = blocked
        self._prctl = ctypes.CDLL(None).prctl
        self._leave = _leaving_signals(self.settings.signals)
        # What the terminal sends to all of us is the manager's to handle.
        terminal = (_signal.SIGINT, _signal.SIGQUIT, _signal.SIGHUP)
        self._resets = [(number, _signal.SIG_IGN if number in terminal else _signal.SIG_DFL) for number in caught]
        self._outgrown = _growth(self.settings.max_memory)
        self._worker = None if self.handler is None else self._make_worker(self.handler)

    def serve(self, place: int, lifetime: int) -> NoReturn:
        """Be a worker until the end of this process, which was just forked."""
        code = _FAILED
        try:
            code = self._serve(place, lifetime)
        except SystemExit as error:
            messages.warning("worker %d: the handler called exit(%r)", os.getpid(), error.code)
            code = error.code if isinstance(error.code, int) else _FAILED
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            flush()
            os._exit(code)

    def _serve(self, place: int, lifetime: int) -> int:
        self._tie()
        _signal.set_wakeup_fd(-1)
        for number, action in self._resets:
            _signal.signal(number, action)
        self._place.occupy(place)
        if self.settings.max_memory:
            _bound_memory(self.settings.max_memory * _HARD)
        if self.settings.after_fork is not None:
            self.settings.after_fork(self._manager)
        worker = self._worker or self._make_worker(self._load())
        worker.prepare(self._leave)
        # From here on a signal ends it in order; one that came since the fork is delivered now.
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, self._blocked)
        worker.run(lifetime)
        if not worker.code:
            self._place.leaving()
        if self.settings.before_exit is not None:
            self.settings.before_exit(self._manager)
        return worker.code

    def _make_worker(self, handler: Handler) -> Worker | AsyncWorker:
        settings, listeners = self.settings, self._manager.listeners
        if not is_async(handler):
            return Worker(
                handler, listeners, self._place, receive_timeout=settings.receive_timeout, outgrown=self._outgrown
            )
        from genii.serve.asynchronous import AsyncWorker  # and with it asyncio, three times our own size

        return AsyncWorker(
            handler, listeners, self._place, concurrency=settings.concurrency,
            request_timeout=settings.request_timeout, event_loop=settings.event_loop,
            outgrown=self._outgrown,
        )  # fmt: skip

    def _tie(self) -> None:
        """Let the kernel tell us when the manager dies; see prctl(2)."""
        self._prctl(_PR_SET_PDEATHSIG, _SIGTERM)
        if os.getppid() != self._manager.pid:
            os._exit(_FAILED)


def _growth(limit: int) -> Callable[[], bool] | None:
    """Return what says whether this process has had more than ``limit`` bytes in RAM; None without a limit."""
    if not limit:
        return None
    from resource import RUSAGE_SELF, getrusage

    kibibytes = limit // 1024
    return lambda: getrusage(RUSAGE_SELF).ru_maxrss > kibibytes


def _bound_memory(limit: int) -> None:
    """Let this process have no more than ``limit`` bytes of data; Python raises MemoryError then. See setrlimit(2)."""
    from resource import RLIM_INFINITY, RLIMIT_DATA, getrlimit, setrlimit

    hard = getrlimit(RLIMIT_DATA)[1]
    setrlimit(RLIMIT_DATA, (limit if hard == RLIM_INFINITY else min(limit, hard), hard))


def _leaving_signals(signals: Mapping[str, str | None]) -> list[int]:
    """Return the numbers that tell a worker to leave."""
    leave = {_SIGTERM}
    for name, passed_on in signals.items():
        if passed_on is not None and name.removeprefix("SIG") in ("TERM", "HUP", "INT", "QUIT"):
            leave.add(int(parse_signal(passed_on)))
    leave.discard(int(_signal.SIGKILL))
    return sorted(leave)
