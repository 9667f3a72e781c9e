"""Signals that become calls outside of the signal context: in a loop, or in a program that has none.

What runs in the signal context only puts the number into a queue and makes a descriptor readable; the handlers run when
the program asks for them, never in the middle of other code. Several ``Signals`` in one process don't disturb each
other: each passes on what it caught to the one that was there before.
"""

from __future__ import annotations

import contextlib
import select
import signal
import socket
import sys
from collections import deque

from genii.errors import UsageError
from genii.typed import TYPE_CHECKING
from genii.units import format_signal, parse_signal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType, TracebackType
    from typing import Any, Self, TypeVar

    Handler = Callable[[], object]
    F = TypeVar("F", bound=Callable[[], object])

__all__ = ["Signals"]

_UNCATCHABLE = (signal.SIGKILL, signal.SIGSTOP)


class Signals:
    """Catch signals from ``with`` on until its end; then the earlier handlers are back.

    A program without a loop calls ``wait`` instead of sleeping::

        with Signals() as signals:
            signals.on("USR1", greet)
            while signals.wait(timeout=1.0):   # False: INT or TERM came, and its handler did not refuse
                work()
        signals.reraise()

    Handlers take no arguments. One for a signal of ``stops`` refuses to stop by returning False.
    """

    def __init__(self, stops: Iterable[str | int] = ("INT", "TERM")) -> None:
        self._stops = frozenset(_catchable(name) for name in stops)
        self._handlers: dict[signal.Signals, list[Handler]] = {number: [] for number in self._stops}
        self._pending: deque[signal.Signals] = deque()
        self._catchers: dict[signal.Signals, _Catcher] = {}
        self._wake: tuple[socket.socket, socket.socket] | None = None
        self.stopped_by: signal.Signals | None = None
        """The signal that ended it."""

    def __enter__(self) -> Self:
        self._wake = socket.socketpair()
        for end in self._wake:
            end.setblocking(False)
        try:
            self._claim_wakeup()
        except ValueError:
            for end in self._wake:
                end.close()
            self._wake = None
            raise UsageError("signals can be caught in the main thread only") from None
        for number in self._handlers:
            self._install(number)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for catcher in self._catchers.values():
            catcher.remove()
        assert self._wake is not None
        reader, writer = self._wake
        self._wake = None
        if (owner := signal.set_wakeup_fd(-1)) not in (-1, writer.fileno()):
            signal.set_wakeup_fd(owner, warn_on_full_buffer=False)
        elif (heir := next(filter(None, map(_standing, self._catchers)), None)) is not None:
            heir._claim_wakeup()
        self._catchers.clear()
        reader.close()
        writer.close()

    def on(self, name: str | int, handler: F) -> F:
        """Call ``handler`` when the signal has come; several handlers of one signal are called in turn.

        Raises:
            ValueError: there is no such signal.
            UsageError: it can't be caught.
        """
        number = _catchable(name)
        self._handlers.setdefault(number, []).append(handler)
        if self._wake is not None:
            self._install(number)
        return handler

    def fileno(self) -> int:
        """Return a descriptor that is readable when signals wait."""
        return -1 if self._wake is None else self._wake[0].fileno()

    def take(self) -> list[signal.Signals]:
        """Return the signals that came since the last call, in order, without calling their handlers."""
        if self._wake is not None:
            with contextlib.suppress(BlockingIOError):
                while self._wake[0].recv(4096):
                    pass
        taken = []
        while self._pending:
            taken.append(self._pending.popleft())
        return taken

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for signals for up to ``timeout`` seconds and call their handlers; say whether to go on."""
        if self.stopped_by is None:
            poll = select.poll()
            poll.register(self.fileno(), select.POLLIN)
            poll.poll(None if timeout is None else max(0, timeout) * 1000)
            for number in self.take():
                self._handle(number)
        return self.stopped_by is None

    def stop(self, number: str | int = signal.SIGTERM) -> None:
        """Let ``wait`` say False from now on, as if the signal had come."""
        self.stopped_by = self.stopped_by or _catchable(number)

    def reraise(self) -> None:
        """End the process by the signal that stopped it, so that its parent learns the truth; call it last.

        Does nothing when there was none. What ``atexit`` would do is not done.
        """
        if self.stopped_by is not None:
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(OSError, ValueError, AttributeError):
                    stream.flush()
            signal.signal(self.stopped_by, signal.SIG_DFL)
            signal.raise_signal(self.stopped_by)

    def _handle(self, number: signal.Signals) -> None:
        answers = [handler() for handler in self._handlers[number]]
        if number in self._stops and not any(answer is False for answer in answers):
            self.stop(number)

    def _install(self, number: signal.Signals) -> None:
        if number not in self._catchers:
            self._catchers[number] = _Catcher(number, self)

    def _claim_wakeup(self) -> None:
        """Have the interpreter wake us at each signal, if it wakes nobody else yet (as asyncio's loop).

        Without that, a signal that the kernel gives to another thread would not interrupt a main thread that waits.
        """
        assert self._wake is not None
        owner = signal.set_wakeup_fd(self._wake[1].fileno(), warn_on_full_buffer=False)
        if owner >= 0:
            signal.set_wakeup_fd(owner, warn_on_full_buffer=False)

    def _notice(self, number: signal.Signals) -> None:
        """Run in the signal context: queue, and wake whoever waits."""
        self._pending.append(number)
        if self._wake is not None:
            with contextlib.suppress(OSError):  # full: it is readable already
                self._wake[1].send(b"\0")


class _Catcher:
    """What stands in the process's signal table; it may be covered by a later one, which passes on to it."""

    def __init__(self, number: signal.Signals, signals: Signals) -> None:
        self._number = number
        self.signals: Signals | None = signals
        self._earlier: Any = signal.signal(number, self)
        signal.siginterrupt(number, False)

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.signals is not None:
            self.signals._notice(self._number)
        if isinstance(self._earlier, _Catcher):
            self._earlier(number, frame)

    def remove(self) -> None:
        """Put back what was there before, unless a later one stands above: that one passes over this."""
        self.signals = None
        current: object = signal.getsignal(self._number)
        if current is self:
            earlier: Any = self._earlier
            while isinstance(earlier, _Catcher) and earlier.signals is None:
                earlier = earlier._earlier
            signal.signal(self._number, signal.SIG_DFL if earlier is None else earlier)


def _standing(number: signal.Signals) -> Signals | None:
    """Return who catches a signal now, if it is one of us."""
    current: object = signal.getsignal(number)
    return current.signals if isinstance(current, _Catcher) else None


def _catchable(name: str | int) -> signal.Signals:
    number = parse_signal(name)
    if number in _UNCATCHABLE:
        raise UsageError(f"no program can catch {format_signal(number)}")
    return number
