"""What a person sees of all programs, through a pipe that may be slow."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from genii.supervise.console import Console

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe2(os.O_NONBLOCK)
    os.set_blocking(writing, True)
    yield reading, writing
    os.close(reading)
    os.close(writing)


def show(console: Console, name: str, data: bytes, stream: str = "/stdout") -> None:
    console.show(name + stream, name, bytearray(data), len(data))


def test_names_line_up(pipe: tuple[int, int]) -> None:
    console = Console(pipe[1], color=False)
    console.add("web")
    console.add("worker:0")
    show(console, "web", b"one\ntwo\n")
    show(console, "worker:0", b"three\n")
    assert os.read(pipe[0], 4096) == b"web      | one\nweb      | two\nworker:0 | three\n"


def test_shows_whole_lines_and_keeps_streams_apart(pipe: tuple[int, int]) -> None:
    console = Console(pipe[1], color=False)
    console.add("web")
    show(console, "web", b"out")
    show(console, "web", b"error\n", stream="/stderr")
    show(console, "web", b"put\nrest")
    assert os.read(pipe[0], 4096) == b"web | error\nweb | output\n"
    console.finish()
    assert os.read(pipe[0], 4096) == b"web | rest\n"


def test_colours_the_names_on_request(pipe: tuple[int, int]) -> None:
    console = Console(pipe[1], color=True)
    console.add("web")
    show(console, "web", b"x\n")
    assert os.read(pipe[0], 4096) == b"\x1b[36mweb | \x1b[0mx\n"


def test_lines_go_out_as_they_are_without_names(pipe: tuple[int, int]) -> None:
    console = Console(pipe[1], color=False, names=False)
    console.add("web")
    show(console, "web", b'{"json": 1}\n')
    assert os.read(pipe[0], 4096) == b'{"json": 1}\n'


def test_never_blocks_on_a_slow_reader_and_tells_what_it_left_out(pipe: tuple[int, int]) -> None:
    console = Console(pipe[1], color=False, names=False)
    console.add("web")
    line = b"x" * 1023 + b"\n"
    for _ in range(4000):
        show(console, "web", line)
    shown = b""
    while console.waiting:
        shown += os.read(pipe[0], 1 << 20)
        console.flush()
    shown += os.read(pipe[0], 1 << 20)
    lines = shown.splitlines()
    assert 1000 < len(lines) < 1200
    assert lines[-1].startswith(b"[genii: ")
    assert int(lines[-1].split()[1]) + len(lines) - 1 == 4000


def test_a_reader_that_is_gone_is_no_error(pipe: tuple[int, int]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    console = Console(writing, color=False)
    console.add("web")
    show(console, "web", b"x\n")
    assert not console.waiting
    os.close(writing)
