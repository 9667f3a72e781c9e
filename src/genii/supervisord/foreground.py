"""The output of a process on our terminal while its input is typed, for ``supervisorctl fg``."""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from genii.errors import GeniiError
from genii.supervisord.client import Client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from genii.supervisord.ctl import Controller

__all__ = ["watch_logs"]


@contextmanager
def watch_logs(controller: Controller, name: str) -> Iterator[None]:
    """Print both logs of a process as they grow."""
    for channel in ("stdout", "stderr"):
        client = Client(controller.url, controller.username, controller.password)
        # A daemon thread: it reads until the process ends, and nobody waits for it.
        threading.Thread(target=_print_stream, args=(client, f"/logtail/{name}/{channel}"), daemon=True).start()
    yield


def _print_stream(client: Client, path: str) -> None:
    with suppress(OSError, GeniiError, ValueError):
        for piece in client.stream(path):
            sys.stdout.write(piece.decode("utf-8", "replace"))
            sys.stdout.flush()
