from __future__ import annotations

import os
import select
import socket
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genii.system.notify import NotifySocket, notify, parse_message

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=["abstract", "path"])
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NotifySocket]:
    with NotifySocket(str(tmp_path / "notify") if request.param == "path" else None) as made:
        yield made


def wait_readable(listener: NotifySocket) -> None:
    assert select.select([listener], [], [], 30)[0]


def test_tells_who_said_what(listener: NotifySocket) -> None:
    code = "from genii.system.notify import notify; print(notify('READY=1\\nSTATUS=well'))"
    with subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, "NOTIFY_SOCKET": listener.address}, stdout=subprocess.PIPE
    ) as child:
        wait_readable(listener)
        assert list(listener.messages()) == [(child.pid, {"READY": "1", "STATUS": "well"})]
        assert child.communicate()[0] == b"True\n"


def test_nobody_listening_is_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    assert not notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", "@genii-test-nobody")
    assert not notify("READY=1")


def test_clears_the_variable_for_the_children_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with NotifySocket() as listener:
        monkeypatch.setenv("NOTIFY_SOCKET", listener.address)
        assert notify("READY=1", clear=True)
        assert not notify("READY=1")
        assert list(listener.messages()) == [(os.getpid(), {"READY": "1"})]


def test_refuses_an_address_of_no_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "vsock:1")
    with pytest.raises(ValueError, match="neither a path nor an abstract address"):
        notify("READY=1")


def test_the_file_is_for_the_owner_alone_and_goes_away(tmp_path: Path) -> None:
    path = tmp_path / "notify"
    path.touch()
    with NotifySocket(str(path)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()


def test_descriptors_that_come_along_are_closed() -> None:
    with NotifySocket() as listener, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect("\0" + listener.address[1:])
        socket.send_fds(sender, [b"FDSTORE=1"], [0, 0, 0])
        before = len(os.listdir("/proc/self/fd"))
        assert list(listener.messages()) == [(os.getpid(), {"FDSTORE": "1"})]
        assert len(os.listdir("/proc/self/fd")) == before


def test_a_message_that_is_too_long_is_dropped() -> None:
    with NotifySocket() as listener, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect("\0" + listener.address[1:])
        sender.send(b"STATUS=" + b"x" * 9000)
        sender.send(b"READY=1")
        assert list(listener.messages()) == [(os.getpid(), {"READY": "1"})]


@given(st.binary(max_size=300))
def test_garbage_is_survived(data: bytes) -> None:
    assert all(key for key in parse_message(data))
