"""The transports by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genii.errors import UsageError

if TYPE_CHECKING:
    from genii.config.fleet import FleetSettings
    from genii.fleet.transport import Transport

__all__ = ["open_transport"]


def open_transport(settings: FleetSettings) -> Transport:
    """Make the transport that the settings name; only its library is loaded.

    Raises:
        UsageError: there is none of this name, or what it needs is not installed.
        ConfigError: the SSH configuration can't be read.
    """
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
