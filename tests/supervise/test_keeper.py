"""The keeper as the supervisor knows it: told over its link, and run until it leaves."""

from __future__ import annotations

import fcntl
import os
import socket
from typing import TYPE_CHECKING

import pytest

from genii.supervise.keeper import Keeper, receive, send

if TYPE_CHECKING:
    from pathlib import Path


def test_a_sync_writes_all_that_was_written_before_however_large_its_pipe_is(tmp_path: Path) -> None:
    reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        size = fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 1 << 20)  # as a program may do
    except PermissionError:
        pytest.skip("this user has no room for a large pipe")
    text = (b"x" * 99 + b"\n") * (size // 128)
    written = os.write(writing, text)
    assert written > 700 << 10
    path = tmp_path / "web.log"
    ours, theirs = socket.socketpair()
    with ours:
        send(ours, ("streams", [("web/stdout", "web", (str(path), 0, 0, 0.0, False))]), reading)
        os.close(reading)
        send(ours, ("sync", 1))
        send(ours, ("leave",))  # which writes nothing more
        Keeper(theirs).run()
        answers = [receive(ours), receive(ours)]
    theirs.close()
    os.close(writing)
    assert answers == [(("synced", 1), []), (("left", {}), [])]
    assert path.read_bytes() == text[:written]
