"""The transports by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genii.errors import UsageError

if TYPE_CHECKING:
    from genii.config.fleet import FleetSettings
    from genii.fleet.transport import Transport

__all__ = ["open_transport"]


def open_transport(settings: FleetSettings, *, reuse_from: int = 0) -> Transport:
    """Make the transport that the settings name; only its library is loaded.

    ``reuse_from``: the number of the command on a host from which on commands share a channel there, where one costs
    much (SSH): the first of them then takes longer, all others less time. 0: each has its own.

    Raises:
        UsageError: there is none of this name, or what it needs is not installed.
        ConfigError: the SSH configuration can't be read.
    """
    if reuse_from and settings.transport in ("asyncssh", "openssh"):
        from genii.fleet.reuse import ReusingTransport

        return ReusingTransport(open_transport(settings), reuse_from)
    if settings.transport == "asyncssh":
        from genii.fleet.ssh import SshTransport

        return SshTransport(settings)
    if settings.transport == "openssh":
        from genii.fleet.openssh import OpenSshTransport

        return OpenSshTransport(settings)
    if settings.transport == "salt":
        from genii.fleet.salt import SaltTransport

        return SaltTransport(settings)
    if settings.transport == "local":
        from genii.fleet.local import LocalTransport

        return LocalTransport()
    raise UsageError(f"there is no transport {settings.transport!r} (asyncssh, openssh, salt, local)")
