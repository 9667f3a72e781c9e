"""How long the ways to hosts wait for what ends, and when they try again. No I/O."""

from __future__ import annotations

from genii.backoff import Backoff

__all__ = ["ALIVE", "BACKOFF", "CLOSING", "KILLING", "STARTING"]

ALIVE = 15
"""Seconds of silence before a host is asked whether it is there (ServerAliveInterval), three times in all."""
BACKOFF = Backoff(initial=0.1, cap=2.0, jitter=0.8)
"""Between attempts at a handshake that a busy host drops."""
CLOSING = 2.0
"""Seconds for a connection to be closed in order."""
KILLING = 5.0
"""Seconds for a host to kill a command."""
STARTING = 3.0
"""Seconds for a host to start the runner that carries commands; else each gets a channel of its own."""
