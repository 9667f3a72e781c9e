"""What is said between us and the runner, by rule and with the program itself."""

from __future__ import annotations

import os
import pwd
import re
import shlex
import shutil
import subprocess
from typing import TYPE_CHECKING, Self

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.debian import install_packages

from genii.fleet.command import Command
from genii.fleet.runner import KILL, READY, Frames, is_for_sh, request, start_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHELLS = ("sh", "bash", "dash", "zsh", "fish", "tcsh", "ksh", "mksh")
PIECES = st.lists(st.binary(min_size=1, max_size=200), max_size=8)


def framed(pieces: list[bytes], status: int) -> bytes:
    return b"".join(b"%d\n%s" % (len(piece), piece) for piece in pieces) + b"0 %d\n" % status


def cut(data: bytes, places: list[int]) -> Iterator[bytes]:
    begin = 0
    for end in sorted({place % (len(data) + 1) for place in places}):
        yield data[begin:end]
        begin = end
    yield data[begin:]


@given(PIECES, st.integers(0, 255), st.lists(st.integers(0, 2000), max_size=30))
def test_output_comes_out_as_it_went_in_however_the_stream_is_cut(
    pieces: list[bytes], status: int, places: list[int]
) -> None:
    frames = Frames()
    found = b""
    for part in cut(framed(pieces, status), places):
        found += frames.feed(part)
    assert (found, frames.status) == (b"".join(pieces), status)


@given(PIECES, st.integers(0, 255), st.data())
def test_a_stream_that_was_cut_off_has_not_ended(pieces: list[bytes], status: int, data: st.DataObject) -> None:
    whole = framed(pieces, status)
    frames = Frames()
    found = frames.feed(whole[: data.draw(st.integers(0, len(whole) - 1))])
    assert frames.status is None
    assert b"".join(pieces).startswith(found)


@given(st.binary(max_size=300))
def test_survives_anything(data: bytes) -> None:
    frames = Frames()
    try:
        assert len(frames.feed(data)) <= len(data)
    except ValueError as error:
        assert str(error)  # noqa: PT017 -- either is right


@pytest.mark.parametrize(
    "text", [b"hello\n", b"\n", b"-1\n", b"01\nx", b"0\n", b"0 1000\n", b"1234567\n", b"0 0\nmore"]
)
def test_what_the_runner_would_not_say_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"no header|more than the end"):
        Frames().feed(text)


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_what_is_for_sh_only_needs_no_login_shell(text: str) -> None:
    assert is_for_sh(Command(text, directory="/").line()) == f"cd -- / || exit; {text}"
    assert is_for_sh(shlex.join(["exec", "sh", "-c", text])) == text


@pytest.mark.parametrize(
    "line", ["true", "sh -c true", "exec sh -c 'a' b", 'exec sh -c "$HOME"', "exec sh -c $x", "exec sh -c 'a'; b", "'"]
)
def test_all_else_is_for_the_login_shell(line: str) -> None:
    assert is_for_sh(line) is None
    assert request(line) == b"L %d\n%s" % (len(line), line.encode())


def test_sizes_are_of_bytes() -> None:
    assert request("exec sh -c 'é'") == b"S 2\n\xc3\xa9"


class Talk:
    """The program itself, without SSH, started by one of the login shells."""

    def __init__(self, shell: str, *, login: bool, **environment: str) -> None:
        self.process = subprocess.Popen(
            [shell, "-c", start_line(login=login)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C", **environment},
        )  # fmt: skip

    def begins(self) -> bool:
        assert self.process.stdout is not None
        return os.read(self.process.stdout.fileno(), len(READY)) == READY

    def say(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def says(self, data: bytes) -> tuple[bytes, int | None]:
        """Say something and return the output and the status that come back."""
        assert self.process.stdout is not None
        self.say(data)
        frames, found = Frames(), b""
        while frames.status is None:
            piece = os.read(self.process.stdout.fileno(), 65536)
            assert piece, "it has ended"
            found += frames.feed(piece)
        return found, frames.status

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate(timeout=50)


@pytest.fixture(scope="module")
def shells() -> None:
    missing = [shell for shell in SHELLS if shutil.which(shell) is None]
    if missing:
        install_packages(*missing)


@pytest.mark.compat
@pytest.mark.xdist_group("shells")
@pytest.mark.usefixtures("shells")
@pytest.mark.parametrize("shell", SHELLS)
def test_all_login_shells_hand_the_program_on(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not here")
    assert not re.search(r"[\n!]|'.*'.*'", start_line(login=True))
    with Talk(shell, login=False) as talk:
        assert talk.begins()
        assert talk.says(request("exec sh -c 'echo one; exit 3'")) == (b"one\n", 3)
        assert talk.says(request("exec sh -c 'echo two; kill -9 $$'")) == (b"two\n", 137)


def login_shell() -> str:
    return pwd.getpwuid(os.getuid()).pw_shell


def test_the_login_shell_reads_what_is_for_it(tmp_path: Path) -> None:
    shell = login_shell()
    with Talk(shell, login=True, SHELL=shell, HOME=str(tmp_path)) as talk:
        assert talk.begins()
        assert talk.says(request("echo $0")) == (os.path.basename(shell).encode() + b"\n", 0)


def test_start_up_files_that_change_more_each_time_rule_it_out(tmp_path: Path) -> None:
    if not login_shell().endswith("/bash"):
        pytest.skip("we have another login shell than bash")
    (tmp_path / ".bashrc").write_text("export MORE=$MORE:more\n")
    given = {"SHELL": login_shell(), "HOME": str(tmp_path), "SSH_CLIENT": "127.0.0.1 1 2"}  # bash: sshd has started it
    with Talk(login_shell(), login=True, **given) as talk:
        assert not talk.begins()
    with Talk(login_shell(), login=False, **given) as talk:
        assert talk.begins()
        assert talk.says(request("exec sh -c 'echo $MORE'")) == (b":more\n", 0)
    (tmp_path / ".bashrc").write_text("export MORE=more\n")
    with Talk(login_shell(), login=True, **given) as talk:
        assert talk.begins()
        assert talk.says(request("echo $MORE")) == (b"more\n", 0)


def test_another_login_shell_than_that_of_the_account_rules_it_out(tmp_path: Path) -> None:
    with Talk("sh", login=True, SHELL="/bin/true", HOME=str(tmp_path)) as talk:
        assert not talk.begins()


def test_a_command_that_is_killed_takes_the_runner_along(pipe: Path) -> None:
    with Talk("sh", login=False) as talk:
        assert talk.begins()
        talk.say(request(f"exec sh -c 'sleep 3600 & exec >{pipe} 2>&1; wait'"))
        with pipe.open("rb") as reader:
            assert talk.says(KILL) == (b"", 137)
            assert reader.read() == b"", "something of the command still runs"


def test_the_end_of_the_connection_ends_the_runner_and_not_the_command(pipe: Path) -> None:
    with Talk("sh", login=False) as talk:
        assert talk.begins()
        talk.say(request(f"exec sh -c 'read line <{pipe}; echo $line >{pipe}'"))
        with pipe.open("w") as writer:  # the command reads
            assert talk.process.stdin is not None
            talk.process.stdin.close()
            assert talk.process.wait(50) == 0
            writer.write("still here\n")
        assert pipe.read_text() == "still here\n"
        talk.process.stdin = None
