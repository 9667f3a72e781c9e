"""From the fork to a worker that serves: signals, the tie to the manager, hooks, and the one way out."""

from __future__ import annotations

import _signal  # see genii.serve.manager
import logging
import os
import signal
import traceback
from typing import TYPE_CHECKING, NoReturn

from genii.serve.worker import Place, Worker, flush
from genii.units import parse_signal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from genii.serve.asynchronous import AsyncWorker
    from genii.serve.manager import Manager
    from genii.serve.model import Handler
    from genii.serve.scoreboard import Scoreboard

__all__ = ["Recruit", "is_async"]

_log = logging.getLogger("genii.prefork")

_PR_SET_PDEATHSIG = 1
_FAILED = 70
"""Exit code (EX_SOFTWARE of sysexits.h) of a worker that could not be set up, or whose handler broke out."""


def is_async(handler: object) -> bool:
    """Say whether calling ``handler`` gives something to await."""
    from inspect import iscoroutinefunction

    return iscoroutinefunction(handler) or iscoroutinefunction(getattr(handler, "__call__", None))  # noqa: B004


class Recruit:
    """A process that was just forked."""

    def __init__(self, manager: Manager, place: int, board: Scoreboard, wake: int, blocked: Sequence[int]) -> None:
        self._manager = manager
        self._place = place
        self._board = board
        self._wake = wake
        self._blocked = blocked

    def serve(self, load: Callable[[], Handler] | Handler, lifetime: int, *, loaded: bool) -> NoReturn:
        """Be a worker until the end of this process."""
        code = _FAILED
        try:
            code = self._serve(load, lifetime, loaded=loaded)
        except SystemExit as error:
            _log.warning("worker %d: the handler called exit(%r)", os.getpid(), error.code)
            code = error.code if isinstance(error.code, int) else _FAILED
        except BaseException:
            traceback.print_exc()
        finally:
            flush()
            os._exit(code)

    def _serve(self, load: Callable[[], Handler] | Handler, lifetime: int, *, loaded: bool) -> int:
        settings = self._manager.settings
        self._tie()
        leave = self._reset_signals()
        place = Place(self._board, self._place, self._wake)
        if settings.after_fork is not None:
            settings.after_fork(self._manager)
        handler: Handler = load if loaded else load()  # type: ignore[assignment, call-arg]
        worker: Worker | AsyncWorker
        if is_async(handler):
            from genii.serve.asynchronous import AsyncWorker  # and with it asyncio, three times our own size

            worker = AsyncWorker(
                handler, self._manager.listeners, place, concurrency=settings.concurrency,
                request_timeout=settings.request_timeout, event_loop=settings.event_loop,
            )  # fmt: skip
        else:
            worker = Worker(handler, self._manager.listeners, place, receive_timeout=settings.receive_timeout)
        worker.prepare(leave)
        # From here on a signal ends it in order; one that came since the fork is delivered now.
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, self._blocked)
        worker.run(lifetime)
        if not worker.code:
            place.leaving()
        if settings.before_exit is not None:
            settings.before_exit(self._manager)
        return worker.code

    def _tie(self) -> None:
        """Let the kernel tell us when the manager dies; see prctl(2)."""
        self._manager.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))
        if os.getppid() != self._manager.pid:
            os._exit(_FAILED)

    def _reset_signals(self) -> list[int]:
        """Forget the manager's handlers; returns the numbers that tell a worker to leave."""
        _signal.set_wakeup_fd(-1)
        leave = {int(signal.SIGTERM)}
        for name, passed_on in self._manager.settings.signals.items():
            if passed_on is not None and name.removeprefix("SIG") in ("TERM", "HUP", "INT", "QUIT"):
                leave.add(int(parse_signal(passed_on)))
        leave.discard(int(signal.SIGKILL))
        terminal = (_signal.SIGINT, _signal.SIGQUIT, _signal.SIGHUP)
        for number in self._blocked:
            # What the terminal sends to all of us is the manager's to handle.
            _signal.signal(number, _signal.SIG_IGN if number in terminal else _signal.SIG_DFL)
        return sorted(leave)
