"""Begin a supervisor: fork the keeper from a bare interpreter, then load the rest.

Without the site module and before any import that matters, so that the keeper stays as small as an interpreter can be.
"""

from __future__ import annotations

import os
import sys

__all__ = ["main"]


def main(path: str) -> int:
    """Fork the keeper and run the supervisor; see ``genii.control.entry``."""
    if sys.argv[2:3] == ["trial"]:
        from genii.control import trial

        return trial.run(sys.argv[1])
    _open_standard()
    _close_inherited()
    loader = _find_loader()
    import _socket

    from genii.supervise import keeper

    ours, theirs = _socket.socketpair()
    try:
        keeper_pid = os.fork()
    except OSError as error:
        return _refuse(sys.argv[1], f"can't start the process that keeps the logs: {error.strerror}")
    if keeper_pid == 0:
        link = theirs.detach()
        os.closerange(3, link)
        os.closerange(link + 1, os.sysconf("SC_OPEN_MAX"))
        keeper.main(link)
        os._exit(0)
    theirs.close()
    _stop_collecting()
    from genii.system.lean_msgspec import import_msgspec

    import_msgspec()
    link_and_pid = (ours.detach(), keeper_pid)
    if sys.argv[2:3] == ["upgrade"]:
        from genii.control import entry

        return entry.take_over(sys.argv[1], path, int(sys.argv[3]), link_and_pid)
    from genii.control.entry import main as run

    return run(sys.argv[1], path, loader, link_and_pid)


def _refuse(words: str, why: str) -> int:
    """Tell whoever waits for this supervisor that there will be none."""
    import msgspec

    from genii.control.answer import answer
    from genii.control.options import Options

    return answer(msgspec.json.decode(words, type=Options), 1, f"genii: {why}")


def _stop_collecting() -> None:
    """Collect no garbage until it runs (``genii.control.daemon``): nearly all that is made before then stays."""
    import gc  # not the keeper

    gc.disable()


def _find_loader() -> tuple[int, int] | None:
    """Return descriptor and pid of the process that reads the configuration; None: there is none (a second begin)."""
    found = os.environ.pop("GENII_LOADER", "")
    if not found:
        return None
    descriptor, _, pid = found.partition(":")
    os.set_inheritable(int(descriptor), False)
    return int(descriptor), int(pid)


def _open_standard() -> None:
    """Open what we were started without of stdin, stdout and stderr: nothing else may get these numbers."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


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
