"""SSH carried by the system's ``ssh``: for what only OpenSSH understands (hardware keys, GSSAPI, any option).

Each host has a control master (ssh_config(5), ControlMaster) that lives as long as the connection: it runs a ``cat`` on
the host whose input ends when we do, however we end. Commands are its clients. It costs a process for each host and
for each command that runs.
"""

from __future__ import annotations

import asyncio
import os
import random
import shlex
from asyncio.subprocess import DEVNULL, PIPE
from contextlib import suppress
from typing import TYPE_CHECKING

from genii.config.host_pattern import parse_address
from genii.errors import UsageError
from genii.fleet.child import reap
from genii.fleet.patience import ALIVE, BACKOFF, CLOSING, KILLING
from genii.fleet.pid_line import announce, kill_command, read_pid
from genii.fleet.ssh_config import SYSTEM_CONFIG, check_given
from genii.fleet.transport import ConnectionFailed, Host
from genii.units import format_duration

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from tempfile import TemporaryDirectory

    from genii.config.fleet import FleetSettings
    from genii.fleet.transport import Connection, RemoteProcess

__all__ = ["OpenSshConnection", "OpenSshTransport"]

_LIMIT = 1 << 18
_FAILED = 255
"""ssh(1): "exits with the exit status of the remote command or with 255 if an error occurred"."""
_READY = b"genii-ready"
_DROPPED = ("kex_exchange_identification", "Connection reset by peer", "Connection closed by")
_KILLED = 128 + 9


class OpenSshTransport:
    """Reach hosts with ``ssh``."""

    def __init__(self, settings: FleetSettings, program: str = "ssh") -> None:
        """Look for the program.

        Raises:
            UsageError: it is not installed.
            ConfigError: the configuration named can't be read.
        """
        import shutil

        if shutil.which(program) is None:
            raise UsageError(f"there is no {program!r} on this machine; install openssh-client, or use asyncssh")
        check_given(settings.ssh_config)
        self._settings = settings
        self._program = program
        self._folder: TemporaryDirectory[str] | None = None
        self._count = 0

    async def connect(self, host: Host) -> Connection:
        """Start a control master for the host; a handshake that the server drops is tried again.

        Raises:
            ConnectionFailed: it can't be reached or does not let us in.
        """
        patience, attempt = self._settings.connect_timeout, 0
        limit = asyncio.timeout(patience)
        try:
            async with limit:
                while True:
                    control = _Control(self._program, self.options(host), parse_address(host.name).host, self._path())
                    try:
                        await control.open()
                        return OpenSshConnection(host, control)
                    except _Refused as error:
                        attempt += 1
                        if attempt > self._settings.retries or not any(word in error.said for word in _DROPPED):
                            raise ConnectionFailed(f"{host.name}: {error.reason()}") from error
                    await asyncio.sleep(BACKOFF.delay(attempt, random.random()))  # noqa: S311 -- no secret
        except TimeoutError as error:
            raise ConnectionFailed(f"{host.name}: not connected within {format_duration(patience)}") from error

    async def close(self) -> None:
        """Remove the folder of the control sockets."""
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _path(self, name: str = "") -> str:
        """Return the path of a file in our folder: of the next control socket, or of another name."""
        if self._folder is None:
            import tempfile

            self._folder = tempfile.TemporaryDirectory(prefix="genii-ssh-")  # mode 0700
        self._count += not name
        return os.path.join(self._folder.name, name or str(self._count))

    def _configuration(self) -> str:
        """Return the path of a configuration that includes the user's, and says what holds where that says nothing."""
        path = self._path("config")
        if not os.path.exists(path):
            import glob

            given = self._settings.ssh_config
            files = [os.path.expanduser(one) for one in ((given,) if given else ("~/.ssh/config", SYSTEM_CONFIG))]
            lines = [f'Include "{glob.escape(file)}"' for file in files]
            with open(path, "w", encoding="utf-8") as file:
                file.write("\n".join([*lines, "Host *", f"    ServerAliveInterval {ALIVE}", ""]))
        return path

    def options(self, host: Host) -> list[str]:
        """Return the options of ssh(1) that say how a host is reached."""
        settings = self._settings
        policy = "accept-new" if settings.known_hosts == "accept-new" else "yes"
        words = ["-F", self._configuration(), "-o", "BatchMode=yes", "-o", f"StrictHostKeyChecking={policy}"]
        words += ["-o", f"HostName={host.address}"] if host.address else []
        words += ["-o", f"User={host.user}"] if host.user else []
        words += ["-o", f"Port={host.port}"] if host.port else []
        words += ["-o", f"IdentityFile={os.path.expanduser(host.identity)}"] if host.identity else []
        return [*words, "-o", f"ProxyJump={host.jump}"] if host.jump else words


