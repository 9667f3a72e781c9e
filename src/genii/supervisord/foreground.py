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
    """Print both logs of a process as they grow, within the context."""
    readers: list[tuple[Client, threading.Thread]] = []
    try:
        for channel in ("stdout", "stderr"):
            client = Client(controller.url, controller.username, controller.password)
            with suppress(GeniiError):  # it has no such log
                pieces = client.stream(f"/logtail/{name}/{channel}")
                reader = threading.Thread(target=_print_stream, args=(pieces,), daemon=True)
                readers.append((client, reader))
                reader.start()
        yield
    finally:
        for client, reader in readers:
            client.hang_up()
            reader.join()
            client.close()


def _print_stream(pieces: Iterator[bytes]) -> None:
    with suppress(OSError, GeniiError, ValueError):
        for piece in pieces:
            sys.stdout.write(piece.decode("utf-8", "replace"))
            sys.stdout.flush()
