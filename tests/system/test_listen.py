from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from genii.errors import UsageError
from genii.system.address import Address, parse_address
from genii.system.listen import listen, listen_tcp, listen_unix

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:80", Address("127.0.0.1", 80)),
        (":80", Address("", 80)),
        ("80", Address("", 80)),
        ("[::1]:80", Address("::1", 80)),
        ("tcp://h:1/", Address("h", 1)),
        ("unix:/run/x", Address(path="/run/x")),
        ("unix:///run/x", Address(path="/run/x")),
        ("unix:x.sock", Address(path="x.sock")),
    ],
)
def test_reads_addresses(text: str, address: Address) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", "host", "host:", "host:http", "host:70000", "::1:80", "a:-1", "a:²"])
def test_refuses_what_is_no_address(text: str) -> None:
    with pytest.raises(UsageError):
        parse_address(text)


def test_a_stale_socket_is_replaced_and_a_living_one_is_not(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with listen_unix(path), pytest.raises(OSError, match="somebody listens"):
        listen_unix(path)
    with listen_unix(path, mode=0o660):
        assert (tmp_path / "s").stat().st_mode & 0o777 == 0o660


def test_a_file_in_the_way_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")
    with pytest.raises(OSError, match="no socket"):
        listen_unix(str(path))
    assert path.read_text() == "data"


def test_a_port_that_is_taken_is_named() -> None:
    (taken,) = listen_tcp("127.0.0.1", 0)
    with taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError) as caught:
            listen(f"127.0.0.1:{port}")
        assert caught.value.__notes__ == [f"while listening at 127.0.0.1:{port}"]


def test_listening_sockets_know_their_protocol() -> None:
    (listener,) = listen_tcp("127.0.0.1", 0)
    with listener:
        assert listener.proto == socket.IPPROTO_TCP
