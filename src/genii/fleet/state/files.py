"""Files, directories and links of a host: content, mode, owner. No I/O.

A file is never written in place: a new one is made beside it and renamed over it, so that nobody sees half of it and
a full disk leaves the old one as it was. Where a check goes with it, a file that fails the check does not stay.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING, Literal

from genii.fleet.state.difference import unified
from genii.fleet.state.plan import Plan, Question, StateError, Step

if TYPE_CHECKING:
    State = Literal["present", "absent", "directory", "link", "touch"]

__all__ = ["CHECK_FAILED", "File", "WantedFile", "ask_file", "plan_file"]

_OWNER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\$?")
_HEAD = re.compile(rb"genii:(\w+):([0-7]*):([^:\n]*):([^:\n]*):(\d*):([^\n]*)\n")
CHECK_FAILED = 92
"""The exit status of a step whose check said no; everything is as it was."""


@dataclass(frozen=True, slots=True)
class File:
    """What a host has at a path."""

    kind: str = ""
    """``file``, ``directory``, ``link``, ``other``, or nothing."""
    mode: int = 0
    owner: str = ""
    group: str = ""
    size: int = 0
    target: str = ""
    """Where a link leads."""
    content: bytes = b""
    """Of a file whose content was asked for."""


@dataclass(frozen=True, slots=True)
class WantedFile:
    """How a path shall be; what is None or empty is left as it is, or as the host makes it."""

    path: str
    state: State = "present"
    content: bytes | None = None
    target: str = ""
    mode: int | None = None
    owner: str = ""
    group: str = ""
    check: str = ""
    """A command that must pass; ``{path}`` is the new file before it takes the old one's place."""
    backup: bool = False


def ask_file(path: str, *, content: bool = True) -> Question[File]:
    """Return the question what is at a path.

    Raises:
        StateError: the path is not absolute.
    """
    _absolute(path)
    show = 'if [ $k = file ]; then cat -- "$p" || exit; fi' if content else ""
    script = f"""p={quote(path)}
k=
if [ -L "$p" ]; then k=link; elif [ -f "$p" ]; then k=file; elif [ -d "$p" ]; then k=directory
elif [ -e "$p" ]; then k=other; fi
[ -n "$k" ] || exit 0
s=$(stat -c '%a:%U:%G:%s' -- "$p") || exit
t=; [ $k = link ] && t=$(readlink -- "$p")
printf 'genii:%s:%s:%s\\n' "$k" "$s" "$t"
{show}
true"""
    return Question(script, _read)


def _read(answer: bytes) -> File:
    match = _HEAD.match(answer)
    if match is None:
        return File()
    kind, mode, owner, group, size, target = (part.decode(errors="surrogateescape") for part in match.groups())
    return File(kind, int(mode or "0", 8), owner, group, int(size or 0), target, answer[match.end() :])


def plan_file(wanted: WantedFile, facts: File) -> Plan:
    """Return what makes a path as it is wanted.

    Raises:
        StateError: what is wanted makes no sense, or something of another kind is in its place.
    """
    _examine(wanted)
    if wanted.state == "absent":
        return _remove(wanted, facts)
    if facts.kind and facts.kind != _KINDS[wanted.state] and not (wanted.state == "touch" and facts.kind != "other"):
        raise StateError(
            f"{wanted.path} is a {facts.kind} on the host, not a {_KINDS[wanted.state]}; remove it first, "
            "with state='absent'"
        )
    if wanted.state == "link":
        return _link(wanted, facts)
    if wanted.state == "directory":
        made = "" if facts.kind else f"mkdir -p -- {quote(wanted.path)}"
        return _with_attributes(wanted, facts, made, f"+ directory {wanted.path}\n" if made else "")
    if wanted.state == "touch" or wanted.content is None:
        return _touch(wanted, facts)
    if facts.kind == "file" and facts.content == wanted.content:
        return _with_attributes(wanted, facts, "", "")
    return _write(wanted, facts, wanted.content)


_KINDS = {"present": "file", "directory": "directory", "link": "link", "touch": "file"}


def _examine(wanted: WantedFile) -> None:
    path = _absolute(wanted.path)
    if wanted.state not in (*_KINDS, "absent"):
        raise StateError(f"{path}: a file can't be {wanted.state!r}: expected absent, {', '.join(_KINDS)}")
    if (wanted.state == "link") != bool(wanted.target):
        raise StateError(f"{path}: a link needs a target, and nothing else has one")
    if wanted.content is not None and wanted.state != "present":
        raise StateError(f"{path}: only a file has content, not what is {wanted.state!r}")
    if wanted.check and wanted.content is None:
        raise StateError(f"{path}: a check is for a file's content; give it with content= or source=")
    for name in (wanted.owner, wanted.group):
        if name and not _OWNER.fullmatch(name):
            raise StateError(f"{path}: {name!r} is no name of a user or group")
    if wanted.mode is not None and not 0 <= wanted.mode <= 0o7777:
        raise StateError(f"{path}: {wanted.mode} is no mode; write for example 0o644")


def _absolute(path: str) -> str:
    if not posixpath.isabs(path) or any(character in path for character in "\0\n"):
        raise StateError(f"{path!r} is no path that works here: it is to begin with '/', and to be one line")
    return path


