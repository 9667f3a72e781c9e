"""The shell on a host that is fed with steps: its program, how steps are written for it, and how its answers are read.

One ``sh`` a host does everything. It reads text up to a line ``NONCE run``, evaluates it, and tells by marks in its
output where each step begins and how it ended; the nonce is random, so no program's output can be taken for a mark.
A part that only copies the connection's input notices when the connection is gone and then ends what runs.

Programs that are started are what a deployment costs a host: what the shell can do by itself, it does. No I/O.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = [
    "Began",
    "Ended",
    "Marks",
    "Output",
    "Step",
    "bootstrap",
    "end_of_payload",
    "quote",
    "render",
    "stop_command",
]

PATIENCE = 5
"""Seconds that a command has between TERM and KILL."""
_TENTHS = str(PATIENCE * 10)

# Who is what: the outer shell ($$) leads our process group and waits for a pipeline. Its left part copies the input;
# when that ends, the client has gone. Its right part holds the lock and evaluates. A user's command runs in a session
# of its own, so that a daemon that it starts is not ended with us, and HUP to our group reaches only what is ours.
_STOP = """\
read_stat() { # $1: a process; sets parent and group
  read -r line <"/proc/$1/stat" || return 1
  set -- ${line##*") "}
  parent=$2 group=$3
}
read_children() { # $1: a process; sets children
  children=
  if [ -e "/proc/$1/task/$1/children" ]; then read -r children <"/proc/$1/task/$1/children"; return 0; fi
  for stat in /proc/[0-9]*; do # a kernel without CONFIG_PROC_CHILDREN
    id=${stat#/proc/}
    read_stat "$id" && [ "$parent" = "$1" ] && children="$children $id"
  done
}
stop_jobs() { # $1: the shell whose commands are ended  $2: the signal
  read_children "$1"
  for id in $children; do read_stat "$id" && [ "$group" = "$id" ] && jobs="$jobs $id"; done
  for id in $jobs; do kill -s "$2" -- "-$id"; done
}
stop_patiently() { # $1: the shell  $2: a pattern of commands
  jobs=; stop_jobs "$1" TERM
  n=0; while [ -z "$jobs" ] && [ -n "$children" ] && [ $n -lt 5 ]; do # a command that is just beginning its session
    sleep 0.1; n=$((n+1)); stop_jobs "$1" TERM
  done
  n=0; while [ $n -lt TENTHS ]; do
    alive=; for id in $jobs; do kill -s 0 -- "-$id" && alive=1; done
    [ -n "$alive" ] || return 0
    sleep 0.1; n=$((n+1))
  done
  stop_jobs "$1" KILL
}
""".replace("TENTHS", _TENTHS)

_PROGRAM = (
    _STOP
    + """\
trap : TERM HUP INT
exec 7<&0 </dev/null 2>&1
{
  trap '' TERM HUP INT
  read -r me rest </proc/self/stat
  echo "$me"
  cat <&7
  right=; kill -HUP 0
  read_children $$
  for id in $children; do [ "$id" = "$me" ] || right=$id; done
  [ -z "$right" ] || stop_patiently "$right"
  n=0; while [ -n "$right" ] && kill -0 "$right"; do
    [ $n -lt TENTHS ] || kill -KILL 0
    sleep 0.1; n=$((n+1))
  done
} 2>/dev/null | {
  exec 7<&-
  trap 'exit 129' HUP
  read -r SHELL_ID rest </proc/self/stat
  read -r LEFT
  trap 'kill -s KILL "$LEFT"; exit 143' TERM INT # from outside: nobody waits for the connection then
  IFS= read -r NONCE
  mark() { printf '\\036%s %s\\036' "$NONCE" "$*"; }
  NL='
'
  code=
  mark ready "$SHELL_ID"
  while IFS= read -r line; do
    case $line in
      "$NONCE run") ok=1; eval "$code"; code= ;;
      "$NONCE bye") kill -s KILL "$LEFT"; exit ;;
      *) code=$code$line$NL ;;
    esac
  done
}
""".replace("TENTHS", _TENTHS)
)

_BOOT = 'read -r a b c d e f </proc/$$/stat; [ "$e" = $$ ] || exec setsid /bin/sh -c "$1" genii; eval "$1"'


def bootstrap() -> str:
    """Return the command that starts the shell; it holds no secret, as others can see it."""
    return f"exec /bin/sh -c {quote(_BOOT)} genii {quote(_PROGRAM)}"


def stop_command(shell: int) -> str:
    """Return a command, for a second channel, that ends what runs in the shell with this process id."""
    return f"exec 2>/dev/null; {_STOP}stop_patiently {shell}"


def quote(text: str) -> str:
    """Return a word of the shell for a text."""
    return text if re.fullmatch(r"[A-Za-z0-9_./:=,+-]+", text) else "'" + text.replace("'", "'\"'\"'") + "'"


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a plan on one host.

    ``script`` is ours and runs in the deployment's root; ``commands`` are the user's and run one after the other, each
    in a session of its own, in ``directory`` with the variables of the deployment.
    """

    name: str
    script: str = ""
    commands: tuple[str, ...] = ()
    directory: str = ""
    payload: int = 0
    """Bytes that follow on the connection and are the standard input of ``script``."""
    note: str = ""
    """What it does, for people."""
    inline: bool = False
    """Whether the shell evaluates the script itself: what has to last (the directory, the lock), or is but a line."""
    always: bool = False
    """Whether it runs although one before it failed (clean-up)."""
    timeout: float = 0.0


