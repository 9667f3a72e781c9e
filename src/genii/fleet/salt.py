"""Salt as the way to hosts that have a minion: whole commands, through the master's own client.

This runs on the Salt master (or where its client may be used), by the Python that Salt is installed for: see
``salt_bridge``. A command is one ``cmd.run_all`` job: its input is sent along, its output is kept in a folder of the
host until it has ended, and fetched from there in pieces that the master's event bus takes. Larger input goes ahead
in pieces of its own, as salt-cp(1) sends files. So there is no dialogue: no terminal, no answer to a prompt.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import secrets
import shlex
from asyncio.subprocess import PIPE
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from genii.errors import UsageError
from genii.fleet.patience import CLOSING, KILLING
from genii.fleet.transport import ConnectionFailed, Host
from genii.units import format_duration

if TYPE_CHECKING:
    from asyncio.subprocess import Process

    from genii.config.fleet import FleetSettings
    from genii.fleet.transport import Connection, RemoteProcess

__all__ = ["SaltConnection", "SaltTransport"]

_LONGEST_ANSWER = 1 << 26
_STARTING = 60.0
_SENT_AT_ONCE = 1 << 20
_FETCHED_AT_ONCE = 192 << 10
"""Of each stream; both of them in base64 stay below what the event bus takes (max_event_size, 1 MiB)."""
_MAKE = "mkdir -m 700 -- {folder} || exit"
_ADD = "umask 077; {make}; base64 -d >>{folder}/in"
# The pid is written before the mark is looked for, and a killer does both the other way round: one of them sees it.
_RUN = """u=$(umask); umask 077; d={folder}; {make}
base64 -d >>"$d/in" || exit
(umask "$u"; exec setsid sh -c 'echo $$ >"$0/pid"; [ ! -d "$0/killed" ] || exit 137; exec sh -c "$1"' "$d" {command} \
<"$d/in" >"$d/out" 2>"$d/err")
s=$?; o=$(wc -c <"$d/out"); e=$(wc -c <"$d/err")
echo genii "$s" "$o" "$e"; head -c {limit} "$d/out" | base64; echo .; head -c {limit} "$d/err" | base64
[ "$o" -gt {limit} ] || [ "$e" -gt {limit} ] || rm -rf -- "$d"
"""
_FETCH = "tail -c +{begin} {folder}/{stream} | head -c {limit} | base64"
_KILL = "mkdir -m 700 {folder} 2>/dev/null; mkdir {folder}/killed; p=$(cat {folder}/pid) && kill -9 -$p"
_REMOVE = "rm -rf -- {folder}"


class SaltTransport:
    """Reach the minions of a Salt master."""

    def __init__(self, settings: FleetSettings, program: str = "salt") -> None:
        """Look for Salt.

        Raises:
            UsageError: it is not installed here.
        """
        import shutil

        found = shutil.which(program)
        if found is None:
            raise UsageError(f"there is no {program!r} on this machine; run genii on the Salt master, or reach by SSH")
        script = os.path.join(os.path.dirname(__file__), "salt_bridge.py")
        # Isolated: modules beside that script must not be taken for Salt's.
        self._words = [
            _python_of(found),
            "-I",
            script,
            os.path.join(os.path.expanduser(settings.salt_config), "master"),
        ]
        self._patience = settings.connect_timeout
        self._bridge: _Bridge | None = None
        self._opening = asyncio.Lock()
        self._folders: list[str] = []
        self._commands: dict[str, int] = {}

    async def connect(self, host: Host) -> Connection:
        """Ask the minion for a sign of life.

        Raises:
            ConnectionFailed: there is none, or Salt refuses.
        """
        bridge = await self._open(host)
        try:
            async with asyncio.timeout(self._patience):
                found = await bridge.call(host, "test.ping")
        except TimeoutError:
            message = f"{host.name}: its minion does not answer within {format_duration(self._patience)}"
            raise ConnectionFailed(message) from None
        if found is not True:
            raise ConnectionFailed(f"{host.name}: its minion says {str(found).strip()}")
        return SaltConnection(host, bridge, self)

    async def close(self) -> None:
        """End the client."""
        bridge, self._bridge = self._bridge, None
        if bridge is not None:
            await bridge.close()

    def folder(self, minion: str) -> str:
        """Return the name of a folder for the next command of a minion: nobody can guess it.

        The first command of each minion has the same one, and so on: questions that are alike are one job of Salt's.
        """
        count = self._commands[minion] = self._commands.get(minion, 0) + 1
        while len(self._folders) < count:
            self._folders.append(f"/tmp/genii-{secrets.token_hex(16)}")  # noqa: S108 -- made with mode 0700, or not used
        return self._folders[count - 1]

    async def _open(self, host: Host) -> _Bridge:
        async with self._opening:
            if self._bridge is None:
                bridge = _Bridge(self._words)
                try:
                    async with asyncio.timeout(_STARTING):
                        await bridge.open()
                except (TimeoutError, OSError) as error:
                    await bridge.close()
                    raise ConnectionFailed(f"{host.name}: Salt's client does not start: {error}") from error
                self._bridge = bridge
            return self._bridge


def _python_of(program: str) -> str:
    """Return the Python that runs a program of Salt: its first line names it, or Salt's packages bring one along.

    Raises:
        UsageError: there is none.
    """
    path = os.path.realpath(program)
    with open(path, "rb") as file:
        words = file.readline(256).removeprefix(b"#!").decode("utf-8", "replace").split()
    if words and "python" in os.path.basename(words[0]):
        return words[0]
    for candidate in ("bin/python3", "python3"):
        found = os.path.join(os.path.dirname(path), candidate)
        if os.path.exists(found):
            return found
    raise UsageError(f"{program} does not tell which Python Salt is installed for")


class _Bridge:
    """Salt's client in a process of its own."""

    def __init__(self, words: list[str]) -> None:
        self._words = words
        self._process: Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._count = 0
        self._ended = ""

    async def open(self) -> None:
        """Start it and wait until it can be asked; question 0 is whether it is ready.

        Raises:
            OSError: it can't be started.
            ConnectionFailed: Salt has something against it.
        """
        # Salt says much on standard error that is of no use here; what matters comes as an answer.
        self._process = await asyncio.create_subprocess_exec(
            *self._words, stdin=PIPE, stdout=PIPE, stderr=asyncio.subprocess.DEVNULL, limit=_LONGEST_ANSWER
        )
        assert self._process.stdout is not None
        first = json.loads(await self._process.stdout.readline() or '{"error": "it ended without a word"}')
        if "error" in first:
            await self.close()
            raise ConnectionFailed(f"Salt: {first['error']}")
        self._reader = asyncio.create_task(self._read(self._process.stdout))

    async def _read(self, source: asyncio.StreamReader) -> None:
        with suppress(ValueError, ConnectionError):  # what is no answer any more ends it
            while line := await source.readline():
                answer = json.loads(line)
                waiting = self._waiting.pop(answer["id"], None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(answer)
        self._ended = "Salt's client has ended"
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_result({"error": self._ended})
        self._waiting.clear()

    async def call(self, host: Host, function: str, *arguments: str, **keywords: Any) -> Any:
        """Run a function on the host's minion and return what it returns.

        Raises:
            ConnectionFailed: Salt refuses, or the minion has gone.
        """
        if self._ended or self._process is None:
            raise ConnectionFailed(f"{host.name}: {self._ended or 'the connection is closed'}")
        assert self._process.stdin is not None
        self._count += 1
        number = self._count
        question = {
            "id": number, "minion": host.address or host.name,
            "function": function, "arguments": arguments, "keywords": keywords,
        }  # fmt: skip
        waiting = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            self._process.stdin.write(json.dumps(question).encode() + b"\n")
            await self._process.stdin.drain()
            answer = await waiting
        except ConnectionError:
            answer = {"error": "Salt's client has ended"}
        finally:
            self._waiting.pop(number, None)
        if "error" in answer:
            raise ConnectionFailed(f"{host.name}: {answer['error']}")
        return answer["return"]

    async def shell(self, host: Host, script: str, data: bytes = b"") -> tuple[int, str, str]:
        """Run a script on the host, with data in base64 as its input; return its status, output and errors.

        Raises:
            ConnectionFailed: it was not run.
        """
        found = await self.call(
            host, "cmd.run_all", script, python_shell=True, output_loglevel="quiet",
            stdin=base64.b64encode(data).decode(),
        )  # fmt: skip
        if not isinstance(found, dict) or "retcode" not in found:
            raise ConnectionFailed(f"{host.name}: its minion says {str(found).strip()}")
        return int(found["retcode"]), str(found.get("stdout", "")), str(found.get("stderr", ""))

    async def close(self) -> None:
        """End it."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(CLOSING):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        if self._reader is not None:
            await self._reader


class SaltConnection:
    """A minion that has answered."""

    interactive = False

    def __init__(self, host: Host, bridge: _Bridge, transport: SaltTransport) -> None:
        self._host = host
        self._bridge = bridge
        self._transport = transport
        self._running: set[_SaltProcess] = set()

    @property
    def host(self) -> Host:
        """The host at the other end."""
        return self._host

    async def start(self, command: str, *, terminal: bool = False, no_input: bool = False) -> RemoteProcess:
        """Prepare a command; it runs when its input has ended.

        Raises:
            ConnectionFailed: it wants a terminal.
        """
        if terminal:
            raise ConnectionFailed(f"{self._host.name}: Salt carries whole commands, no dialogues; use SSH for this")
        process = _SaltProcess(self._host, self._bridge, command, self._transport.folder(self._host.name))
        self._running = {one for one in self._running if not one.ended} | {process}
        if no_input:
            await process.write_end()
        return process

    async def connect_unix(self, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Refuse: Salt forwards nothing.

        Raises:
            ConnectionFailed: always.
        """
        raise ConnectionFailed(f"{self._host.name}: {path}: Salt forwards no sockets; use SSH for this")

    async def close(self) -> None:
        """Kill what still runs."""
        await asyncio.gather(
            *(process.kill() for process in self._running if not process.ended), return_exceptions=True
        )


@dataclass
class _Stream:
    """One stream of a command that has ended: what has come of it, and how much there is on the host."""

    name: str
    held: bytes
    position: int
    size: int


class _SaltProcess:
    """A command: a job as soon as its input has ended."""

    def __init__(self, host: Host, bridge: _Bridge, command: str, folder: str) -> None:
        self._host = host
        self._bridge = bridge
        self._command = command
        self._folder = folder
        self._input = bytearray()
        self._made = False
        self._job: asyncio.Task[None] | None = None
        self._begun = asyncio.Event()
        self._status = 0
        self._killed = False
        self._streams: dict[str, _Stream] = {}
        self._error: ConnectionFailed | None = None

    @property
    def ended(self) -> bool:
        """Whether it has ended, or was never begun."""
        return self._job is None or self._job.done()

    async def read(self, limit: int = 65536) -> bytes:
        """Return some of its output, which comes when it has ended; empty: that was all."""
        return await self._read("out", limit)

    async def read_error(self, limit: int = 65536) -> bytes:
        """Return some of its standard error."""
        return await self._read("err", limit)

    async def _read(self, name: str, limit: int) -> bytes:
        await self._end()
        stream = self._streams.get(name)
        if stream is None or self._killed:
            return b""
        if not stream.held and stream.position < stream.size and self._error is None:
            try:
                await self._fetch(stream)
            except ConnectionFailed as error:
                self._error = error
        found, stream.held = stream.held[:limit], stream.held[limit:]
        return found

    async def _end(self) -> None:
        await self._begun.wait()
        if self._job is not None:
            await asyncio.shield(self._job)

    async def _fetch(self, stream: _Stream) -> None:
        script = _FETCH.format(
            begin=stream.position + 1, folder=self._folder, stream=stream.name, limit=_FETCHED_AT_ONCE
        )
        _, text, said = await self._bridge.shell(self._host, script)
        stream.held = base64.b64decode(text)
        stream.position += len(stream.held)
        if not stream.held:
            raise ConnectionFailed(f"{self._host.name}: its output is not to be had any more: {said}")

    async def write(self, data: bytes) -> None:
        """Send to its standard input, or keep it until there is more.

        Raises:
            BrokenPipeError: it was killed.
        """
        if self._killed:
            raise BrokenPipeError(f"{self._host.name}: nobody reads the input")
        self._input += data
        while len(self._input) >= _SENT_AT_ONCE:
            piece = bytes(self._input[:_SENT_AT_ONCE])
            del self._input[:_SENT_AT_ONCE]
            script = _ADD.format(make=self._make(), folder=self._folder)
            status, _, said = await self._bridge.shell(self._host, script, piece)
            if status:
                raise ConnectionFailed(f"{self._host.name}: the input can't be kept there: {said}")

    def _make(self) -> str:
        make, self._made = ":" if self._made else _MAKE.format(folder=self._folder), True
        return make

    async def write_end(self) -> None:
        """End its input: now it runs."""
        if self._job is None and not self._killed:
            self._job = asyncio.create_task(self._run())
        self._begun.set()

    async def _run(self) -> None:
        script = _RUN.format(
            folder=self._folder, make=self._make(), command=shlex.quote(self._command), limit=_FETCHED_AT_ONCE
        )
        try:
            _, text, said = await self._bridge.shell(self._host, script, bytes(self._input))
            head, _, rest = text.partition("\n")
            words = head.split()
            if len(words) != 4 or words[0] != "genii":
                raise ConnectionFailed(f"{self._host.name}: the command was not started: {said or text}")
        except ConnectionFailed as error:
            self._error = error
            return
        output, _, errors = rest.partition(".\n")
        self._status = int(words[1])
        for name, coded, size in (("out", output, words[2]), ("err", errors, words[3])):
            held = base64.b64decode(coded)
            self._streams[name] = _Stream(name, held, len(held), int(size))

    async def wait(self) -> int:
        """Wait for its end.

        Raises:
            ConnectionFailed: the minion has gone, or could not run it.
        """
        await self._end()
        if self._killed:
            return 128 + 9
        if self._error is not None:
            raise self._error
        if any(stream.size > _FETCHED_AT_ONCE for stream in self._streams.values()):
            await self._bridge.shell(self._host, _REMOVE.format(folder=self._folder))
        return self._status

    async def kill(self) -> None:
        """Kill its process group on the host, and remove what was kept of it.

        Raises:
            ConnectionFailed: the minion does not answer.
        """
        self._killed = True
        self._begun.set()
        try:
            async with asyncio.timeout(KILLING):
                if self._job is not None and not self._job.done():
                    await self._bridge.shell(self._host, _KILL.format(folder=self._folder))
                    await asyncio.shield(self._job)
                if self._made:
                    await self._bridge.shell(self._host, _REMOVE.format(folder=self._folder))
        except TimeoutError:
            raise ConnectionFailed(f"{self._host.name}: the command can't be killed: no answer") from None
        finally:
            if self._job is not None and not self._job.done():
                self._job.cancel()
                await asyncio.wait([self._job])
