"""Users and groups of a host. No I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING, Literal

from genii.fleet.state.plan import Plan, Question, StateError, Step, fields, one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    State = Literal["present", "absent"]

__all__ = ["Account", "Group", "WantedUser", "ask_group", "ask_user", "plan_group", "plan_user"]

_NAME = re.compile(r"[a-z_][a-z0-9_.-]{0,31}\$?", re.IGNORECASE)
_PATH = "PATH=$PATH:/usr/sbin:/sbin"


@dataclass(frozen=True, slots=True)
class Account:
    """A user as the host knows it."""

    exists: bool = False
    uid: int = -1
    group: str = ""
    groups: frozenset[str] = frozenset()
    """Beside the first one."""
    comment: str = ""
    home: str = ""
    shell: str = ""
    password: str = ""
    """As shadow(5) has it; empty unless it was asked for, and may be read."""
    shadow: bool = True
    """Whether the host has useradd(8) and usermod(8); BusyBox has only adduser."""


@dataclass(frozen=True, slots=True)
class Group:
    """A group as the host knows it."""

    exists: bool = False
    gid: int = -1
    shadow: bool = True


def ask_user(name: str, *, password: bool = False) -> Question[Account]:
    """Return the question for a user.

    Raises:
        StateError: a name that no user can have.
    """
    user = quote(_named(name, "user"))
    shadow = f'echo password="$(getent shadow {user} | cut -d: -f2)"' if password else ""
    script = f"""{_PATH}
