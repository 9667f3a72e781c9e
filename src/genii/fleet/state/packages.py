"""Packages of the families of Linux: a table of their commands, and one rule for all of them. No I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING, Literal

from genii.fleet.state.plan import Plan, Question, StateError, Step

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    State = Literal["present", "absent", "latest"]

__all__ = ["FAMILIES", "Family", "Packages", "ask_packages", "plan_packages", "refresh_index"]

_NAME = re.compile(r"[A-Za-z0-9@][A-Za-z0-9@+._:~-]*")


@dataclass(frozen=True, slots=True)
class Family:
    """How one package manager is asked and told; ``$p`` is the name of a package.

    Its questions may print what they like: the patterns find the version in it.
    """

    installed: str
    installed_version: str
    """A pattern; its group is the version, no match: not installed."""
    newer: str
    newer_version: str
    """A pattern; its group is the version that could be installed instead, no match: there is none."""
    install: str
    upgrade: str
    remove: str
    purge: str
    refresh: str
    pinned: str
    """How a version is asked for; empty: this manager can't."""
    index: str = ""
    """A test that fails while the manager has no list of what there is; empty: it fetches that by itself."""


_APT = "DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l apt-get -q -y -o DPkg::Lock::Timeout=300"
_APT_INSTALL = f"{_APT} -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold"
_RPM_FORMAT = "--qf 'installed %{VERSION}-%{RELEASE}\\n'"
_RPM = f'rpm -q {_RPM_FORMAT} "$p" || rpm -q {_RPM_FORMAT} --whatprovides "$p"'
_RPM_VERSION = r"(?m)^installed (\S+)$"


def _yum(command: str) -> Family:
    return Family(
        installed=_RPM,
        installed_version=_RPM_VERSION,
        newer=f'{command} -q check-update "$p"',
        newer_version=r"(?m)^\S+\.\w+\s+(\S+)\s+\S+\s*$",
        install=f"{command} -y -q install",
        upgrade=f"{command} -y -q upgrade",
        remove=f"{command} -y -q remove",
        purge=f"{command} -y -q remove",
        refresh=f"{command} -q makecache",
        pinned="{name}-{version}",
    )


FAMILIES: Mapping[str, Family] = {
    "apt": Family(
        installed="dpkg-query -W -f='${db:Status-Abbrev}\\t${Version}\\n' \"$p\"",
        installed_version=r"(?m)^[ih]i\s*\t(\S+)",
        newer='LC_ALL=C apt-cache policy "$p"',
        newer_version=r"Installed: (\S+)\s+Candidate: (?!\1\s)(?!\(none\))(?P<version>\S+)",
        install=f"{_APT_INSTALL} install",
        upgrade=f"{_APT_INSTALL} install",
        remove=f"{_APT} remove",
        purge=f"{_APT} purge",
        refresh=f"{_APT} update",
        pinned="{name}={version}",
        index="ls /var/lib/apt/lists/*_Packages* >/dev/null 2>&1",
    ),
    "dnf": _yum("dnf"),
    "yum": _yum("yum"),
    "zypper": Family(
        installed=_RPM,
        installed_version=_RPM_VERSION,
        newer='LC_ALL=C zypper -q -n info "$p"',
        newer_version=r"(?m)^Version\s*: (\S+)$[\s\S]*?^Status\s*: out-of-date",
        install="zypper -q -n install --auto-agree-with-licenses",
        upgrade="zypper -q -n update --auto-agree-with-licenses",
        remove="zypper -q -n remove",
        purge="zypper -q -n remove --clean-deps",
        refresh="zypper -q -n refresh",
        pinned="{name}={version}",
    ),
    "apk": Family(
        installed='apk info -e -v "$p"',
        installed_version=r"(?m)^\S+?-(\d\S*)$",
        newer="apk version -l '<' \"$p\"",
        newer_version=r"(?m)^\S+\s+<\s+(\S+)",
        install="apk add -q",
        upgrade="apk add -q -u",
        remove="apk del -q",
        purge="apk del -q --purge",
        refresh="apk update -q",
        pinned="{name}={version}",
        index="ls /var/cache/apk/APKINDEX* /lib/apk/db/APKINDEX* /etc/apk/cache/APKINDEX* 2>/dev/null | grep -q .",
    ),
    "pacman": Family(
        installed='pacman -Q "$p"',
        installed_version=r"(?m)^\S+ (\S+)$",
        newer='pacman -Qu "$p"',
        newer_version=r"(?m)^\S+ \S+ -> (\S+)$",
        install="pacman -S --noconfirm --needed -q",
        upgrade="pacman -S --noconfirm --needed -q",
        remove="pacman -R --noconfirm",
        purge="pacman -Rns --noconfirm",
        refresh="pacman -Sy -q",
        pinned="",
        index="ls /var/lib/pacman/sync/*.db >/dev/null 2>&1",
    ),
}


