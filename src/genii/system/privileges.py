"""Who a process runs as and what it may use: look-ups, a full drop of privileges, resource limits.

See credentials(7), setgroups(2), setresuid(2), prlimit(2).
"""

from __future__ import annotations

import os
import resource
from typing import TYPE_CHECKING, NamedTuple

from genii.errors import NotAllowed, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["LIMIT_NAMES", "Identity", "become", "parse_limit_name", "read_limits", "resolve", "set_limits"]

LIMIT_NAMES: dict[str, int] = {
    name.removeprefix("RLIMIT_").lower(): getattr(resource, name)
    for name in sorted(dir(resource))
    if name.startswith("RLIMIT_") and name != "RLIMIT_OFILE"  # BSD's name of NOFILE, the same number
}
"""Short name of a resource limit (``nofile``) -> its number for prlimit(2)."""

_LIMIT_ALIASES = {"memory": "as", "files": "nofile", "processes": "nproc"}


class Identity(NamedTuple):
    """Who a process is to be: numbers for the kernel, and what its environment says (HOME, SHELL, USER)."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str
    shell: str
    name: str

    def environment(self) -> dict[str, str]:
        """Return the variables that login(1) would set."""
        return {"HOME": self.home, "SHELL": self.shell, "USER": self.name, "LOGNAME": self.name}


def resolve(user: str = "", group: str = "", groups: Iterable[str] | None = None) -> Identity:
    """Look up who is meant; names or decimal numbers, empty: the present user, the user's own group.

    ``groups`` are the supplementary groups; None: those of the user database. A number without an entry in the user
    database is allowed when the group is given. Raises ``UsageError`` for names that do not exist.
    """
    import pwd

    entry: pwd.struct_passwd | None
    try:
        if user == "":
            uid = os.geteuid()
            entry = pwd.getpwuid(uid)
        elif user.isdecimal():
            uid = _number(user, "user")
            entry = pwd.getpwuid(uid)
        else:
            entry = pwd.getpwnam(user)
            uid = entry.pw_uid
    except KeyError:
        if user and not user.isdecimal():
            raise UsageError(
                f"there is no user {user!r}; create it (adduser --system {user}) or name another"
            ) from None
        entry = None
    if group:
        gid = _group_number(group)
    elif entry is not None:
        gid = entry.pw_gid
    elif user == "":
        gid = os.getegid()
    else:
        raise UsageError(f"user number {user} is not in the user database, so its group must be given too")
    name = entry.pw_name if entry is not None else str(uid)
    if groups is not None:
        supplementary = tuple(dict.fromkeys(_group_number(each) for each in groups))
    elif entry is not None:
        supplementary = tuple(os.getgrouplist(name, gid))
    else:
        supplementary = (gid,)
    home = entry.pw_dir if entry is not None else "/"
    shell = entry.pw_shell if entry is not None and entry.pw_shell else "/bin/sh"
    return Identity(uid=uid, gid=gid, groups=supplementary, home=home, shell=shell, name=name)


def _group_number(group: str) -> int:
    import grp

    if group.isdecimal():
        return _number(group, "group")
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise UsageError(
            f"there is no group {group!r}; create it (addgroup --system {group}) or name another"
        ) from None


def _number(text: str, kind: str) -> int:
    number = int(text)
    if number >= 2**32 - 1:  # -1 means "leave as it is" to setresuid(2)
        raise UsageError(f"{text} is not a {kind} number")
    return number


def become(identity: Identity) -> None:
    """Turn this process into ``identity`` for good: supplementary groups, all group ids, all user ids, then verify.

    Nothing happens when the process is that already. Raises ``NotAllowed`` when it may not, or when the kernel did
    not do all of it; the caller must then end the process.
    """
    if os.geteuid() != 0:
        if _mismatch(identity, check_groups=False):
            raise NotAllowed(f"only root can become user {identity.name!r}; start this as root, or leave the user out")
        return
    try:
        os.setgroups(identity.groups)
        os.setresgid(identity.gid, identity.gid, identity.gid)
        os.setresuid(identity.uid, identity.uid, identity.uid)
    except OSError as error:
        raise NotAllowed(f"could not become user {identity.name!r}: {error.strerror}") from None
    wrong = _mismatch(identity, check_groups=True)
    if wrong:
        raise NotAllowed(f"dropping privileges to user {identity.name!r} left {wrong} behind")
    if identity.uid != 0 and _can_regain():
        raise NotAllowed(f"user {identity.name!r} can become root again; not going on")


def _mismatch(identity: Identity, *, check_groups: bool) -> str:
    if os.getresuid() != (identity.uid,) * 3:
        return "a user id"
    if os.getresgid() != (identity.gid,) * 3:
        return "a group id"
    if check_groups and set(os.getgroups()) - {identity.gid} != set(identity.groups) - {identity.gid}:
        return "supplementary groups"
    return ""


def _can_regain() -> bool:
    try:
        os.setuid(0)
    except OSError:
        return False
    return True


def parse_limit_name(name: str) -> int:
    """Return the number of a resource limit (``"nofile"``, ``"RLIMIT_CORE"``, ``"memory"``: the address space).

    Raises ``ValueError`` with the names there are.
    """
    short = name.strip().lower().removeprefix("rlimit_")
    short = _LIMIT_ALIASES.get(short, short)
    if short not in LIMIT_NAMES:
        raise ValueError(f"{name!r} is not a resource limit; there are {', '.join(LIMIT_NAMES)}")
    return LIMIT_NAMES[short]


def set_limits(limits: Mapping[str, tuple[int, int]]) -> None:
    """Set the (soft, hard) resource limits of this process by name; -1: unlimited.

    Raises ``NotAllowed`` when a hard limit would have to be raised without the privilege to do so.
    """
    for name, (soft, hard) in limits.items():
        number = parse_limit_name(name)
        try:
            resource.setrlimit(number, (soft, hard))
        except (OSError, ValueError) as error:
            now = resource.getrlimit(number)
            raise NotAllowed(
                f"could not set limit {name} to {_limit(soft)}:{_limit(hard)}: {error}"
                f" (it is {_limit(now[0])}:{_limit(now[1])}; raising the second needs root, see also fs.nr_open)"
            ) from None


def _limit(value: int) -> str:
    return "unlimited" if value == resource.RLIM_INFINITY else str(value)


def read_limits(pid: int) -> dict[str, tuple[int, int]]:
    """Return the (soft, hard) resource limits that a running process has now, by short name; -1: unlimited.

    Raises ``ProcessLookupError`` or ``PermissionError``.
    """
    return {name: resource.prlimit(pid, number) for name, number in LIMIT_NAMES.items()}
