"""From the fork to a worker that serves: signals, the tie to the manager, hooks, and the one way out."""

from __future__ import annotations

import _signal  # see genii.serve.manager
import contextlib
import ctypes
import os
import socket
import sys

from genii.serve import messages
from genii.serve.model import Settings
from genii.serve.scoreboard import Scoreboard
from genii.serve.worker import Place, Worker, flush
from genii.typed import TYPE_CHECKING
from genii.units import parse_signal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from genii.serve.asynchronous import AsyncWorker
    from genii.serve.manager import Manager
    from genii.serve.model import Handler

__all__ = ["Recruit", "Tie", "is_async", "rehearse"]

_PR_SET_PDEATHSIG, _PR_GET_DUMPABLE = 1, 3
_CO_COROUTINE = 0x80  # as in the module inspect, which is larger than all of ours
_LIVES, _CONNECTIONS = 32, 2
"""How many lives are rehearsed, and how much is served in each: the interpreter adapts code after some 16 runs."""
_SIGTERM = int(_signal.SIGTERM)
_HARD = 2
"""How many times its memory limit a worker can have before it is refused."""
_FAILED = 70
"""Exit code (EX_SOFTWARE of sysexits.h) of a worker that could not be set up, or whose handler broke out."""


def is_async(handler: object) -> bool:
    """Say whether calling ``handler`` gives something to await."""
    return _is_async(handler) or _is_async(getattr(handler, "__call__", None))  # noqa: B004


def _is_async(function: object) -> bool:
    if "inspect" in sys.modules:  # it knows marks that nobody can have set without it
        from inspect import iscoroutinefunction

        return iscoroutinefunction(function)
    while (inner := getattr(function, "func", None) or getattr(function, "__func__", None)) is not None:
        function = inner  # of a partial or a method
    code = getattr(function, "__code__", None)
    return bool(getattr(code, "co_flags", 0) & _CO_COROUTINE)


class Tie:
    """What ends a worker when its manager dies; see PR_SET_PDEATHSIG in prctl(2)."""

    def __init__(self, manager: int, option: int = _PR_SET_PDEATHSIG) -> None:
        self._prctl = ctypes.CDLL(None).prctl
        self._manager = manager
        self._option = option

    def fasten(self) -> None:
        """Tie this process to its manager; it ends at once when that is dead already."""
        self._prctl(self._option, _SIGTERM)
        if os.getppid() != self._manager:
            os._exit(_FAILED)


class Recruit:
    """What the next worker will be: all that can be made before the fork is, so that each worker copies less memory.

    ``load`` brings the handler when there is none yet; then each worker loads its own.
    """

    def __init__(
        self,
        handler: Handler | None,
        settings: Settings,
        listeners: Sequence[socket.socket],
        place: Place,
        tie: Tie,
        *,
        manager: Manager,
        load: Callable[[], Handler],
        caught: Sequence[int],
        blocked: Sequence[int],
        exit: Callable[[int], object] = os._exit,  # noqa: A002
        at_fork: Callable[..., object] = os.register_at_fork,
    ) -> None:
        self.handler = handler
        self.settings = settings
        self.is_plain = (
            handler is not None
            and not (settings.spawn_interval or settings.bounds.elastic)
            and (settings.before_fork, settings.after_fork, settings.on_child_reap) == (None, None, None)
        )
        """Whether one that left in order is simply followed: nobody has to be asked or told."""
        self._listeners = listeners
        self._place = place
        self._tie = tie
        self._manager = manager
        self._load = load
        self._blocked = blocked
        self._exit = exit
        self._at_fork = at_fork
        self._leave = _leaving_signals(settings.signals)
        # What the terminal sends to all of us is the manager's to handle.
        terminal = (_signal.SIGINT, _signal.SIGQUIT, _signal.SIGHUP)
        self._resets = [(number, _signal.SIG_IGN if number in terminal else _signal.SIG_DFL) for number in caught]
        self._outgrown = _growth(settings.max_memory)
        self._worker = None if handler is None else self._make_worker(handler)
        self._lifetimes: list[int] = []

    def lifetime(self) -> int:
        """Return how many requests the next worker serves; -1: no limit."""
        if not self._lifetimes:  # drawn by the hundred; the module random would bring OpenSSL's hashes along
            self._lifetimes = [self.settings.lifetime(byte / 256) for byte in os.urandom(100)]
        return self._lifetimes.pop()

    def serve(self, place: int, lifetime: int) -> None:
        """Be a worker until the end of this process, which was just forked; ``exit`` ends it."""
        code = _FAILED
        try:
            worker = self._begin(place)
            worker.run(lifetime)
            self._end(worker)
            code = worker.code
        except SystemExit as error:
            messages.warning("worker %d: the handler called exit(%r)", os.getpid(), error.code)
            code = error.code if isinstance(error.code, int) else _FAILED
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            flush()
            self._exit(code)

    def _begin(self, place: int) -> Worker | AsyncWorker:
        self._tie.fasten()
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
        return worker

    def _end(self, worker: Worker | AsyncWorker) -> None:
        if not worker.code:
            self._place.leaving()
        if self.settings.before_exit is not None:
            self.settings.before_exit(self._manager)

    def _make_worker(self, handler: Handler) -> Worker | AsyncWorker:
        settings, listeners = self.settings, self._listeners
        if not is_async(handler):
            return Worker(
                handler, listeners, self._place, receive_timeout=settings.receive_timeout, outgrown=self._outgrown,
                at_fork=self._at_fork,
            )  # fmt: skip
        from genii.serve.asynchronous import AsyncWorker  # and with it asyncio, three times our own size

        return AsyncWorker(
            handler, listeners, self._place, concurrency=settings.concurrency,
            request_timeout=settings.request_timeout, event_loop=settings.event_loop,
            outgrown=self._outgrown,
        )  # fmt: skip


def rehearse(manager: Manager, wake: int) -> None:
    """Lead some lives of workers in this process, without harm, that serve connections from nobody.

    The interpreter adapts its code as it runs, and remembers where it found names. What it has adapted before the fork
    is shared; afterwards each worker would do so in a copy of its own.
    """
    board = Scoreboard.create(1)
    place = board.take(0)
    used = (_signal.SIGALRM, _SIGTERM)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("")  # to an abstract name of the kernel's choice
        listener.listen(_CONNECTIONS)
        recruit = Recruit(
            lambda *_: None, Settings(manager.settings.bounds, {}, receive_timeout=0), [listener], Place(board, wake),
            Tie(os.getppid(), _PR_GET_DUMPABLE), manager=manager, load=lambda: lambda *_: None,
            caught=[_signal.SIGALRM], blocked=[], exit=lambda _: None, at_fork=dict,
        )  # fmt: skip
        mask = _signal.pthread_sigmask(_signal.SIG_BLOCK, used)
        actions = [(number, _signal.getsignal(number)) for number in used]
        wakeup = _signal.set_wakeup_fd(-1)
        for _ in range(_LIVES):
            for _ in range(_CONNECTIONS):
                with socket.socket(socket.AF_UNIX) as nobody:
                    nobody.connect(listener.getsockname())
            recruit.serve(place, _CONNECTIONS)
        _signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        for number, action in actions:
            _signal.signal(number, action)
            _signal.siginterrupt(number, False)
        _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)
    board.close()
    with contextlib.suppress(TypeError):  # it does nothing but get to know the names of its arguments
        os.register_at_fork(after_in_child=None)


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
