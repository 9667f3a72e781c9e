"""What a prefork server is told: the arguments of ``genii.prefork``, checked. No I/O."""

from __future__ import annotations

from genii.errors import UsageError
from genii.record import record
from genii.supervise.scaling import Bounds
from genii.typed import TYPE_CHECKING
from genii.units import parse_signal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Literal, TypeAlias

    from genii.serve.manager import Manager

    EventLoop: TypeAlias = Literal["auto", "asyncio", "uvloop"]
    Handler: TypeAlias = Callable[[Any, Any], object]
    Hook: TypeAlias = Callable[[Manager], object]
    ReapHook: TypeAlias = Callable[[Manager, int, int | None], object]

__all__ = ["DEFAULT_SIGNALS", "Settings", "worker_bounds"]

DEFAULT_SIGNALS = {"TERM": "TERM", "HUP": "TERM", "INT": "TERM", "QUIT": "TERM"}
"""Signal that the manager gets -> what it sends to its workers for it."""

_RESERVED = frozenset({"USR2", "TTIN", "TTOU", "PIPE", "ALRM", "CHLD", "KILL", "STOP"})


def worker_bounds(workers: int | tuple[int, int], *, grace: float = 10.0) -> Bounds:
    """Read ``5`` or ``(2, 10)``; raises ``UsageError``."""
    minimum, maximum = (workers, workers) if isinstance(workers, int) else workers
    if minimum < 1:
        raise UsageError(f"workers={workers!r}: at least one has to run")
    return Bounds(minimum, maximum, grace=grace, cooldown=min(1.0, grace))


@record
class Settings:
    """Everything about a server but its handler, its sockets and its files; times in seconds, 0: no limit."""

    bounds: Bounds
    signals: Mapping[str, str | None]
    max_requests: int = 0
    jitter: float = 0.1
    """By which fraction ``max_requests`` varies from worker to worker, downwards, so that not all leave at once."""
    request_timeout: float = 60.0
    receive_timeout: float = 30.0
    max_memory: int = 0
    """Bytes in RAM beyond which a worker is replaced after its request; twice as much is refused."""
    stop_timeout: float = 30.0
    spawn_interval: float = 0.0
    startsecs: float = 0.25
    """Who lives that long, or leaves after work well done, is no failed start."""
    backoff_cap: float = 10.0
    rolling: bool = False
    """Whether a reload replaces the workers one after the other; else all at once."""
    preload: bool = True
    concurrency: int = 1000
    """How many connections a worker serves at once when the handler is async."""
    event_loop: EventLoop = "auto"
    upgrade_timeout: float = 60.0
    on_start: Hook | None = None
    before_fork: Hook | None = None
    after_fork: Hook | None = None
    on_child_reap: ReapHook | None = None
    before_exit: Hook | None = None
    on_reload: Hook | None = None

    def __post_init__(self) -> None:
        for name in (
            "max_requests", "max_memory", "request_timeout", "receive_timeout", "stop_timeout", "spawn_interval",
            "startsecs", "backoff_cap", "upgrade_timeout",
        ):  # fmt: skip
            if getattr(self, name) < 0:
                raise UsageError(f"{name}={getattr(self, name)!r}: can't be negative; 0 means no limit")
        if not 0 <= self.jitter < 1:
            raise UsageError(f"jitter={self.jitter!r}: a fraction from 0 up to, but not, 1")
        if self.concurrency < 1:
            raise UsageError(f"concurrency={self.concurrency!r}: must be at least 1")
        if self.event_loop not in ("auto", "asyncio", "uvloop"):
            raise UsageError(f"event_loop={self.event_loop!r}: one of 'auto', 'asyncio', 'uvloop'")
        _check_signals(self.signals)

    def lifetime(self, chance: float) -> int:
        """Return how many requests one worker serves; ``chance`` in [0, 1) spreads it. -1: no limit."""
        if not self.max_requests:
            return -1
        return max(1, self.max_requests - int(self.max_requests * self.jitter * chance))


def _check_signals(signals: Mapping[str, str | None]) -> None:
    for name, passed_on in signals.items():
        for each in (name, passed_on):
            if each is not None:
                try:
                    parse_signal(each)
                except ValueError as error:
                    raise UsageError(f"trap_signals: {error}") from None
        if name.removeprefix("SIG") in _RESERVED:
            raise UsageError(f"trap_signals: {name} has its own meaning here (or can't be caught)")
