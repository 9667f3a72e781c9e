from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.waiting import wait_until

from genii.deploy.facts import Holder, take_lock
from genii.deploy.shell import Began, Ended, Marks, Output, Step, bootstrap, end_of_payload, quote, render, stop_command

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NONCE = "0123456789abcdef"


# -- reading -----------------------------------------------------------------------------------------------------------


def mark(text: str) -> bytes:
    return f"\x1e{NONCE} {text}\x1e".encode()


TRANSCRIPT = (
    mark("ready 4711") + mark("begin 0") + b"some output\n" + mark("end 0 0") + b"between"
    + mark("begin 1") + b"no newline \x1e at the end" + mark("end 1 143") + mark("done")
)  # fmt: skip
EVENTS = [
    Began(0), Output(0, b"some output\n"), Ended(0, 0), Output(-1, b"between"),
    Began(1), Output(1, b"no newline \x1e at the end"), Ended(1, 143),
]  # fmt: skip


def joined(events: list[Began | Output | Ended]) -> list[Began | Output | Ended]:
    """Put outputs that follow each other together."""
    found: list[Began | Output | Ended] = []
    for event in events:
        last = found[-1] if found else None
        if isinstance(event, Output) and isinstance(last, Output) and last.number == event.number:
            found[-1] = Output(event.number, last.data + event.data)
        else:
            found.append(event)
    return found


@given(st.lists(st.integers(1, len(TRANSCRIPT)), max_size=20))
def test_marks_are_found_however_the_bytes_arrive(cuts: list[int]) -> None:
    marks, events, start = Marks(NONCE), [], 0
    for cut in [*sorted(cuts), len(TRANSCRIPT)]:
        events += marks.feed(TRANSCRIPT[start:cut])
        start = cut
    assert joined(events) == EVENTS
    assert (marks.shell, marks.done) == (4711, 1)


@given(st.binary(max_size=200))
def test_no_output_is_taken_for_a_mark(data: bytes) -> None:
    marks = Marks(NONCE)
    events = marks.feed(mark("begin 0") + data) + marks.feed(mark("end 0 0"))
    assert b"".join(event.data for event in events if isinstance(event, Output)) == data
    assert events[-1] == Ended(0, 0)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0")))
def test_quoted_words_are_one_word(text: str) -> None:
    found = re.fullmatch(r"(?:'[^']*'|\"'\"|[A-Za-z0-9_./:=,+-]+)+", quote(text))
    assert found is not None


# -- a real shell ------------------------------------------------------------------------------------------------------


