"""SSH carried by asyncssh: one connection a host, jump hosts shared, host keys by an explicit policy."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, cast

from genii.config.host_pattern import parse_address
from genii.errors import ConfigError
from genii.fleet.command import encode
from genii.fleet.dial import dial
from genii.fleet.known_hosts import KnownHosts
from genii.fleet.library import load_asyncssh, require_asyncssh
from genii.fleet.patience import BACKOFF, CLOSING, KILLING
from genii.fleet.pid_line import announce, kill_command, read_pid
from genii.fleet.ssh_config import SshConfig
from genii.fleet.transport import ConnectionFailed, Host
from genii.system.threads import ThreadPool
from genii.units import format_duration

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    import asyncssh
    from asyncssh.known_hosts import SSHKnownHosts

    from genii.config.fleet import FleetSettings
    from genii.fleet.ssh_config import Route
    from genii.fleet.transport import Connection, RemoteProcess

__all__ = ["SshConnection", "SshTransport"]

_WINDOW = 1 << 19
"""Bytes that a host may send before we have read them: bounds our memory, however fast it prints."""
_DEEPEST_JUMP = 8
_REFUSALS = 3
"""How often a host may refuse a channel before that is its last word."""


class SshTransport:
    """Reach hosts over SSH."""

    def __init__(self, settings: FleetSettings) -> None:
        """Read nothing but the place of the SSH configuration.

        Raises:
            ConfigError: the configuration named can't be read.
            UsageError: asyncssh is not installed.
        """
        require_asyncssh()
        self._settings = settings
        self._config = SshConfig(settings.ssh_config)
        self._known_hosts = KnownHosts()
        self._jumps: dict[str, _Jump] = {}
        self._loading: asyncio.Future[Any] | None = None

    @cached_property
    def _client(self) -> Callable[[_Guard], asyncssh.SSHClient]:
        """Return what asyncssh makes its clients of; it is loaded with the first of them, not before."""
        return _client_class()

    async def connect(self, host: Host) -> Connection:
        """Connect and authenticate; a handshake that the server drops is tried again.

        Raises:
            ConnectionFailed: it can't be reached or does not let us in.
        """
        try:
            opened = await self._open(host, 0)
        except ConfigError as error:
            raise ConnectionFailed(f"{host.name}: {error}") from error
        return SshConnection(host, opened, opened.get_extra_info("username") == "root")

    async def close(self) -> None:
        """Close the connections to jump hosts; wait for what can't be interrupted."""
        jumps, self._jumps = self._jumps, {}
        for jump in jumps.values():
            await jump.close()
        if self._loading is not None:  # a thread can't be cancelled, and must not be at work when the program ends
            await asyncio.wait({self._loading})

    async def _open(self, host: Host, depth: int) -> asyncssh.SSHClientConnection:
        route = self._config.route(host)
        self._load()
        patience = self._settings.connect_timeout
        guard = _Guard(host, route, self._known_hosts, accept_new=self._settings.known_hosts == "accept-new")
        limit = asyncio.timeout(patience)
        attempt = 0
        try:
            async with limit:
                while True:
                    try:
                        return await self._attempt(host, route, guard, depth, limit)
                    except Exception as error:
                        attempt += 1
                        library = await self._library(limit)
                        if not _was_dropped(error, library) or attempt > self._settings.retries:
                            if isinstance(error, OSError | ValueError | library.Error):
                                raise ConnectionFailed(f"{host.name}: {guard.explain(error, attempt)}") from error
                            raise
                    await asyncio.sleep(BACKOFF.delay(attempt, random.random()))  # noqa: S311 -- no secret
        except TimeoutError as error:
            message = f"{host.name}: not connected within {format_duration(patience)} ({route.host}:{route.port})"
            raise ConnectionFailed(message) from error

    def _load(self) -> None:
        """Have a thread import asyncssh, after all hosts that are begun in this turn of the loop have been dialled."""
        if self._loading is None:
            self._loading = asyncio.ensure_future(_import())

    async def _library(self, limit: asyncio.Timeout) -> Any:
        """Return asyncssh; the time until it is loaded is not the host's, so that its limit is put off."""
        assert self._loading is not None
        if self._loading.done() or limit.expired():
            return await asyncio.shield(self._loading)
        loop = asyncio.get_running_loop()
        left = (limit.when() or 0.0) - loop.time()
        limit.reschedule(None)
        library = await asyncio.shield(self._loading)
        limit.reschedule(loop.time() + left)
        return library

    async def _attempt(
        self, host: Host, route: Route, guard: _Guard, depth: int, limit: asyncio.Timeout
    ) -> asyncssh.SSHClientConnection:
        if not route.jump:
            link = await dial(route.host, route.port, route.family) if route.direct else None
            try:
                await self._library(limit)
                return await self._handshake(route, guard, None, link)
            except BaseException:
                if link is not None:
                    link.close()
                raise
        await self._library(limit)
        if depth >= _DEEPEST_JUMP:
            raise ConnectionFailed(f"{host.name}: its jump hosts go in a circle ({route.jump}); see ProxyJump")
        jump = self._jumps.get(route.jump)
        if jump is None:
            jump = self._jumps[route.jump] = _Jump(self._settings.jump_limit)
        async with jump.room:
            tunnel = await jump.connection(lambda: self._open_jump(route.jump, depth + 1))
            try:
                return await self._handshake(route, guard, tunnel)
            except load_asyncssh().ChannelOpenError as error:
                message = f"{host.name}: {route.jump} can't reach {route.host}:{route.port}: {error.reason}"
                raise ConnectionFailed(message) from error

    async def _open_jump(self, hops: str, depth: int) -> asyncssh.SSHClientConnection:
        """Open the connection to the last of some jump hosts, each by way of the one before."""
        before, _, last = hops.rpartition(",")
        try:
            address = parse_address(last.strip().removeprefix("ssh://"))
        except ValueError as error:
            raise ConnectionFailed(f"the jump host {last!r}: {error}") from None
        # A jump host that is not told otherwise must not take the way by itself that "Host *" prescribes.
        hop = Host(address.host, "", address.user, address.port, jump=before or ("none" if depth > 1 else ""))
        if not before and self._config.route(hop).jump == hops:
            hop = Host(address.host, "", address.user, address.port, jump="none")
        return await self._open(hop, depth)

    async def _handshake(
        self,
        route: Route,
        guard: _Guard,
        tunnel: asyncssh.SSHClientConnection | None,
        link: socket.socket | None = None,
    ) -> asyncssh.SSHClientConnection:
        library = load_asyncssh()
        found = await library.connect(
            route.alias,
            config=None,
            options=route.options(),
            tunnel=tunnel,
            sock=link,
            known_hosts=guard.known,
            client_factory=partial(self._client, guard),
            login_timeout=0,
            connect_timeout=None,
        )
        return cast("asyncssh.SSHClientConnection", found)


