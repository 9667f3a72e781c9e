"""The first lines of the supervisor: fork the keeper from a bare interpreter, then load the rest.

Executed by itself (``python -I -S bootstrap.py OPTION…``) by ``genii up``: without the site module and before any
import that matters, so that the keeper stays as small as an interpreter can be.
"""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Fork the keeper and run the supervisor; the options are those of ``genii.control.entry.main``."""
    sys.path[:0] = os.environ.pop("GENII_SYS_PATH", "").split(os.pathsep)
    _close_inherited()
    import _socket

    from genii.supervise import keeper

    ours, theirs = _socket.socketpair()
    pid = os.fork()
    if pid == 0:
        link = theirs.detach()
        os.closerange(3, link)
        os.closerange(link + 1, os.sysconf("SC_OPEN_MAX"))
        keeper.main(link)
        os._exit(0)
    theirs.close()
    from genii.control.entry import main as run

    return run(sys.argv[1:], ours.detach(), pid)


def _close_inherited() -> None:
    """Keep descriptors that we were started with from reaching programs, except those that are passed on purpose.

    Listening sockets of a service manager and the pipe to ``genii up -d`` are named in the environment and options.
    """
    for entry in os.listdir("/proc/self/fd"):
        if int(entry) > 2:
            try:
                os.set_inheritable(int(entry), False)
            except OSError:  # the descriptor of the listing itself
                continue


if __name__ == "__main__":
    sys.exit(main())
