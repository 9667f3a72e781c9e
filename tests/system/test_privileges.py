from __future__ import annotations

import os
import resource
import subprocess
import sys

import pytest

from genii.errors import NotAllowed, UsageError
from genii.system.privileges import (
    LIMIT_NAMES,
    Identity,
    become,
    parse_limit_name,
    read_limits,
    resolve,
    set_limits,
)

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can change its user")


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, timeout=50)


def test_looks_up_a_user_by_name_and_by_number() -> None:
    by_name = resolve("nobody")
    assert by_name == resolve(str(by_name.uid))
    assert by_name.name == "nobody"
    assert by_name.gid in by_name.groups
    assert by_name.environment()["HOME"] == by_name.home


def test_no_name_means_the_present_user() -> None:
    assert resolve().uid == os.geteuid()


def test_a_group_of_its_own_replaces_the_primary_group() -> None:
    assert resolve("nobody", "root").gid == 0
    assert resolve("nobody", "0", ["daemon", "daemon"]).groups == (resolve("daemon").gid,)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("no-such-user",), "there is no user 'no-such-user'"),
        (("", "no-such-group"), "there is no group 'no-such-group'"),
        (("", "", ["no-such-group"]), "there is no group 'no-such-group'"),
        (("4294967295",), "not a user number"),
        (("3999999999",), "its group must be given"),
    ],
)
def test_names_what_does_not_exist(arguments: tuple[str, ...], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        resolve(*arguments)


def test_a_number_without_an_entry_works_with_a_group() -> None:
    identity = resolve("3999999999", "nogroup")
    assert (identity.uid, identity.home, identity.groups) == (3999999999, "/", (identity.gid,))


@needs_root
def test_drops_every_id_and_cannot_go_back() -> None:
    code = (
        "import os; os.setgroups([0, 4, 27])\n"
        "from genii.system.privileges import *\n"
        "who = resolve('nobody'); become(who)\n"
        "print(os.getresuid() == (who.uid,) * 3, os.getresgid() == (who.gid,) * 3, os.getgroups() == [who.gid])\n"
        "try: os.setuid(0)\n"
        "except PermissionError: print('gone for good')"
    )
    assert run_python(code).stdout == "True True True\ngone for good\n"


@needs_root
def test_refuses_to_change_the_user_without_root() -> None:
    code = (
        "import os\nfrom genii.system.privileges import *\n"
        "who = resolve('daemon'); os.setresuid(65534, 65534, 65534); become(who)"
    )
    ended = run_python(code)
    assert "only root can become user 'daemon'" in ended.stderr
    assert "NotAllowed" in ended.stderr


def test_becoming_what_one_is_changes_nothing() -> None:
    before = os.getresuid(), os.getresgid()
    become(Identity(os.getuid(), os.getgid(), tuple(os.getgroups()), "/", "/bin/sh", "me"))
    assert (os.getresuid(), os.getresgid()) == before


def test_limit_names_are_read_in_any_spelling() -> None:
    assert parse_limit_name("nofile") == parse_limit_name("RLIMIT_NOFILE") == resource.RLIMIT_NOFILE
    assert parse_limit_name("Memory") == resource.RLIMIT_AS
    with pytest.raises(ValueError, match=r"not a resource limit; there are .*nofile"):
        parse_limit_name("no-file")


def test_sets_limits_and_reads_them_of_another_process() -> None:
    code = (
        "import sys; from genii.system.privileges import set_limits\n"
        "set_limits({'nofile': (100, 200), 'core': (0, 0)}); print('set', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "set\n"
        limits = read_limits(child.pid)
        child.communicate()
    assert limits["nofile"] == (100, 200)
    assert limits["core"] == (0, 0)
    assert set(limits) == set(LIMIT_NAMES)


def test_says_what_a_limit_is_when_it_cannot_be_raised() -> None:
    with pytest.raises(NotAllowed, match=r"could not set limit nofile to 2000000000:2000000000"):
        set_limits({"nofile": (2_000_000_000, 2_000_000_000)})
