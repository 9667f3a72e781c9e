"""What the fleet and the deployer ask of a way to a host: asyncssh, the system's ssh, Salt, or this machine itself.

Everything else (commands, transfers, expect, steps of a deployment) is built on ``Connection.start``, so that it works
the same over each of them. No I/O.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from genii.errors import GeniiError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping

__all__ = ["Connection", "ConnectionFailed", "Host", "RemoteProcess", "Transport"]


@dataclass(frozen=True, slots=True)
class Host:
    """One host as the inventory knows it; what is empty is left to the SSH configuration."""

    name: str
    """The name under which results are kept and shown."""
    address: str = ""
    """Where to connect to; empty: the name."""
    user: str = ""
    port: int = 0
    identity: str = ""
    """Path of a private key."""
    jump: str = ""
    """ProxyJump, as OpenSSH writes it."""
    variables: Mapping[str, object] = field(default_factory=dict)


class ConnectionFailed(GeniiError):
    """A host can't be reached: refused, timed out, a changed host key, no accepted key. The text names the host."""


class RemoteProcess(Protocol):
    """A command that runs on a host."""

    async def read(self, limit: int = 65536) -> bytes:
        """Return some of its standard output as soon as there is any; empty: it has ended."""

    async def read_error(self, limit: int = 65536) -> bytes:
        """Return some of its standard error (none with a terminal); empty: it has ended."""

    async def write(self, data: bytes) -> None:
        """Send to its standard input; waits while the host does not take more.

        Raises:
            BrokenPipeError: nobody reads it any more.
        """

    async def write_end(self) -> None:
        """End its standard input."""

    async def wait(self) -> int:
        """Wait for its end and return its exit status; 128 + N after signal N.

        Raises:
            ConnectionFailed: the connection broke first.
        """

    async def kill(self) -> None:
        """End it, and what it started where the transport can; its streams are closed.

        Raises:
            ConnectionFailed: the host does not answer, so that it may still run there.
        """


class Connection(Protocol):
    """An open connection to a host, used for many commands, also at once."""

    @property
    def host(self) -> Host:
        """The host at the other end."""

    @property
    def interactive(self) -> bool:
        """Whether the output of a command comes, and can be answered, before its input has ended."""

    async def start(self, command: str, *, terminal: bool = False, no_input: bool = False) -> RemoteProcess:
        """Start a command with the user's shell on the host, on a pseudo-terminal by choice.

        With ``no_input`` its standard input is at its end from the beginning.

        Raises:
            ConnectionFailed: the connection is broken, or the host refuses.
        """

    async def connect_unix(self, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to a unix socket on the host (the API of its supervisor).

        Raises:
            ConnectionFailed: nobody listens there, or the host does not forward.
        """

    async def close(self) -> None:
        """Close it; commands that still run are ended."""


class Transport(Protocol):
    """A way to reach hosts."""

    async def connect(self, host: Host) -> Connection:
        """Connect to a host.

        Raises:
            ConnectionFailed: it can't be reached or does not let us in.
        """

    async def close(self) -> None:
        """Give back what all connections share."""