command -v useradd >/dev/null && command -v usermod >/dev/null && echo shadow=1
entry=$(getent passwd {user}) || exit 0
echo entry="$entry"; echo group="$(id -gn {user})"; echo groups="$(id -Gn {user})"
{shadow}
true"""
    return Question(script, _read_user)


def _read_user(answer: bytes) -> Account:
    said = fields(answer)
    shadow = "shadow" in said
    entry = said.get("entry", "").split(":")
    if len(entry) != 7:
        return Account(shadow=shadow)
    group = said.get("group", "")
    return Account(
        exists=True,
        uid=int(entry[2]) if entry[2].isdigit() else -1,
        group=group,
        groups=frozenset(said.get("groups", "").split()) - {group},
        comment=entry[4],
        home=entry[5],
        shell=entry[6],
        password=said.get("password", ""),
        shadow=shadow,
    )


def ask_group(name: str) -> Question[Group]:
    """Return the question for a group.

    Raises:
        StateError: a name that no group can have.
    """
    group = quote(_named(name, "group"))
    script = f'{_PATH}\ncommand -v groupadd >/dev/null && echo shadow=1\necho entry="$(getent group {group})"'
    return Question(script, _read_group)


def _read_group(answer: bytes) -> Group:
    said = fields(answer)
    entry = said.get("entry", "").split(":")
    exists = len(entry) == 4
    return Group(exists, int(entry[2]) if exists and entry[2].isdigit() else -1, "shadow" in said)


@dataclass(frozen=True, slots=True)
class WantedUser:
    """How a user shall be; what is None or empty is left as it is."""

    name: str
    state: State = "present"
    uid: int | None = None
    group: str = ""
    groups: Sequence[str] | None = None
    """Those that it shall be in, beside the first one and what it is in already."""
    only_groups: bool = False
    """Whether it shall be in no others."""
    comment: str | None = None
    home: str = ""
    shell: str = ""
    password: str = ""
    """The hash, as shadow(5) has it."""
    system: bool = False
    create_home: bool = True
    remove_home: bool = False


def plan_user(wanted: WantedUser, facts: Account) -> Plan:
    """Return what makes a user as it is wanted.

    Raises:
        StateError: what is wanted makes no sense, or can't be done with the host's tools.
    """
    _named(wanted.name, "user")
    if wanted.state not in ("present", "absent"):
        raise StateError(f"a user can't be {wanted.state!r}: expected present or absent")
    if wanted.state == "absent":
        return _remove(wanted, facts)
    changes = _differences(wanted, facts)
    if not changes and facts.exists:
        return Plan()
    if not facts.shadow:
        return _with_busybox(wanted, facts, changes)
    return _with_shadow(wanted, facts, changes)


def _remove(wanted: WantedUser, facts: Account) -> Plan:
    if not facts.exists:
        return Plan()
    if facts.uid == 0:
        raise StateError(f"{wanted.name} has the user id 0; genii does not remove root")
    tool, option = ("userdel", "-r") if facts.shadow else ("deluser", "--remove-home")
    command = f"{tool} {option} -- " if wanted.remove_home else f"{tool} -- "
    return Plan((Step(f"{_PATH} {command}{quote(wanted.name)}"),), f"- user {wanted.name}\n")


_OPTIONS = {
    "uid": "-u", "group": "-g", "groups": "-G", "comment": "-c", "home": "-d", "shell": "-s", "password": "-p",
}  # fmt: skip


def _differences(wanted: WantedUser, facts: Account) -> dict[str, tuple[str, str]]:
    """Return which settings differ: name -> (is, shall be)."""
    pairs: dict[str, tuple[str, str | None]] = {
        "uid": (str(facts.uid), None if wanted.uid is None else str(wanted.uid)),
        "group": (facts.group, wanted.group or None),
        "groups": (",".join(sorted(facts.groups)), _groups(wanted, facts)),
        "comment": (facts.comment, wanted.comment),
        "home": (facts.home, wanted.home or None),
        "shell": (facts.shell, wanted.shell or None),
        "password": (facts.password, wanted.password or None),
    }
    for name, (_, new) in pairs.items():
        if new:
            one_line(f"{name} of a user", new)
            if ":" in new:
                raise StateError(f"{new!r} can't be the {name} of a user: it has a colon in it")
    return {
        name: (old, new) for name, (old, new) in pairs.items() if new is not None and (new != old or not facts.exists)
    }


def _groups(wanted: WantedUser, facts: Account) -> str | None:
    if wanted.groups is None:
        return None
    kept = frozenset() if wanted.only_groups else facts.groups
    return ",".join(sorted({*wanted.groups, *kept} - {wanted.group or facts.group}))


def _with_shadow(wanted: WantedUser, facts: Account, changes: dict[str, tuple[str, str]]) -> Plan:
    options = [f"{_OPTIONS[name]} {quote(new)}" for name, (_, new) in changes.items() if name != "password"]
    if facts.exists and "home" in changes:
        options.append("-m")
    if not facts.exists:
        options += ["-r"] if wanted.system else []
        options += ["-m"] if wanted.create_home else ["-M"]
    steps = []
    if options:
        tool = "usermod" if facts.exists else "useradd"
        steps.append(Step(f"{_PATH} {tool} {' '.join(options)} -- {quote(wanted.name)}"))
    if "password" in changes:  # on its standard input: an argument can be read by all users of the host
        steps.append(Step(f"{_PATH} chpasswd -e", f"{wanted.name}:{wanted.password}\n".encode()))
    return Plan(tuple(steps), _told(wanted, facts, changes))


def _with_busybox(wanted: WantedUser, facts: Account, changes: dict[str, tuple[str, str]]) -> Plan:
    possible = {"password", "groups"} if facts.exists else set(changes)
    if not set(changes) <= possible:
        names = ", ".join(sorted(set(changes) - possible))
        raise StateError(f"{names} of the user {wanted.name} can't be changed without usermod; install 'shadow' first")
    steps = []
    if not facts.exists:
        letters = {"uid": "-u", "group": "-G", "comment": "-g", "home": "-h", "shell": "-s"}
        options = [f"{letters[name]} {quote(new)}" for name, (_, new) in changes.items() if name in letters]
        options += ["-S"] if wanted.system else []
        options += [] if wanted.create_home else ["-H"]
        steps.append(Step(f"{_PATH} adduser -D {' '.join([*options, quote(wanted.name)])}"))
    if "groups" in changes:
        new = set(filter(None, changes["groups"][1].split(",")))
        user = quote(wanted.name)
        steps += [Step(f"{_PATH} addgroup {user} {quote(name)}") for name in sorted(new - facts.groups)]
        steps += [Step(f"{_PATH} delgroup {user} {quote(name)}") for name in sorted(facts.groups - new)]
    if "password" in changes:
        steps.append(Step(f"{_PATH} chpasswd -e", f"{wanted.name}:{wanted.password}\n".encode()))
    return Plan(tuple(steps), _told(wanted, facts, changes))


def _told(wanted: WantedUser, facts: Account, changes: dict[str, tuple[str, str]]) -> str:
    lines = [] if facts.exists else [f"+ user {wanted.name}"]
    for name, (old, new) in changes.items():
        if name == "password":
            lines.append(f"+ password of {wanted.name}")
            continue
        if facts.exists:
            lines.append(f"- {name} of {wanted.name}: {old}")
        lines.append(f"+ {name} of {wanted.name}: {new}")
    return "".join(f"{line}\n" for line in lines)


def plan_group(
    name: str, facts: Group, *, state: State = "present", gid: int | None = None, system: bool = False
) -> Plan:
    """Return what makes a group as it is wanted.

    Raises:
        StateError: what is wanted makes no sense, or can't be done with the host's tools.
    """
    group = quote(_named(name, "group"))
    if state not in ("present", "absent"):
        raise StateError(f"a group can't be {state!r}: expected present or absent")
    if state == "absent":
        command = f"{_PATH} {'groupdel' if facts.shadow else 'delgroup'} {group}"
        return Plan((Step(command),), f"- group {name}\n") if facts.exists else Plan()
    number = f"-g {gid} " if gid is not None else ""
    if not facts.exists:
        kind = "-r " if facts.shadow and system else "-S " if system else ""
        command = f"{_PATH} {'groupadd' if facts.shadow else 'addgroup'} {number}{kind}{group}"
        return Plan((Step(command),), f"+ group {name}\n")
    if gid is None or gid == facts.gid:
        return Plan()
    if not facts.shadow:
        raise StateError(f"the number of the group {name} can't be changed without groupmod; install 'shadow' first")
    told = f"- gid of {name}: {facts.gid}\n+ gid of {name}: {gid}\n"
    return Plan((Step(f"{_PATH} groupmod {number}{group}"),), told)


def _named(name: str, kind: str) -> str:
    if not _NAME.fullmatch(name):
        raise StateError(f"{name!r} is no name of a {kind}: letters, digits, '_', '-' and '.', and no digit first")
    return name