class _Jump:
    """The one connection to a jump host that all hosts behind it share."""

    def __init__(self, limit: int) -> None:
        self.room = asyncio.Semaphore(limit)
        self._opening: asyncio.Task[asyncssh.SSHClientConnection] | None = None

    async def connection(self, make: Any) -> asyncssh.SSHClientConnection:
        if self._opening is None or (self._opening.done() and self._broken(self._opening)):
            self._opening = asyncio.ensure_future(make())
        # The first host's deadline must not end it for the others.
        return await asyncio.shield(self._opening)

    @staticmethod
    def _broken(task: asyncio.Task[asyncssh.SSHClientConnection]) -> bool:
        return task.cancelled() or task.exception() is not None or task.result().is_closed()

    async def close(self) -> None:
        if self._opening is None:
            return
        self._opening.cancel()
        with suppress(asyncio.CancelledError, ConnectionFailed):
            await _close(await self._opening)


class _Guard:
    """Decide about the key of one host, and explain why it was not let in."""

    def __init__(self, host: Host, route: Route, known_hosts: KnownHosts, *, accept_new: bool) -> None:
        self._host = host
        self._route = route
        self._files = known_hosts
        self._accept_new = accept_new
        self._offered = ""
        self._is_known = False

    @cached_property
    def known(self) -> SSHKnownHosts:
        """The keys that are known; found when asyncssh is loaded."""
        return self._files.of(self._route.known_hosts)

    def decide(self, host: str, address: str, port: int, key: asyncssh.SSHKey) -> bool:
        """Say whether a key that is not known is taken: only where no other is known of that host."""
        trusted, *_ = self.known.match(host, address, port if port != 22 else None)
        self._is_known = bool(trusted)
        self._offered = f"{key.get_algorithm()} {key.get_fingerprint()}"
        if self._is_known or not self._accept_new:
            return False
        self._files.remember(self._route.known_hosts, host, port, key)
        return True

    def explain(self, error: Exception, attempts: int) -> str:
        """Say what went wrong, and what to do about it where that is known."""
        route, library = self._route, load_asyncssh()
        where = f"{route.host}:{route.port}"
        if isinstance(error, library.HostKeyNotVerifiable):
            return self._explain_key(error)
        if isinstance(error, library.PermissionDenied):
            return f"{where} does not let {route.user} in: no key (or certificate, or agent) of ours is accepted"
        if isinstance(error, library.KeyExchangeFailed):
            return f"no key exchange with {where}: {error.reason} (has its host key changed?)"
        if isinstance(error, library.ConnectionLost | ConnectionResetError):
            tried = f" {attempts} times" if attempts > 1 else ""
            return f"{where} dropped the connection while it was opened{tried} (MaxStartups of its sshd?)"
        if isinstance(error, TimeoutError):
            return f"no answer from {where}"
        if isinstance(error, OSError):
            import socket

            if isinstance(error, socket.gaierror):
                return f"the name {route.host!r} does not resolve: {error.strerror}"
            text = {111: "refused", 113: "no route"}.get(error.errno or 0, error.strerror or str(error))
            return f"{where}: {text}"
        return f"{where}: {getattr(error, 'reason', '') or error}"

    def _explain_key(self, error: Exception) -> str:
        name = self._route.key_alias or self._route.host
        if self._route.port != 22:
            name = f"[{name}]:{self._route.port}"
        if self._is_known:
            return (
                f"THE HOST KEY OF {name} HAS CHANGED (now {self._offered}): somebody may be in between; "
                f"if the change is right, ssh-keygen -R '{name}'"
            )
        if self._offered:
            return f'the host key of {name} is not known ({self._offered}); add it, or set known_hosts = "accept-new"'
        return f"the host key of {name} can't be trusted: {error}"


