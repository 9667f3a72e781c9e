"""Who reads what a command prints."""

from __future__ import annotations

import os
import select
import stat

__all__ = ["end_when_unread"]

_STDOUT = 1


def end_when_unread() -> None:
    """End this process, with exit code 0, as soon as nobody reads its standard output any more.

    For commands that print for ever: ``genii logs -f web | grep -m1 ready`` would go on until the next line otherwise.
    Only pipes and sockets have a reader that can go, see poll(2), POLLERR.
    """
    try:
        mode = os.fstat(_STDOUT).st_mode
    except OSError:  # it is closed
        return
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        return
    import threading

    threading.Thread(target=_watch, daemon=True).start()


def _watch() -> None:
    poll = select.poll()
    poll.register(_STDOUT, 0)
    poll.poll()
    os._exit(0)
