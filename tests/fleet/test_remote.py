"""The host of a task: commands, dialogues and checks, on this machine and over SSH."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

import genii
from genii.errors import CheckFailed, TimedOut, UsageError
from genii.fleet.blocking import Remote
from genii.fleet.dialogue import ExpectFailed
from genii.fleet.engine import Fleet
from genii.fleet.local import LocalTransport
from genii.fleet.remote import LARGEST_OUTPUT, RemoteFailed, Settings
from genii.fleet.secret import Secret
from genii.fleet.transport import ConnectionFailed, Host
from genii.fleet.verbs import AsyncRemote
from genii.fleet.ways import open_transport

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.fleet.conftest import Sshd

    from genii.fleet.dialogue import Answer

T = TypeVar("T")


def here(work: Callable[[AsyncRemote], Awaitable[T]], **settings: Any) -> T:
    async def run() -> T:
        connection = await LocalTransport().connect(Host("here"))
        try:
            return await work(AsyncRemote(connection, Settings(**settings)))
        finally:
            await connection.close()

    return asyncio.run(run())


def there(server: Sshd, work: Callable[[AsyncRemote], Awaitable[T]], **settings: Any) -> T:
    async def run() -> T:
        async with Fleet(open_transport(server.settings)) as fleet:
            each = fleet.each([server.host()], lambda connection: work(AsyncRemote(connection, Settings(**settings))))
            (outcome,) = [one async for one in each]
            return outcome.result()

    return asyncio.run(run())


def test_the_two_kinds_of_host_have_the_same_methods() -> None:
    def methods(kind: type) -> dict[str, inspect.Signature]:
        return {
            name: inspect.signature(getattr(kind, name))
            for name in dir(kind)
            if not name.startswith("_") and inspect.isfunction(getattr(kind, name))
        }

    waiting, modern = methods(Remote), methods(AsyncRemote)
    assert set(waiting) - set(modern) == {"wait_for", "abandon"}
    assert set(modern) <= set(waiting)
    for name, signature in modern.items():
        assert list(signature.parameters) == list(waiting[name].parameters), name


def test_directory_environment_and_input() -> None:
    result = here(lambda host: host.run('pwd; echo "$A"; cat', cwd="/usr", env={"A": "it's\na"}, input="in"))
    assert result.stdout == "/usr\nit's\na\nin"
    assert not result.changed
    assert str(result) == "/usr\nit's\na\nin"


def test_a_failure_carries_its_result() -> None:
    with pytest.raises(RemoteFailed, match="here: 'echo out; exit 9' ended with exit status 9: out") as caught:
        here(lambda host: host.run("echo out; exit 9"))
    assert caught.value.result.stdout == "out\n"
    assert caught.value.status == 9


def test_a_command_may_fail() -> None:
    result = here(lambda host: host.run("kill -9 $$", may_fail=True))
    assert not result
    assert result.status == 137


def test_a_directory_that_is_not_there_is_a_failure() -> None:
    with pytest.raises(RemoteFailed, match="/no/such"):
        here(lambda host: host.run("echo never", cwd="/no/such"))


def test_a_command_that_hangs_is_killed_at_its_time() -> None:
    with pytest.raises(TimedOut, match="here: killed after"):
        here(lambda host: host.run("sleep 600", timeout="300ms"))


def test_of_endless_output_the_beginning_is_kept() -> None:
    size = LARGEST_OUTPUT + (4 << 20)
    result = here(lambda host: host.run(f"head -c {size} /dev/zero"))
    assert result.truncated
    assert len(result.stdout) == LARGEST_OUTPUT


def test_binary_output_is_survived() -> None:
    assert here(lambda host: host.run(r"printf '\377\376ok'")).stdout.endswith("ok")
    assert here(lambda host: host.read("/bin/true"))[:4] == b"\x7fELF"


def test_a_file_that_can_not_be_read_is_named() -> None:
    with pytest.raises(RemoteFailed, match="No such file"):
        here(lambda host: host.read("/no/such/file"))


def test_a_check_that_passes_says_what_it_printed() -> None:
    assert here(lambda host: host.check("echo Syntax OK >&2")).stderr == "Syntax OK\n"
    assert here(lambda host: host.check("true"), dry_run=True).ok


def test_a_check_that_fails_shows_both_streams() -> None:
    with pytest.raises(CheckFailed) as caught:
        here(lambda host: host.check("echo a:3: wrong >&2; echo failed; exit 1"))
    assert caught.value.output == "a:3: wrong\nfailed\n"


ASKING = """\
stty -echo; printf 'Password: '; read a; stty echo; echo
printf 'Really? [y/N] '; read b
echo "got $a and $b"; test "$b" = y
"""


def test_a_dialogue_on_a_terminal() -> None:
    answers: dict[str, Answer] = {r"[Pp]assword: ": Secret("hunter2"), r"\[y/N\]": "y"}
    result = here(lambda host: host.expect(ASKING, answers, timeout=30))
    assert "got ****** and y" in result.stdout
    assert result.ok


def test_a_dialogue_that_ends_badly_is_a_failure() -> None:
    answers = [(r"[Pp]assword: ", "x"), (r"\[y/N\]", "n")]
    with pytest.raises(RemoteFailed, match="exit status 1"):
        here(lambda host: host.expect(ASKING, answers, timeout=30))


def test_a_question_that_nobody_expects_is_told() -> None:
    with pytest.raises(TimedOut, match=r"waited 2 s for 'sword'; it said (last: '.*Really\? \[y/N\]'|nothing)"):
        here(lambda host: host.expect("printf 'Really? [y/N] '; read b", {"sword": "x"}, timeout=2))


def test_a_wrong_password_is_not_tried_twice() -> None:
    command = "while :; do printf 'Password: '; read a; done"
    with pytest.raises(ExpectFailed, match="here: asked again for 'Password: '"):
        here(lambda host: host.expect(command, {"Password: ": Secret("wrong")}, timeout=30))


def test_without_a_command_it_is_the_login_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/bin/sh")  # one that does not run whatever people have in their .bashrc
    monkeypatch.setenv("PS1", "$ ")
    result = here(lambda host: host.expect([(r"[$#] ", "echo $((40 + 2))"), (r"^42$", None)], timeout=30))
    assert "42" in result.stdout


def test_a_program_of_this_machine_is_answered_without_any_host() -> None:
    result = genii.expect(ASKING, {r"[Pp]assword: ": Secret("hunter2"), r"\[y/N\]": ["n"]}, timeout="30s")
    assert (result.status, result.ok) == (1, False)
    assert "got ****** and n" in result.stdout
    assert "hunter2" not in repr(result)


def test_a_dialogue_needs_answers() -> None:
    with pytest.raises(UsageError, match="give patterns and answers"):
        here(lambda host: host.expect("cat"))


# -- over SSH, by each transport --------------------------------------------------------------------------------------


def test_commands_and_input_over_ssh(server: Sshd) -> None:
    data = bytes(range(256)) * 4000
    result = there(server, lambda host: host.run("wc -c; pwd; exit 3", input=data, cwd="/usr", may_fail=True))
    assert (result.status, result.stdout.split()) == (3, ["1024000", "/usr"])


def test_a_dialogue_over_ssh(server: Sshd) -> None:
    answers: dict[str, Answer] = {r"[Pp]assword: ": Secret("hunter2"), r"\[y/N\]": "y"}
    result = there(server, lambda host: host.expect(ASKING, answers, timeout=30))
    assert "got ****** and y" in result.stdout


def test_a_host_that_closes_in_the_middle_is_an_error(server: Sshd) -> None:
    with pytest.raises((ConnectionFailed, RemoteFailed)):  # the shell's parent is the server of this connection
        there(server, lambda host: host.run("kill -9 $PPID; sleep 60", timeout=30))