class _Refused(Exception):
    """ssh ended before it was connected."""

    def __init__(self, said: str) -> None:
        super().__init__(said)
        self.said = said

    def reason(self) -> str:
        """Return what ssh said, shortened to the line that matters."""
        lines = [line.strip() for line in self.said.splitlines() if line.strip()]
        if any("IDENTIFICATION HAS CHANGED" in line for line in lines):
            return "THE HOST KEY HAS CHANGED: somebody may be in between; if it is right: ssh-keygen -R HOST"
        if lines and lines[-1].startswith("Host key verification failed"):
            return 'its host key is not known; add it, or set known_hosts = "accept-new"'
        return lines[-1].removeprefix("ssh: ") if lines else "ssh ended without a word"


class _Control:
    """The control master of one host, and the command lines of its clients."""

    def __init__(self, program: str, options: list[str], host: str, path: str) -> None:
        self._program = program
        self._options = options
        self.host = host
        self.path = path
        self._master: Process | None = None

    async def open(self) -> None:
        """Start it and wait until it is connected.

        Raises:
            _Refused: ssh ended instead.
        """
        command = f"echo {_READY.decode()}; exec cat >/dev/null"
        words = ["-o", "ControlMaster=yes", "-o", "ControlPersist=no", "-S", self.path, "-T", "--", self.host, command]
        master = await asyncio.create_subprocess_exec(
            self._program, *self._options, *words, stdin=PIPE, stdout=PIPE, stderr=PIPE, start_new_session=True
        )
        self._master = master
        assert master.stdout is not None
        assert master.stderr is not None
        try:
            while line := await master.stdout.readline():
                if line.rstrip().endswith(_READY):
                    return
            said = (await master.stderr.read(_LIMIT)).decode("utf-8", "replace")
            await master.wait()
            raise _Refused(said)
        except BaseException:
            await self.close()
            raise

    @property
    def alive(self) -> bool:
        """Whether the master still runs."""
        return self._master is not None and self._master.returncode is None

    async def client(self, *words: str, command: str = "", stdin: int = DEVNULL, own_group: bool = True) -> Process:
        """Start a client of the master; without one, it fails instead of connecting by itself."""
        line = [*self._options, "-S", self.path, "-o", "ControlMaster=no", "-o", "ProxyCommand=false", *words]
        tail = ["--", self.host, *([command] if command else [])]
        return await asyncio.create_subprocess_exec(
            self._program,
            *line,
            *tail,
            stdin=stdin,
            stdout=PIPE,
            stderr=PIPE,
            limit=_LIMIT,
            start_new_session=own_group,
        )

    async def close(self) -> None:
        """End the master: its input ends, then it does; a hanging one is killed."""
        master, self._master = self._master, None
        if master is None:
            return
        assert master.stdin is not None
        master.stdin.close()
        with suppress(ProcessLookupError):
            master.terminate()
        try:
            async with asyncio.timeout(CLOSING):
                await master.wait()
        except TimeoutError:
            master.kill()
            await master.wait()