def _remove(wanted: WantedFile, facts: File) -> Plan:
    if not facts.kind:
        return Plan()
    if posixpath.normpath(wanted.path).strip("/") == "":
        raise StateError(f"{wanted.path} is the root of the host; genii does not remove it")
    recursive = "-rf" if facts.kind == "directory" else "-f"
    told = unified(wanted.path, facts.content, None) if facts.kind == "file" else f"- {facts.kind} {wanted.path}\n"
    return Plan((Step(f"rm {recursive} -- {quote(wanted.path)}"),), told)


def _link(wanted: WantedFile, facts: File) -> Plan:
    if facts.target == wanted.target:
        return Plan()
    path, beside = quote(wanted.path), quote(f"{wanted.path}.genii-new")
    # A new link renamed over the old one: at no time is there none.
    command = f"rm -f -- {beside} && ln -s -- {quote(wanted.target)} {beside} && mv -fT -- {beside} {path}"
    told = f"- link {wanted.path} -> {facts.target}\n" if facts.kind else ""
    return Plan((Step(command),), f"{told}+ link {wanted.path} -> {wanted.target}\n")


def _touch(wanted: WantedFile, facts: File) -> Plan:
    if facts.kind:
        return _with_attributes(wanted, facts, "", "")
    return _with_attributes(wanted, facts, f": >> {quote(wanted.path)}", unified(wanted.path, None, b""))


def _with_attributes(wanted: WantedFile, facts: File, command: str, told: str) -> Plan:
    """Return a plan of a command, if any, and the attributes that differ."""
    commands, lines = [command] if command else [], [told] if told else []
    commands += _attributes(wanted, facts, wanted.path)
    if facts.kind:
        lines += _told_attributes(wanted, facts)
    return Plan(tuple(Step(one) for one in commands), "".join(lines))


def _attributes(wanted: WantedFile, facts: File, path: str) -> list[str]:
    owner = wanted.owner if wanted.owner != facts.owner else ""
    group = wanted.group if wanted.group != facts.group else ""
    commands = [f"chown -- {owner}{':' if group else ''}{group} {quote(path)}"] if owner or group else []
    if wanted.mode is not None and (wanted.mode != facts.mode or commands):  # chown(2) takes set-user-ID away
        commands.append(f"chmod -- {wanted.mode:04o} {quote(path)}")
    return commands


def _told_attributes(wanted: WantedFile, facts: File) -> list[str]:
    lines = []
    if wanted.mode is not None and wanted.mode != facts.mode:
        lines.append(f"- mode of {wanted.path}: {facts.mode:04o}\n+ mode of {wanted.path}: {wanted.mode:04o}\n")
    for name, old, new in (("owner", facts.owner, wanted.owner), ("group", facts.group, wanted.group)):
        if new and new != old:
            lines.append(f"- {name} of {wanted.path}: {old}\n+ {name} of {wanted.path}: {new}\n")
    return lines


def _write(wanted: WantedFile, facts: File, content: bytes) -> Plan:
    old = facts.content if facts.kind else None
    lines = [unified(wanted.path, old, content), *(_told_attributes(wanted, facts) if facts.kind else [])]
    return Plan((Step(_writing(wanted, facts), content),), "".join(lines))


def _writing(wanted: WantedFile, facts: File) -> str:
    """Return the script that reads the content and puts it in place, or leaves everything as it was."""
    folder, name = posixpath.split(wanted.path)
    lines = [
        f"p={quote(wanted.path)}",
        f"n=$(mktemp -- {quote(posixpath.join(folder, f'.{name}.genii-XXXXXX'))}) || exit",
        "trap 'rm -f -- \"$n\"' EXIT",
        'cat > "$n" || exit',
    ]
    if facts.kind:  # what the old one had stays, as far as we may give it
        lines.append('chown -- "$(stat -c %u:%g -- "$p")" "$n" 2>/dev/null')
    if wanted.owner or wanted.group:
        lines.append(f'chown -- {wanted.owner}{":" if wanted.group else ""}{wanted.group} "$n" || exit')
    mode = wanted.mode if wanted.mode is not None or not facts.kind else facts.mode
    lines.append(f'chmod -- {mode:04o} "$n" || exit' if mode is not None else _UMASK)
    if "{path}" in wanted.check:
        check = wanted.check.replace("{path}", '"$n"')
        lines.append(f"( {check} ) || exit {CHECK_FAILED}")
    if wanted.backup and facts.kind:
        lines.append('cp -p -- "$p" "$p.bak" || exit')
    if wanted.check and "{path}" not in wanted.check:
        lines += _tried(wanted.check, existed=bool(facts.kind))
    else:
        lines.append('mv -f -- "$n" "$p"')
    return "\n".join(lines)


_UMASK = 'chmod "$(printf %o $((0666 & ~0$(umask))))" "$n" || exit'
"""mktemp(1) makes files that only their owner can read."""


def _tried(check: str, *, existed: bool) -> list[str]:
    """Return what puts the new file in place, and the old one back when the check of the whole says no."""
    keep, restore = ('ln -f -- "$p" "$o" || exit', 'mv -f -- "$o" "$p"') if existed else (":", 'rm -f -- "$p"')
    return [
        'o="$n-old"',
        'trap \'rm -f -- "$n" "$o"\' EXIT',
        keep,
        'mv -f -- "$n" "$p" || exit',
        f"( {check} ) || {{ {restore}; exit {CHECK_FAILED}; }}",
    ]
