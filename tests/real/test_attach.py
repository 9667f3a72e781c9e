"""``genii attach`` at a terminal, with a pipe, and without a supervisor."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest
from tests.real.harness import PATIENCE, kill

from genii.errors import NotRead

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.real.harness import Site

ECHO = """
import os, re, sys
for number in range(12):
    print("before", number, flush=True)
text = b""
while block := os.read(0, 65536):
    *lines, text = re.split(b"[\\n!]", text + block)
    for line in lines:
        os.write(1, b"got " + line + b"\\n")
"""
"""A program that says what it reads, by lines; ``!`` ends one, too."""


SLOW = """
import os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
print("here", flush=True)
signal.sigwait([signal.SIGUSR1])
text = b""
while b"!" not in text:
    text += os.read(0, 65536)
print("read", text.count(b"x"), flush=True)
signal.pause()
"""
"""A program that reads only when it is told to, up to ``!``."""


def declare(site: Site) -> None:
    """Run a program that says what it reads, and one that reads nothing."""
    site.write(
        f'[program.echo]\ncommand = "{site.script("echo.py", ECHO)}"\nstdin = "pipe"\n'
        '[program.deaf]\ncommand = "echo here; exec sleep 1000"\n'
    )
    site.up()
    site.line("echo", "before 11")
    site.line("deaf", "here")


@contextlib.contextmanager
def attached(site: Site, name: str, stdin: int = subprocess.PIPE) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        site.command("attach", name), cwd=site.path, env=site.environment,
        stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def until(process: subprocess.Popen[bytes], text: bytes) -> list[bytes]:
    """Read lines up to the one that is ``text``."""
    assert process.stdout is not None
    seen: list[bytes] = []
    while not seen or seen[-1] != text:
        line = process.stdout.readline()
        assert line, (seen, process.stderr and process.stderr.read())
        seen.append(line.rstrip(b"\n"))
    return seen


def test_at_a_terminal_lines_go_to_the_process_and_its_end_detaches(site: Site) -> None:
    declare(site)
    pid = site.pid("echo")
    master, slave = os.openpty()
    try:
        with attached(site, "echo", slave) as process:
            assert until(process, b"before 11") == [b"before %d" % number for number in range(2, 12)]
            os.write(master, b"hello\n")
            until(process, b"got hello")
            os.write(master, b"\x04")
            _, err = process.communicate(timeout=PATIENCE)
            assert (process.returncode, err) == (0, b"genii: detached from echo\n")
    finally:
        os.close(master)
        os.close(slave)
    assert site.pid("echo") == pid


def test_a_terminal_is_told_what_could_not_be_sent_and_stays(site: Site) -> None:
    declare(site)
    master, slave = os.openpty()
    try:
        with attached(site, "deaf", slave) as process:
            assert process.stderr is not None
            assert b"deaf reads nothing" in process.stderr.readline()
            until(process, b"here")
            os.write(master, b"hello\n")
            assert b'with stdin = "pipe" in [program.deaf]' in process.stderr.readline()
            os.write(master, b"\x04")
            process.communicate(timeout=PATIENCE)
            assert process.returncode == 0
    finally:
        os.close(master)
        os.close(slave)


def test_a_pipe_is_sent_to_its_end_and_then_followed_until_ctrl_c(site: Site) -> None:
    declare(site)
    with attached(site, "echo") as process:
        assert process.stdin is not None
        process.stdin.write("".join(f"é{number}\n" for number in range(50)).encode())
        process.stdin.flush()
        assert until(process, "got é49".encode())[-50:] == [f"got é{number}".encode() for number in range(50)]
        process.stdin.write(b"no line end!")
        process.stdin.close()
        until(process, b"got no line end")
        site.client.send_input("echo", "more\n")
        until(process, b"got more")
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0


def test_a_process_that_does_not_read_is_waited_for(site: Site) -> None:
    site.write(f'[program.slow]\ncommand = "{site.script("slow.py", SLOW)}"\nstdin = "pipe"\n')
    site.up()
    site.line("slow", "here")
    with pytest.raises(NotRead, match="slow does not take all of it"):
        site.client.send_input("slow", "-" * 100_000)
    (site.path / "input").write_text("x" * 200_000 + "!")
    with (site.path / "input").open() as file, attached(site, "slow", file.fileno()) as process:
        until(process, b"here")
        site.act("signal", "slow", signal="USR1")
        until(process, b"read 200000")


def test_a_pipe_that_can_not_be_sent_is_a_failure(site: Site) -> None:
    declare(site)
    with attached(site, "deaf") as process:
        _, err = process.communicate(b"hello\n", timeout=PATIENCE)
        assert process.returncode == 1
        assert b"reads nothing" in err
        assert b"Traceback" not in err


@pytest.mark.parametrize("end", ["down", "kill"])
def test_it_exits_3_when_the_supervisor_is_gone(site: Site, end: str) -> None:
    declare(site)
    with attached(site, "echo") as process:
        until(process, b"before 11")
        if end == "down":
            assert site.genii("down").status == 0
        else:
            kill(site.supervisor_pid())
        assert process.stderr is not None
        process.wait(PATIENCE)
        err = process.stderr.read()
        assert (process.returncode, b"Traceback" in err) == (3, False)
        assert b"supervisor" in err


def test_it_stays_over_an_upgrade(site: Site) -> None:
    declare(site)
    with attached(site, "echo") as process:
        assert process.stdin is not None
        until(process, b"before 11")
        assert site.genii("upgrade").status == 0
        process.stdin.write(b"again\n")
        process.stdin.flush()
        assert until(process, b"got again") == [b"got again"]
