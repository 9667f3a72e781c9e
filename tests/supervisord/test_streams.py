from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from genii.supervisord.streams import Syslog

if TYPE_CHECKING:
    from pathlib import Path


def listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.settimeout(30)
    listener.bind(str(path))
    return listener


def test_lines_go_to_the_systems_log_also_after_it_was_restarted(tmp_path: Path) -> None:
    path = tmp_path / "log"
    syslog = Syslog(str(path))
    syslog.send("lost: nobody listens")
    first = listen(path)
    syslog.send("web häll")
    message = first.recv(1000).decode()
    assert message.startswith("<14>")
    assert message.endswith("]: web häll")
    assert " supervisord[" in message
    first.close()
    path.unlink()
    syslog.send("lost: it is being restarted")
    second = listen(path)
    syslog.send("web again")
    assert second.recv(1000).endswith(b": web again")
    syslog.close()
    second.close()


def test_a_line_too_long_for_a_datagram_is_cut(tmp_path: Path) -> None:
    listener = listen(tmp_path / "log")
    syslog = Syslog(str(tmp_path / "log"))
    syslog.send("x" * 100_000)
    assert len(listener.recv(200_000)) == 8192
    syslog.close()
    listener.close()
