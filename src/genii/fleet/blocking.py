"""The host for tasks that are plain functions: each call waits for the loop that carries all connections."""

from __future__ import annotations

import asyncio
import functools
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from genii.fleet.verbs import AsyncRemote

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from concurrent.futures import Future

    from genii.fleet.secret import Secret

__all__ = ["Abandoned", "Remote"]

P = ParamSpec("P")
T = TypeVar("T")


class Abandoned(BaseException):
    """The run was interrupted or took too long: a task goes no further. Derived so that no ``except`` keeps it back."""


def _waiting(
    method: Callable[Concatenate[AsyncRemote, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Remote, P], T]:
    """Make the waiting twin of a coroutine method, with its signature and its documentation."""

    @functools.wraps(method)
    def call(self: Remote, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.wait_for(method(self.twin, *args, **kwargs))

    return call


class Remote:
    """One host, for plain functions; ``AsyncRemote`` (``twin``) does what its methods wait for."""

    def __init__(self, twin: AsyncRemote, loop: asyncio.AbstractEventLoop) -> None:
        self.twin = twin
        self._loop = loop
        self._waited: set[Future[Any]] = set()
        self._abandoned = False

    @property
    def name(self) -> str:
        """The name in the inventory."""
        return self.twin.name

    @property
    def variables(self) -> Mapping[str, object]:
        """What the inventory says about this host."""
        return self.twin.variables

    @property
    def dry_run(self) -> bool:
        """Whether nothing is to be changed."""
        return self.twin.dry_run

    def __repr__(self) -> str:
        return repr(self.twin)

    def __str__(self) -> str:
        return self.name

    def say(self, text: object) -> None:
        """Show a line to who runs the task, with the name of the host."""
        self.twin.say(text)

    def hide(self, secret: str) -> Secret:
        """Have a text hidden in all results, logs and errors of this host from now on."""
        return self.twin.hide(secret)

    def wait_for(self, work: Coroutine[Any, Any, T]) -> T:
        """Have the loop do something and wait for it.

        Raises:
            Abandoned: the run goes no further.
        """
        if self._abandoned:
            work.close()
            raise Abandoned
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        self._waited.add(future)
        try:
            return future.result()
        except CancelledError:
            raise Abandoned from None
        finally:
            self._waited.discard(future)

    def abandon(self) -> None:
        """End what is waited for, and let no more begin; called in the loop."""
        self._abandoned = True
        for future in tuple(self._waited):
            future.cancel()

    run = _waiting(AsyncRemote.run)
    sudo = _waiting(AsyncRemote.sudo)
    expect = _waiting(AsyncRemote.expect)
    check = _waiting(AsyncRemote.check)
    system = _waiting(AsyncRemote.system)
    read = _waiting(AsyncRemote.read)
    put = _waiting(AsyncRemote.put)
    get = _waiting(AsyncRemote.get)
    package = _waiting(AsyncRemote.package)
    service = _waiting(AsyncRemote.service)
    user = _waiting(AsyncRemote.user)
    group = _waiting(AsyncRemote.group)
    file = _waiting(AsyncRemote.file)
    template = _waiting(AsyncRemote.template)
    line = _waiting(AsyncRemote.line)
    git = _waiting(AsyncRemote.git)