async def _import() -> Any:
    """Import asyncssh in a thread of its own: those of the loop may be busy with names that do not resolve."""
    pool = ThreadPool(1, name="genii-asyncssh")
    try:
        return await asyncio.get_running_loop().run_in_executor(pool, load_asyncssh)
    finally:
        pool.shutdown(wait=False)


def _was_dropped(error: Exception, library: Any) -> bool:
    """Say whether it may go better next time."""
    dropped = isinstance(error, ConnectionError | library.ConnectionLost)
    return dropped and not isinstance(error, ConnectionRefusedError)


def _client_class() -> Callable[[_Guard], asyncssh.SSHClient]:
    """Make the class of what asyncssh asks about host keys that are in no file."""
    load_asyncssh()
    import asyncssh

    class Client(asyncssh.SSHClient):
        def __init__(self, guard: _Guard) -> None:
            self._guard = guard

        def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
            return self._guard.decide(host, addr, port, key)

    return Client


class SshConnection:
    """An open connection."""

    interactive = True

    def __init__(self, host: Host, connection: asyncssh.SSHClientConnection, as_root: bool) -> None:
        self._host = host
        self._connection = connection
        self._as_root = as_root  # whom sshd passes no signals on to, as it has no privileges to separate there

    @property
    def host(self) -> Host:
        """The host at the other end."""
        return self._host

    async def start(self, command: str, *, terminal: bool = False, no_input: bool = False) -> RemoteProcess:
        """Start a command in a channel of its own.

        Raises:
            ConnectionFailed: the connection is broken, or the host refuses.
        """
        library = load_asyncssh()
        word, announced = announce(command) if self._as_root and not terminal else ("", command)
        try:
            process = await self._channel(encode(announced), terminal)
        except (library.Error, OSError) as error:
            reason = getattr(error, "reason", "") or str(error)
            raise ConnectionFailed(f"{self._host.name}: the command was not started: {reason}") from error
        found = _SshProcess(self._host, process, self._connection)
        if word:
            await found.read_pid(word)
        if no_input:
            await found.write_end()
        return found

    async def _channel(self, command: Any, terminal: bool) -> asyncssh.SSHClientProcess[bytes]:
        """Open a channel; sshd counts those that were just closed for a moment more (MaxSessions)."""
        refused = load_asyncssh().ChannelOpenError
        attempt = 0
        while True:
            try:
                return await self._connection.create_process(
                    command,
                    encoding=None,
                    request_pty="force" if terminal else False,
                    term_type="xterm-256color" if terminal else None,
                    term_size=(200, 50) if terminal else None,
                    window=_WINDOW,
                )
            except refused:
                attempt += 1
                if attempt > _REFUSALS or self._connection.is_closed():
                    raise
            await asyncio.sleep(BACKOFF.delay(attempt, random.random()))  # noqa: S311 -- no secret

    async def connect_unix(self, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to a unix socket on the host (OpenSSH's direct-streamlocal).

        Raises:
            ConnectionFailed: nobody listens there, or the host does not forward.
        """
        library = load_asyncssh()
        try:
            reader, writer = await self._connection.open_unix_connection(path)
        except (library.Error, OSError) as error:
            reason = getattr(error, "reason", "") or str(error)
            raise ConnectionFailed(f"{self._host.name}: {path}: {reason}") from error
        # asyncssh's streams have the methods of asyncio's.
        return cast("asyncio.StreamReader", reader), cast("asyncio.StreamWriter", writer)

    async def close(self) -> None:
        """Close it; what still runs is told."""
        await _close(self._connection)


class _SshProcess:
    """A command in a channel."""

    def __init__(
        self, host: Host, process: asyncssh.SSHClientProcess[bytes], connection: asyncssh.SSHClientConnection
    ) -> None:
        self._host = host
        self._process = process
        self._connection = connection
        self._pid = ""
        self._said = b""
        self._killed = False
        self._ended = False

    async def read_pid(self, word: str) -> None:
        """Take the line that tells the pid of the shell off its standard error."""
        try:
            self._pid, self._said = await read_pid(self.read_error, word)
        except BaseException:
            self._process.close()
            raise

    async def read(self, limit: int = 65536) -> bytes:
        """Return some of its output; empty: it has ended, or the connection broke (``wait`` tells)."""
        return await self._read(self._process.stdout, limit)

    async def read_error(self, limit: int = 65536) -> bytes:
        """Return some of its standard error."""
        if self._said:
            piece, self._said = self._said[:limit], self._said[limit:]
            return piece
        return await self._read(self._process.stderr, limit)

    @staticmethod
    async def _read(reader: asyncssh.SSHReader[bytes], limit: int) -> bytes:
        try:
            return await reader.read(limit)
        except (load_asyncssh().Error, OSError):
            return b""

    async def write(self, data: bytes) -> None:
        """Send to its standard input.

        Raises:
            BrokenPipeError: nobody reads it any more.
        """
        try:
            self._process.stdin.write(data)
            await self._process.stdin.drain()
        except (load_asyncssh().Error, OSError) as error:
            raise BrokenPipeError(f"{self._host.name}: nobody reads the input") from error

    async def write_end(self) -> None:
        """End its standard input."""
        with suppress(load_asyncssh().Error, OSError):
            self._process.stdin.write_eof()

    async def wait(self) -> int:
        """Wait for its end; 128 + N after signal N.

        Raises:
            ConnectionFailed: the connection broke first.
        """
        await self._process.wait_closed()
        self._ended = True
        status = self._process.exit_status
        if self._process.exit_signal is not None:
            return 128 + _number(self._process.exit_signal[0])
        if status is None or status < 0:
            if self._killed:
                return 128 + 9
            raise ConnectionFailed(f"{self._host.name}: the connection broke before the command had ended")
        return status

    async def kill(self) -> None:
        """Have sshd kill its process group (it does since OpenSSH 7.9), and close the channel.

        Raises:
            ConnectionFailed: the host does not answer.
        """
        self._killed = True
        try:
            if not self._has_ended():
                async with asyncio.timeout(KILLING):
                    if not self._pid:
                        self._process.kill()
                    # sshd does not answer to signals; what it answers to afterwards tells that it was there.
                    await self._connection.run(kill_command(self._pid) if self._pid else ":")
        except (load_asyncssh().Error, OSError) as error:  # TimeoutError is one
            raise ConnectionFailed(f"{self._host.name}: the command can't be killed: no answer") from error
        finally:
            self._process.close()

    def _has_ended(self) -> bool:
        return self._ended or self._process.exit_status is not None or self._process.exit_signal is not None


def _number(name: str) -> int:
    import signal

    return int(getattr(signal, f"SIG{name}", 0))


async def _close(connection: asyncssh.SSHClientConnection) -> None:
    connection.close()
    try:
        async with asyncio.timeout(CLOSING):
            await connection.wait_closed()
    except TimeoutError:
        connection.abort()
    except (load_asyncssh().Error, OSError):
        return
