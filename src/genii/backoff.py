"""How long to wait before the next attempt, as a function of the attempt. No I/O."""

from __future__ import annotations

from genii.record import record

__all__ = ["Backoff"]


@record
class Backoff:
    """Grow the delay from ``initial`` by ``factor`` up to ``cap`` seconds, then spread it by ``jitter`` (a fraction).

    ``linear`` grows it by ``initial`` at each attempt instead, as supervisord does.
    """

    initial: float = 0.1
    factor: float = 2.0
    cap: float = 60.0
    jitter: float = 0.1
    linear: bool = False

    def delay(self, attempt: int, chance: float = 0.5) -> float:
        """Return the seconds to wait before attempt number ``attempt`` (1: the first repetition).

        ``chance`` is a random number in [0, 1) that the caller draws; 0.5 gives the delay without jitter.
        """
        if attempt < 1:
            return 0.0
        grown = self.initial * attempt if self.linear else self.initial * self.factor ** min(attempt - 1, 64)
        return min(grown, self.cap) * (1 + self.jitter * (2 * chance - 1))
