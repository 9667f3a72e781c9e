"""What all that calls handlers has in common: it is started, and cancelled from any thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from genii.clock import Clock
    from genii.events.handlers import Handler, Runner

__all__ = ["Source"]


class Source:
    """Something that an app starts when it runs and cancels when it ends; subclasses fill ``_begin`` and ``_halt``."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self._runner: Runner | None = None

    async def prepare(self) -> None:
        """Do what takes time or may fail, before any source is started."""

    def expect(self, runner: Runner) -> None:
        """Take note of who will start this soon, so that it can be cancelled before."""
        self._runner = runner

    def start(self, runner: Runner, clock: Clock) -> None:
        """Begin to call the handler; called in the loop."""
        self._runner = runner
        try:
            self._begin(runner, clock)
        except BaseException:
            self._runner = None
            raise

    def cancel(self) -> None:
        """Call the handler no more; one that runs goes on. May be called from any thread."""
        runner, self._runner = self._runner, None
        if runner is not None:
            runner.in_loop(self._halt)
            runner.forget(self)

    def _begin(self, runner: Runner, clock: Clock) -> None:
        raise NotImplementedError

    def _halt(self) -> None:
        """End what ``_begin`` began, if it did."""
        raise NotImplementedError
