"""A bounded pool of threads that never holds up the end of the program.

``concurrent.futures`` joins its threads at exit, so that one blocked call would keep a program alive that has been told
to end. These are daemon threads, made when they are needed.
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Executor, Future
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ThreadPool"]

P = ParamSpec("P")
T = TypeVar("T")


class ThreadPool(Executor):
    """Run calls in up to ``size`` threads; usable wherever an ``Executor`` is (``loop.run_in_executor``)."""

    def __init__(self, size: int, name: str = "genii") -> None:
        if size < 1:
            raise ValueError(f"a pool needs one thread or more, not {size}")
        self._size = size
        self._name = name
        self._calls: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._closed = False

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have a thread call the function; raises RuntimeError when the pool is closed."""
        future: Future[T] = Future()
        with self._changed:
            if self._closed:
                raise RuntimeError("the thread pool is closed")
            self._calls.append((future, lambda: function(*args, **kwargs)))
            if self._idle >= len(self._calls):
                self._changed.notify()
            elif len(self._threads) < self._size:
                number = len(self._threads) + 1
                thread = threading.Thread(target=self._work, name=f"{self._name}-{number}", daemon=True)
                self._threads.append(thread)
                thread.start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; ``wait`` joins the threads, ``cancel_futures`` drops the calls that have not begun."""
        with self._changed:
            self._closed = True
            dropped = list(self._calls) if cancel_futures else []
            if cancel_futures:
                self._calls.clear()
            self._changed.notify_all()
        for future, _ in dropped:
            future.cancel()
        for thread in self._threads if wait else ():
            thread.join()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._idle += 1
                while not self._calls and not self._closed:
                    self._changed.wait()
                self._idle -= 1
                if not self._calls:
                    return
                future, call = self._calls.popleft()
            if future.set_running_or_notify_cancel():
                _complete(future, call)
            del future, call  # so that an idle thread keeps nothing alive


def _complete(future: Future[Any], call: Callable[[], Any]) -> None:
    try:
        result = call()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)