@dataclass(frozen=True, slots=True)
class Packages:
    """What a host has of the packages that were asked for."""

    installed: Mapping[str, str]
    """Name -> version of those that are there."""
    newer: Mapping[str, str]
    """Name -> version that could replace it."""
    index: bool = True
    """Whether the host knows what there is to install."""


def ask_packages(family: str, names: Sequence[str], *, newer: bool = False) -> Question[Packages]:
    """Return the question which of the packages are there, and by choice which have newer versions.

    Raises:
        StateError: a name that no package can have, or an unknown family.
    """
    if not names:
        raise StateError("name one package or more")
    table = _family(family)
    bare = [_split(name)[0] for name in names]
    words = " ".join(quote(name) for name in bare)
    test = f"if {table.index}; then echo '#index'; fi" if table.index else "echo '#index'"
    lines = [test, f"for p in {words}; do", 'echo "#installed $p"', f"{table.installed}"]
    if newer:
        lines += ['echo "#newer $p"', table.newer]
    script = "\n".join(["exec 2>/dev/null", *lines, "done", "true"])
    return Question(script, lambda answer: _read(table, answer))


def _read(table: Family, answer: bytes) -> Packages:
    found: dict[str, dict[str, str]] = {"installed": {}, "newer": {}}
    patterns = {"installed": table.installed_version, "newer": table.newer_version}
    text = answer.decode(errors="replace")
    for block in re.split(r"(?m)^#(?=installed |newer )", text)[1:]:
        head, _, body = block.partition("\n")
        kind, _, name = head.partition(" ")
        match = re.search(patterns[kind], body)
        if match is not None:
            found[kind][name] = match.groupdict().get("version") or match[1]
    return Packages(found["installed"], found["newer"], "#index" in text.split("\n", 1)[0])


def plan_packages(
    family: str,
    names: Sequence[str],
    facts: Packages,
    *,
    state: State = "present",
    purge: bool = False,
    options: str = "",
) -> Plan:
    """Return what makes the packages present, absent, or as new as they can be.

    A name may carry a version, ``name=1.2``. ``options`` are added to the command as they are.

    Raises:
        StateError: what is wanted makes no sense for this family.
    """
    table = _family(family)
    if state not in ("present", "absent", "latest"):
        raise StateError(f"a package can't be {state!r}: expected present, absent or latest")
    pairs = [_split(name) for name in names]
    extra = f" {options}" if options else ""
    if state == "absent":
        gone = [name for name, _ in pairs if name in facts.installed]
        command = (table.purge if purge else table.remove) + extra
        return _plan(
            [(command, [quote(name) for name in gone])], [f"- {name} {facts.installed[name]}" for name in gone]
        )
    missing = [(name, version) for name, version in pairs if _is_missing(facts, name, version)]
    old = [(name, version) for name, version in pairs if state == "latest" and (name, version) not in missing]
    old = [(name, version) for name, version in old if name in facts.newer]
    if not (missing or old):
        return Plan()
    commands = [] if facts.index else [(table.refresh, [""])]
    commands.append((table.install + extra, [quote(_pin(table, family, *pair)) for pair in missing]))
    commands.append((table.upgrade + extra, [quote(name) for name, _ in old]))
    lines = [f"- {name} {facts.installed[name]}" for name, _ in [*missing, *old] if name in facts.installed]
    lines += [f"+ {name} {version or 'newest'}" for name, version in missing]
    lines += [f"+ {name} {facts.newer[name]}" for name, _ in old]
    return _plan(commands, lines)


def refresh_index(family: str) -> Step:
    """Return the step that has a package manager learn what there is to install."""
    return Step(_family(family).refresh)


def _plan(commands: list[tuple[str, list[str]]], lines: list[str]) -> Plan:
    steps = tuple(Step(f"{command} {' '.join(words)}".rstrip()) for command, words in commands if words)
    return Plan(steps, "".join(f"{line}\n" for line in lines))


def _is_missing(facts: Packages, name: str, version: str) -> bool:
    there = facts.installed.get(name)
    if there is None:
        return True
    # "1.2" is content with release 1.2-3 of a distribution, which is how dnf and pacman think of it, too.
    return bool(version) and there != version and not there.startswith(f"{version}-")


def _family(name: str) -> Family:
    if name not in FAMILIES:
        known = ", ".join(FAMILIES)
        raise StateError(f"the host has no package manager that is known here ({known})")
    return FAMILIES[name]


def _split(name: str) -> tuple[str, str]:
    bare, _, version = name.partition("=")
    if not _NAME.fullmatch(bare) or (version and not _NAME.fullmatch(version)):
        raise StateError(f"{name!r} is no name of a package; write for example 'nginx' or 'nginx=1.22.1-9'")
    return bare, version


def _pin(table: Family, family: str, name: str, version: str) -> str:
    if not version:
        return name
    if not table.pinned:
        raise StateError(f"{family} can't install a certain version ({name}={version}); leave it out")
    return table.pinned.format(name=name, version=version)