class Shell:
    """The program run by a shell of this machine, as sshd would."""

    def __init__(self, shell: str, *, leads: bool) -> None:
        self.process = subprocess.Popen(
            [shell, "-c", bootstrap()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=leads
        )
        self.marks = Marks(NONCE)
        self.sent = 0
        self.send(f"{NONCE}\n".encode())

    def send(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def read(self) -> list[Began | Output | Ended]:
        assert self.process.stdout is not None
        data = os.read(self.process.stdout.fileno(), 65536)
        assert data, "the shell has ended"
        return self.marks.feed(data)

    def run(self, *steps: Step, payload: bytes = b"", **options: object) -> list[Began | Output | Ended]:
        end = end_of_payload(NONCE) if payload else b""
        self.send(render(steps, NONCE, **options) + payload + end)  # type: ignore[arg-type]
        self.sent += 1
        events: list[Began | Output | Ended] = []
        while self.marks.done < self.sent:
            events += self.read()
        return joined(events)

    def end(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(30)


SHELLS = [name for name in ("dash", "bash", "busybox") if shutil.which(name)]


@pytest.fixture(params=[True, False], ids=["leads", "follows"])
def shell(request: pytest.FixtureRequest) -> Iterator[Shell]:
    shell = Shell("/bin/sh", leads=request.param)
    yield shell
    shell.end()


def test_steps_are_taken_up_to_the_first_that_fails(shell: Shell) -> None:
    events = shell.run(
        Step(name="a", script="echo one"),
        Step(name="b", commands=("echo two", "exit 7", "echo never")),
        Step(name="c", script="echo never"),
        Step(name="d", script="echo tidy", always=True),
    )
    assert events == [
        Began(0), Output(0, b"one\n"), Ended(0, 0), Began(1), Output(1, b"two\n"), Ended(1, 7),
        Began(3), Output(3, b"tidy\n"), Ended(3, 0),
    ]  # fmt: skip


def test_a_script_stops_at_its_first_error(shell: Shell) -> None:
    assert shell.run(Step(name="a", script="false\necho never"))[-1] == Ended(0, 1)


def test_what_a_failed_step_does_not_read_is_skipped(shell: Shell) -> None:
    failing = Step(name="a", script="exit 4", payload=100_000)
    assert shell.run(failing, payload=b"mark\n" * 20_000)[-1] == Ended(0, 4)
    skipped = Step(name="b", script="cat", payload=100_000)
    assert shell.run(Step(name="a", script="exit 5"), skipped, payload=b"x" * 100_000) == [Began(0), Ended(0, 5)]
    assert shell.run(Step(name="c", script="wc -c", payload=7), payload=b"1234567")[1] == Output(0, b"7\n")


def test_a_payload_is_never_taken_for_commands(tmp_path: Path) -> None:
    shell = Shell("/bin/sh", leads=True)
    step = Step(name="a", script="true", payload=10)
    shell.send(render([step], NONCE) + f"0123456789touch {tmp_path}/taken\n{NONCE} run\n".encode())
    assert shell.process.stdout is not None
    while os.read(shell.process.stdout.fileno(), 65536):
        pass
    shell.end()
    assert not (tmp_path / "taken").exists()


def test_variables_reach_commands_as_they_are(shell: Shell) -> None:
    value = 'it\'s "$HOME" `x` \\ and\na line'
    events = shell.run(Step(name="a", commands=('printf %s "$VALUE"',)), env={"VALUE": value})
    assert events[1] == Output(0, value.encode())


def test_commands_run_in_their_directory_without_input(shell: Shell, tmp_path: Path) -> None:
    events = shell.run(Step(name="a", commands=("pwd; cat; echo no input",), directory=str(tmp_path)))
    assert events[1] == Output(0, f"{tmp_path}\nno input\n".encode())


def test_a_directory_that_is_not_there_fails_the_step(shell: Shell) -> None:
    assert isinstance(shell.run(Step(name="a", commands=("true",), directory="/nowhere/at all"))[-1], Ended)
    assert shell.run(Step(name="a", commands=("true",), directory="/nowhere"))[-1] != Ended(0, 0)


def test_signals_end_a_step_by_number(shell: Shell) -> None:
    assert shell.run(Step(name="a", commands=("kill -TERM $$",)))[-1] == Ended(0, 143)


def is_locked(root: Path) -> bool:
    return subprocess.run(["flock", "-n", str(root / ".genii/lock"), "true"], timeout=20).returncode != 0


@pytest.mark.parametrize("leads", [True, False])
def test_the_lock_and_what_runs_end_with_the_connection(tmp_path: Path, *, leads: bool) -> None:
    shell = Shell("/bin/sh", leads=leads)
    lock = Step(name="lock", script=take_lock(str(tmp_path), Holder("me", "here", "now")), inline=True)
    assert shell.run(lock)[-1] == Ended(0, 0)
    assert is_locked(tmp_path)
    command = f"echo $$ >{tmp_path}/new; mv {tmp_path}/new {tmp_path}/pid; sleep 1000 & wait"
    shell.send(render([Step(name="a", commands=(command,))], NONCE))
    wait_until((tmp_path / "pid").exists)
    pid = int((tmp_path / "pid").read_text())
    assert is_locked(tmp_path)
    shell.end()
    assert not is_locked(tmp_path)
    with pytest.raises(ProcessLookupError):
        os.killpg(pid, 0)


@pytest.mark.slow
def test_a_command_that_refuses_to_end_is_killed(tmp_path: Path) -> None:
    shell = Shell("/bin/sh", leads=True)
    command = f"trap '' TERM; echo $$ >{tmp_path}/new; mv {tmp_path}/new {tmp_path}/pid; while :; do sleep 0.1; done"
    shell.send(render([Step(name="a", commands=(command,))], NONCE))
    wait_until((tmp_path / "pid").exists)
    shell.end()
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_step_can_be_ended_without_the_shell(shell: Shell, tmp_path: Path) -> None:
    command = f"touch {tmp_path}/runs; sleep 1000"
    shell.send(render([Step(name="a", commands=(command,)), Step(name="b", script="echo never")], NONCE))
    shell.sent += 1
    wait_until((tmp_path / "runs").exists)
    while not shell.marks.shell:
        shell.read()
    subprocess.run(["sh", "-c", stop_command(shell.marks.shell)], timeout=40)
    events: list[Began | Output | Ended] = []
    while shell.marks.done < shell.sent:
        events += shell.read()
    assert Ended(0, 143) in events
    assert shell.run(Step(name="c", script="echo goes on"))[1] == Output(0, b"goes on\n")


def test_a_daemon_that_a_step_started_outlives_the_connection(shell: Shell, tmp_path: Path) -> None:
    shell.run(Step(name="a", commands=(f"sleep 1000 >/dev/null 2>&1 & echo $! >{tmp_path}/pid",)))
    pid = int((tmp_path / "pid").read_text())
    try:
        assert shell.process.stdin is not None
        shell.process.stdin.close()
        shell.process.wait(30)
        os.kill(pid, 0)
    finally:
        os.kill(pid, signal.SIGKILL)


@pytest.mark.skipif("bash" not in SHELLS, reason="there is no bash here")
def test_bash_does_as_well(tmp_path: Path) -> None:
    shell = Shell("bash", leads=True)
    events = shell.run(Step(name="a", script="echo one"), Step(name="b", commands=("exit 3",)))
    assert events == [Began(0), Output(0, b"one\n"), Ended(0, 0), Began(1), Ended(1, 3)]
    shell.end()
