from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from genii.supervisord.client import Client
from genii.supervisord.xmlrpc import render_result

if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType


class Interrupted(Exception):
    pass


def interrupt(_number: int, _frame: FrameType | None) -> None:
    raise Interrupted


def test_an_interrupted_call_does_not_answer_the_next(tmp_path: Path) -> None:
    """Ctrl-C while an answer is awaited: that answer must not be taken for that to the next question."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "s"))
    listener.listen()
    interrupted = threading.Event()

    def answer(connection: socket.socket, body: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    def serve() -> None:
        first = listener.accept()[0]
        first.recv(65536)
        os.kill(os.getpid(), signal.SIGUSR1)
        interrupted.wait()
        with contextlib.suppress(BrokenPipeError):
            answer(first, render_result("first"))
        second = listener.accept()[0]
        second.recv(65536)
        answer(second, render_result("second"))
        first.close()
        second.close()

    earlier = signal.signal(signal.SIGUSR1, interrupt)
    server = threading.Thread(target=serve)
    server.start()
    client = Client(f"unix://{tmp_path}/s")
    try:
        with pytest.raises(Interrupted):
            client.call("supervisor.first")
        interrupted.set()
        assert client.call("supervisor.second") == "second"
    finally:
        signal.signal(signal.SIGUSR1, earlier)
        client.close()
        server.join()
        listener.close()


def test_a_server_that_refuses_is_told_from_one_that_hangs_up(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
    with pytest.raises(ConnectionRefusedError):
        Client(f"unix://{tmp_path}/s").call("supervisor.getState")