def end_of_payload(nonce: str) -> bytes:
    """Return the line that follows a payload."""
    return f"{nonce} fed\n".encode()


def render(
    steps: Sequence[Step], nonce: str, first: int = 0, env: Mapping[str, str] | None = None, lines: Iterable[str] = ()
) -> bytes:
    """Return the text that has the shell take the steps, numbered from ``first``; one that fails is the last.

    ``env`` goes to the user's commands only. ``lines`` are evaluated before the steps.
    """
    text = list(lines)
    exports = " ".join(f"{name}={quote(value)}" for name, value in (env or {}).items())
    text.append(f"with_env() {{ {f'export {exports};' if exports else ':;'} }}")
    for number, step in enumerate(steps, first):
        guard = ":" if step.always else '[ "$ok" = 1 ]'
        text.append(f"if {guard}; then mark begin {number}\n{_body(step)}\nmark end {number} $rc")
        text.append("[ $rc = 0 ] || ok=0")
        if step.payload and not step.always:
            text.append(f"else head -c {step.payload} >/dev/null")
        text.append("fi")
        if step.payload:
            # Were its reader killed half-way, the rest of the payload would be taken for commands.
            text.append('IFS= read -r line && [ "$line" = "$NONCE fed" ] || { kill -s KILL "$LEFT"; exit 74; }')
    text.append("mark done")
    return ("\n".join(text) + f"\n{nonce} run\n").encode()


def _body(step: Step) -> str:
    if step.commands:
        return "rc=0\n" + "\n".join(_user(command, step.directory) for command in step.commands)
    if step.inline:
        return f"here() {{\n{step.script}\n}}\nhere </dev/null; rc=$?"
    if step.payload:
        # What a failed script does not read has to be read all the same: steps follow it.
        drain = "trap 'rc=$?; [ $rc = 0 ] || cat >/dev/null; exit $rc' EXIT"
        return f"head -c {step.payload} | ( {drain}; set -e; exec 9>&-\n{step.script}\n); rc=$?"
    return f"( set -e; exec 9>&-\n{step.script}\n) </dev/null; rc=$?"


def _user(command: str, directory: str) -> str:
    # Descriptor 9 is the lock: a daemon that the command starts must not keep it.
    return (
        f"[ $rc != 0 ] || {{ ( exec 9>&-; cd {quote(directory or '/')} || exit; with_env; "
        f"exec setsid /bin/sh -c {quote(command)} ) </dev/null; rc=$?; }}"
    )


class Began(msgspec.Struct, frozen=True):
    """A step has begun."""

    number: int


class Output(msgspec.Struct, frozen=True):
    """A step (or, -1, something between steps) wrote this."""

    number: int
    data: bytes


class Ended(msgspec.Struct, frozen=True):
    """A step has ended with an exit status (128 + N after signal N)."""

    number: int
    status: int


class Marks:
    """Take the shell's output as it comes and tell the events in it."""

    def __init__(self, nonce: str) -> None:
        self._mark = re.compile(rb"\x1e" + nonce.encode() + rb" ([a-z]+)((?: \d+)*)\x1e")
        self._start = b"\x1e" + nonce.encode()
        self._rest = b""
        self._step = -1
        self.shell = 0
        """The process id of the shell on the host, once it is ready."""
        self.done = 0
        """How many texts have been evaluated to their end."""

    def feed(self, data: bytes) -> list[Began | Output | Ended]:
        """Return what the next bytes tell; what may be the beginning of a mark waits for more."""
        events: list[Began | Output | Ended] = []
        data = self._rest + data
        position = 0
        for match in self._mark.finditer(data):
            self._add_output(events, data[position : match.start()])
            position = match.end()
            self._note(events, match[1], [int(word) for word in match[2].split()])
        rest = data[position:]
        cut = self._cut(rest)
        self._add_output(events, rest[:cut])
        self._rest = rest[cut:]
        return events

    def _cut(self, rest: bytes) -> int:
        """Return where the beginning of a mark may stand at the end of the bytes."""
        place = rest.rfind(b"\x1e")
        if place < 0 or len(rest) - place > len(self._start) + 64:
            return len(rest)
        tail = rest[place:]
        return place if self._start.startswith(tail) or tail.startswith(self._start) else len(rest)

    def _add_output(self, events: list[Began | Output | Ended], data: bytes) -> None:
        if data:
            events.append(Output(self._step, data))

    def _note(self, events: list[Began | Output | Ended], word: bytes, numbers: list[int]) -> None:
        if word == b"ready" and numbers:
            self.shell = numbers[0]
        elif word == b"begin" and numbers:
            self._step = numbers[0]
            events.append(Began(self._step))
        elif word == b"end" and len(numbers) > 1:
            events.append(Ended(*numbers[:2]))
            self._step = -1
        elif word == b"done":
            self.done += 1
