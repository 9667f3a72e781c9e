from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

INNER = """
import os, signal, sys
signal.signal(signal.SIGHUP, lambda *_: os.write(1, b"hung up\\n"))  # a print may come into the midst of another
signal.signal(signal.SIGTERM, lambda *_: (os.write(1, b"ended\\n"), os._exit(0)))
open(sys.argv[1], "w").write(f"{os.getpid()}\\n")
os.write(1, b"up\\n")
while True:
    signal.pause()
"""
OUTER = "import subprocess, sys; sys.exit(7 + subprocess.run([sys.executable, *sys.argv[1:]]).returncode)"


def test_signals_go_to_the_process_that_the_file_names(tmp_path: Path) -> None:
    (tmp_path / "inner.py").write_text(INNER)
    words = [str(tmp_path / "pid"), sys.executable, "-c", OUTER, str(tmp_path / "inner.py"), str(tmp_path / "pid")]
    with subprocess.Popen(
        [sys.executable, "-m", "genii", "pidproxy", *words], stdout=subprocess.PIPE, text=True
    ) as proxy:
        assert proxy.stdout is not None
        assert proxy.stdout.readline() == "up\n"
        proxy.send_signal(signal.SIGHUP)
        assert proxy.stdout.readline() == "hung up\n"
        proxy.send_signal(signal.SIGTERM)
        assert proxy.stdout.readline() == "ended\n"
        assert proxy.wait(30) == 7


def test_without_a_file_the_command_itself_gets_the_signal(tmp_path: Path) -> None:
    command = ["sh", "-c", "echo up; exec sleep 1000"]
    with subprocess.Popen(
        [sys.executable, "-m", "genii", "pidproxy", str(tmp_path / "pid"), *command],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as proxy:  # fmt: skip
        assert proxy.stdout is not None
        assert proxy.stderr is not None
        assert proxy.stdout.readline() == "up\n"
        proxy.send_signal(signal.SIGTERM)
        assert proxy.stderr.readline() == f"Can't read child pidfile {tmp_path}/pid!\n"
        assert proxy.wait(30) == 128 + signal.SIGTERM
