"""What has to be known of a host before a plan is made: how it is asked, and how the answer is read. No I/O."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from genii.deploy.history import History, read_history
from genii.deploy.layout import Layout
from genii.deploy.shell import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["BOOT", "LOCKED", "Facts", "Holder", "ask", "read_facts", "read_holder", "take_lock"]

_MOST_LINES = 1000
"""Of the record and of revisions.log: each release has a few lines."""
_MOST_ALTERED = 500
_AVAILABLE = re.compile(r"\s(\d+)\s+(?:\d+%|-)\s")
BOOT = "/proc/sys/kernel/random/boot_id"
"""What tells one run of a host's kernel from the next; random(4)."""

LOCKED = 75
"""The exit status of the lock step when somebody else has the lock (EX_TEMPFAIL of sysexits.h)."""


class Holder(msgspec.Struct, frozen=True):
    """Who has the lock of a host."""

    by: str = ""
    host: str = ""
    """The control machine."""
    at: str = ""
    what: str = ""
    shell: int = 0
    """The process id, on the host, of the shell that holds it."""

    def __str__(self) -> str:
        who = f"{self.by} on {self.host}" if self.by else "somebody"
        return f"{who}{f' since {self.at}' if self.at else ''}{f' ({self.what})' if self.what else ''}"


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a host answered."""

    exists: bool = True
    """Whether the directory that is deployed to is there at all."""
    history: History = History()
    current: str = ""
    """What ``current`` leads to, as it is written in the link; empty: there is none."""
    current_is: str = "link"
    """link, directory, file or nothing."""
    tree: str = ""
    """The identity of the files of ``.genii/tree``; empty: they can't be relied on."""
    altered: tuple[str, ...] | None = ()
    """Files in it that were written since; None: too many to tell."""
    missing: tuple[str, ...] = ()
    """Linked files that are not in ``shared``."""
    outputs: bool = False
    """Whether what ``install`` makes is there in the current release."""
    clock: int = 0
    free: int = 0
    """Bytes that are free where the releases are."""


def take_lock(root: str, holder: Holder) -> str:
    """Return the script (evaluated by the shell itself) that takes the lock and writes down by whom.

    It goes to the root and makes what is missing of the layout. The lock is flock(2) on a descriptor of the shell: when
    the shell is gone, so is the lock.
    """
    text = msgspec.json.encode(msgspec.structs.replace(holder, shell=0)).decode()[:-2]  # up to the number of the shell
    folders = " ".join(quote(f"{root}/{name}") for name in ("releases", "shared", ".genii"))
    tests = " && ".join(f"[ -d {quote(f'{root}/{name}')} ]" for name in ("releases", "shared", ".genii"))
    return f"""\
{{ {tests}; }} || {{ mkdir -p {quote(root)} && mkdir -p {folders}; }} || return 73
cd {quote(root)} || return 73
command -v flock >/dev/null || {{ echo "flock is missing on this host; install util-linux"; return 69; }}
true >>.genii/lock || return 73
exec 9>>.genii/lock
flock -n 9 || {{ exec 9>&-; cat .genii/holder; return {LOCKED}; }}
printf '%s%s}}\\n' {quote(text)} "$SHELL_ID" >.genii/holder 2>/dev/null
return 0"""


def ask(root: str, linked_files: Sequence[str], outputs: Sequence[str] = (), *, update: bool = True) -> str:
    """Return the script (evaluated by the shell itself) that answers what ``read_facts`` reads; it changes nothing.

    ``update`` asks also for what matters where something is to be brought: the clock, the room, the files of last time.
    """
    lines = [
        f"cd {quote(root)} 2>/dev/null || {{ echo absent; return 0; }}",
        "if [ -L current ]; then echo link; readlink current; elif [ -d current ]; then echo directory; echo",
        "elif [ -e current ]; then echo file; echo; else echo nothing; echo; fi",
        "date +%s; df -Pk ." if update else "echo",
        "echo found",
        'for name in releases/*; do [ -d "$name" ] && echo "release ${name#releases/}"; done',
    ]
    for number, path in enumerate(linked_files):
        lines.append(f"[ -e {quote(f'shared/{path}')} ] || echo 'missing {number}'")
    if outputs:
        lines.append(f"{' && '.join(f'[ -e current/{quote(path)} ]' for path in outputs)} && echo outputs")
    if update:
        lines.append(
            "if [ -s .genii/tree.id ] && read -r id boot <.genii/tree.id "
            f'&& read -r now <{BOOT} && case $boot in ""|"$now") ;; *) false ;; esac; then echo "tree $id"; '
            "find .genii/tree -type f -newer .genii/tree.id "
            f"| {{ n=0; while IFS= read -r path && [ $n -le {_MOST_ALTERED} ]; do "
            'echo "altered ${path#.genii/tree/}"; n=$((n+1)); done; }; fi'
        )
    lines.append("echo record; set --")
    lines.append('for name in .genii/releases.jsonl revisions.log; do [ -s "$name" ] && set -- "$@" "$name"; done')
    lines.append(f'[ $# = 0 ] || tail -n {_MOST_LINES} "$@"')
    lines.append("return 0")
    return "\n".join(lines)


def read_facts(root: str, answer: bytes, linked_files: Sequence[str]) -> Facts:
    """Return what the answer says.

    Raises:
        ValueError: it is no such answer.
    """
    text = answer.decode(errors="surrogateescape")
    lines = text.split("\n")
    if lines[0] == "absent":
        return Facts(exists=False, current_is="nothing")
    if lines[0] not in ("link", "directory", "file", "nothing") or "found" not in lines or "record" not in lines:
        raise ValueError(f"the host answered something unexpected: {text[:300]!r}")
    found, end = lines.index("found"), lines.index("record")
    told = list(_words(lines[found + 1 : end]))
    record = [line for line in lines[end + 1 :] if line.startswith("{")]
    revisions = [line for line in lines[end + 1 :] if not line.startswith("{")]
    releases = [value for key, value in told if key == "release"]
    altered = tuple(value for key, value in told if key == "altered")
    target = Layout(root).release_of(lines[1])
    current = target if target in releases else ""
    return Facts(
        history=read_history(releases, current, record, revisions),
        current=lines[1],
        current_is=lines[0],
        tree=next((value for key, value in told if key == "tree"), ""),
        altered=altered if len(altered) <= _MOST_ALTERED else None,
        missing=tuple(linked_files[int(value)] for key, value in told if key == "missing"),
        outputs=("outputs", "") in told,
        clock=_number(lines[2]),
        free=_free(lines[3:found]),
    )


def read_holder(text: str) -> Holder:
    """Return who wrote this into the lock; a stranger's text is shown as it is."""
    try:
        return msgspec.json.decode(text.strip(), type=Holder)
    except msgspec.MsgspecError:
        return Holder()


def _words(lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    for line in lines:
        key, _, value = line.partition(" ")
        yield key, value


def _free(lines: Sequence[str]) -> int:
    """Return the free bytes that df(1) tells of in POSIX's format, in KiB before the capacity in per cent."""
    found = _AVAILABLE.search("\n".join(lines[1:]))
    return int(found[1]) * 1024 if found else 0


def _number(text: str) -> int:
    return int(text) if text.strip().isdigit() else 0