class OpenSshConnection:
    """A host with a control master."""

    interactive = True

    def __init__(self, host: Host, control: _Control) -> None:
        self._host = host
        self._control = control
        self._forwards = 0
        self._running: set[_OpenSshProcess] = set()

    @property
    def host(self) -> Host:
        """The host at the other end."""
        return self._host

    async def start(self, command: str, *, terminal: bool = False, no_input: bool = False) -> RemoteProcess:
        """Start a command.

        Raises:
            ConnectionFailed: the connection is broken, or the host refuses.
        """
        word, announced = ("", command) if terminal else announce(command)
        try:
            process = await self._control.client("-tt" if terminal else "-T", command=announced, stdin=PIPE)
        except OSError as error:  # it is too long for an argument, or there can be no more processes
            message = f"{self._host.name}: the command was not started: {error.strerror}"
            raise ConnectionFailed(message) from error
        pid, said = await self._pid(process, word) if word else ("", b"")
        found = _OpenSshProcess(self._host, self._control, process, pid, said, terminal=terminal)
        self._running = {one for one in self._running if not one.ended} | {found}
        if no_input:
            await found.write_end()
        return found

    async def _pid(self, process: Process, word: str) -> tuple[str, bytes]:
        assert process.stderr is not None
        try:
            pid, said = await read_pid(process.stderr.read, word)
        except BaseException:
            process.kill()
            raise
        if not pid and process.stderr.at_eof() and await process.wait() in (_FAILED, -9):
            reason = said.decode("utf-8", "replace").strip() or "the connection is broken"
            raise ConnectionFailed(f"{self._host.name}: the command was not started: {reason}")
        return pid, said

    async def connect_unix(self, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to a unix socket on the host, through one of ours that lives as long as this takes.

        Raises:
            ConnectionFailed: there is no socket, or the host does not forward.
        """
        if await (await self.start(f"test -S {shlex.quote(path)}")).wait() != 0:
            raise ConnectionFailed(f"{self._host.name}: {path}: there is no such socket")
        self._forwards += 1
        here = f"{self._control.path}.{self._forwards}"
        await self._order("forward", f"{here}:{path}")
        try:
            return await asyncio.open_unix_connection(here)
        except OSError as error:
            raise ConnectionFailed(f"{self._host.name}: {path}: {error.strerror}") from error
        finally:
            await self._order("cancel", f"{here}:{path}")

    async def _order(self, order: str, forward: str) -> None:
        process = await self._control.client("-O", order, "-L", forward)
        _, said = await process.communicate()
        if process.returncode:
            reason = said.decode("utf-8", "replace").strip() or "refused"
            raise ConnectionFailed(f"{self._host.name}: the socket can't be forwarded: {reason}")

    async def close(self) -> None:
        """End the master and what still runs."""
        for process in self._running:
            with suppress(ConnectionFailed):
                await process.kill()
        await self._control.close()


class _OpenSshProcess:
    """A client of the master that carries one command."""

    def __init__(
        self,
        host: Host,
        control: _Control,
        process: Process,
        pid: str,
        said: bytes,
        *,
        terminal: bool,
    ) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._host = host
        self._control = control
        self._process = process
        self._stdin, self._stdout, self._stderr = process.stdin, process.stdout, process.stderr
        self._pid = pid
        self._said = said
        self._terminal = terminal
        self._killed = False

    @property
    def ended(self) -> bool:
        """Whether it is known to have ended."""
        return self._process.returncode is not None

    async def read(self, limit: int = 65536) -> bytes:
        """Return some of its output; empty: it has ended."""
        return await self._stdout.read(limit)

    async def read_error(self, limit: int = 65536) -> bytes:
        """Return some of its standard error."""
        if self._said:
            piece, self._said = self._said[:limit], self._said[limit:]
            return piece
        return b"" if self._terminal else await self._stderr.read(limit)

    async def write(self, data: bytes) -> None:
        """Send to its standard input.

        Raises:
            BrokenPipeError: nobody reads it any more.
        """
        try:
            self._stdin.write(data)
            await self._stdin.drain()
        except ConnectionError as error:
            raise BrokenPipeError(f"{self._host.name}: nobody reads the input") from error

    async def write_end(self) -> None:
        """End its standard input."""
        self._stdin.close()

    async def wait(self) -> int:
        """Wait for its end; ssh tells the end by a signal as 255.

        Raises:
            ConnectionFailed: the connection broke first.
        """
        status = await self._process.wait()
        if self._killed:
            return _KILLED
        if status < 0 or (status == _FAILED and not await self._connected()):
            raise ConnectionFailed(f"{self._host.name}: the connection broke before the command had ended")
        return status

    async def _connected(self) -> bool:
        if not self._control.alive:
            return False
        check = await self._control.client("-O", "check")
        await check.communicate()
        return check.returncode == 0

    async def kill(self) -> None:
        """Kill its process group on the host, then the client; one on a terminal is hung up.

        Raises:
            ConnectionFailed: the host does not answer.
        """
        self._killed = True
        if self.ended:
            return
        told = self._terminal
        if self._pid.isdecimal() and self._control.alive:
            killer = await self._control.client("-T", command=kill_command(self._pid))
            with suppress(TimeoutError):
                async with asyncio.timeout(KILLING):
                    await killer.communicate()
            told = killer.returncode not in (None, _FAILED)
            if killer.returncode is None:
                killer.kill()
                await reap(killer)
        with suppress(ProcessLookupError):
            self._process.kill()
        await reap(self._process)
        if not told:
            raise ConnectionFailed(f"{self._host.name}: the command can't be killed: no answer")
