"""Which hosts a deployment is for, and which roles they have. No I/O."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from genii.deploy.plan import Place
from genii.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from genii.config.deploy import Deployment
    from genii.fleet.inventory import Inventory
    from genii.fleet.transport import Host

__all__ = ["places"]


def places(deployment: Deployment, inventory: Inventory, only: Sequence[str] = ()) -> list[tuple[Host, Place]]:
    """Return the hosts of a deployment, each once, in the order of the file; ``only`` leaves those that it chooses.

    Who is the first of a role is decided among all, so that ``once`` means the same host with and without ``only``.

    Raises:
        UsageError: a host or group does not exist, or none is left.
    """
    hosts: dict[str, Host] = {}
    roles: dict[str, list[str]] = {}
    for host in inventory.select(deployment.hosts) if deployment.hosts else ():
        hosts.setdefault(host.name, host)
    for role, terms in deployment.roles.items():
        for host in inventory.select(terms):
            hosts.setdefault(host.name, host)
            roles.setdefault(role, []).append(host.name)
    found = [
        (
            host,
            Place(
                host=name,
                roles=tuple(role for role, members in roles.items() if name in members),
                first_of=tuple(
                    [role for role, members in roles.items() if members[0] == name] + ([""] if not number else [])
                ),
            ),
        )
        for number, (name, host) in enumerate(hosts.items())
    ]
    chosen = _only(found, inventory, only) if only else found
    if not chosen:
        raise UsageError(f"--only {','.join(only)} leaves no host of {deployment.name} ({', '.join(hosts)})")
    return chosen


def _only(found: Sequence[tuple[Host, Place]], inventory: Inventory, only: Sequence[str]) -> list[tuple[Host, Place]]:
    """Choose by role (``role:db``), by name or glob, or as the inventory does."""
    names: set[str] = set()
    for term in (part.strip() for text in only for part in text.split(",") if part.strip()):
        by_role = {place.host for _, place in found if term.removeprefix("role:") in place.roles}
        by_name = {host.name for host, _ in found if fnmatchcase(host.name, term)}
        names |= by_role if term.startswith("role:") else by_name or {host.name for host in inventory.select(term)}
    return [(host, place) for host, place in found if host.name in names]
