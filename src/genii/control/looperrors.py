"""What the event loop has to complain of."""

from __future__ import annotations

import errno
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from typing import Any

__all__ = ["LoopErrors"]

_log = logging.getLogger(__name__)
_EVERY = 60.0
"""Seconds between two lines that say the same."""
_SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class LoopErrors:
    """Log what nobody else handles; that a connection can't be accepted, in one line a minute.

    asyncio tries a thousand times a second then, and reports each of them with a traceback.
    """

    def __init__(self) -> None:
        self._next = 0.0

    def handle(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log one; for ``loop.set_exception_handler``."""
        error = context.get("exception")
        accepts = "accept" in context.get("message", "")
        if not (accepts and isinstance(error, OSError) and error.errno in _SHORTAGES):
            loop.default_exception_handler(context)
        elif loop.time() >= self._next:
            self._next = loop.time() + _EVERY
            _log.error("can't accept a connection: %s; it is tried again each second", error.strerror)
