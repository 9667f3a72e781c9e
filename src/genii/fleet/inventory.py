"""The hosts that are known, their groups, and the choice of some of them: ``web,!web007``. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from genii.config.host_pattern import expand_ranges, parse_address, split_terms
from genii.config.source import did_you_mean, quote
from genii.errors import UsageError
from genii.fleet.transport import Host

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from genii.config.fleet import Access, FleetSettings

__all__ = ["Inventory", "from_settings", "merge"]

_EVERYTHING = frozenset({"all", "@all", "*"})


@dataclass(frozen=True, slots=True)
class Inventory:
    """Hosts by name, and groups as lists of terms."""

    hosts: Mapping[str, Host] = field(default_factory=dict)
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def select(self, pattern: str | Iterable[str]) -> tuple[Host, ...]:
        """Return the hosts that a pattern chooses, each once, in the order in which they are named.

        Terms are names, ranges, globs, groups (``web`` or ``@web``) and ``all``; ``!term`` leaves hosts out, ``&term``
        keeps only those that are there as well. A name that is not known is a host of its own where it looks like one.

        Raises:
            UsageError: a term is none, a group does not exist, or nothing is left.
        """
        terms = (
            split_terms(pattern) if isinstance(pattern, str) else [one for text in pattern for one in split_terms(text)]
        )
        if not terms:
            raise UsageError("no hosts are named; write for example --on web, --on 'web,!web007' or --on all")
        chosen = _Choice(self).choose(terms)
        if not chosen:
            raise UsageError(f"{quote(','.join(terms))} chooses no host ('genii run --on all --dry-run' lists all)")
        return tuple(chosen.values())

    def names(self) -> list[str]:
        """Return the names of all hosts, those that only groups mention too."""
        return list(_Choice(self).choose(["all"]))


class _Choice:
    """One reading of a pattern: groups may name groups, but not in a circle."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._groups: dict[str, dict[str, Host]] = {}
        self._open: list[str] = []

    def choose(self, terms: Sequence[str], *, group: str = "") -> dict[str, Host]:
        """Return what terms choose; those with ``!`` and ``&`` come last, wherever they stand."""
        chosen: dict[str, Host] = {}
        plain = [term for term in terms if term[0] not in "!&"]
        for term in plain if plain or group else ["all"]:
            chosen |= self._find(term, group)
        for term in terms:
            if term[0] == "&":
                both = self._find(term[1:], group, known=True)
                chosen = {name: host for name, host in chosen.items() if name in both}
        for term in terms:
            if term[0] == "!":
                for name in self._find(term[1:], group, known=True):
                    chosen.pop(name, None)
        return chosen

    def _find(self, term: str, group: str, *, known: bool = False) -> dict[str, Host]:
        """Return the hosts of one term; ``known``: one that leads nowhere is a mistake, not a host of its own."""
        groups, bare = self._inventory.groups, term.removeprefix("@")
        if term in _EVERYTHING and bare not in groups:
            return self._all()
        if bare in groups and (term != bare or not group or term not in self._inventory.hosts):
            return self._group(bare)
        if term.startswith("@") and "*" not in term:
            raise UsageError(f"there is no group {quote(bare)}{did_you_mean(bare, groups) or self._known_groups()}")
        if any(character in bare for character in "*?"):
            return self._matching(bare)
        try:
            names = expand_ranges(term)
            return {name: self._host(name, group, known=known) for name in names}
        except ValueError as error:
            raise UsageError(str(error)) from None

    def _known_groups(self) -> str:
        names = list(self._inventory.groups)
        return (
            f" (known: {', '.join(names[:10])}{', …' if len(names) > 10 else ''})" if names else "; [groups] is empty"
        )

    def _all(self) -> dict[str, Host]:
        found = dict(self._inventory.hosts)
        for name in self._inventory.groups:
            if name not in self._open:
                found |= self._group(name)
        return found

    def _matching(self, glob: str) -> dict[str, Host]:
        found = {name: host for name, host in self._all().items() if fnmatchcase(name, glob)}
        for name in self._inventory.groups:
            if fnmatchcase(name, glob):
                found |= self._group(name)
        return found

    def _group(self, name: str) -> dict[str, Host]:
        if name in self._open:
            circle = " -> ".join([*self._open[self._open.index(name) :], name])
            raise UsageError(f"groups name each other in a circle: {circle}; remove one of them")
        if name not in self._groups:
            self._open.append(name)
            self._groups[name] = self.choose(self._inventory.groups[name], group=name)
            self._open.pop()
        return self._groups[name]

    def _host(self, name: str, group: str, *, known: bool) -> Host:
        if name in self._inventory.hosts:
            return self._inventory.hosts[name]
        if not group and not known:
            self._refuse_slip(name)
        if not group and known and name not in self._all():
            everything = [*self._inventory.groups, *self._all()]
            raise UsageError(f"!{name}: there is no such host or group{did_you_mean(name, everything)}")
        user, port = "", 0
        address = parse_address(name)
        if address.host != name:
            user, port = address.user, address.port
        elsewhere = self._inventory.hosts.get(address.host)
        if elsewhere is not None:  # admin@web1: the host that is known, as another user
            return replace(elsewhere, name=name, address=elsewhere.address or address.host,
                           user=user or elsewhere.user, port=port or elsewhere.port)  # fmt: skip
        return Host(name, address.host if address.host != name else "", user, port)

    def _refuse_slip(self, name: str) -> None:
        """Refuse a bare word that is nearly a known name: rather a slip than a host of that name."""
        if any(character in name for character in ".:@") or name == "localhost":
            return
        everything = self._all()
        if name in everything or not (everything or self._inventory.groups):
            return
        hint = did_you_mean(name, [*self._inventory.groups, *everything])
        if hint:
            raise UsageError(f"there is no host or group {quote(name)}{hint}")


def from_settings(settings: FleetSettings) -> Inventory:
    """Make the inventory of what ``genii.toml`` declares; what a host says of itself goes before its groups."""
    hosts: dict[str, Host] = {}
    groups: dict[str, list[str]] = {name: list(group.terms) for name, group in settings.groups.items()}
    for name, entry in settings.hosts.items():
        hosts[name] = _reached(Host(name, entry.address), entry.access)
        for tag in entry.tags:
            groups.setdefault(tag, []).append(name)
    inventory = Inventory(hosts, groups)
    for name, group in settings.groups.items():
        if (
            group.access.user
            or group.access.port
            or group.access.identity
            or group.access.jump
            or group.access.variables
        ):
            for host in _Choice(inventory).choose([f"@{name}"]).values():
                hosts[host.name] = _reached(hosts.get(host.name, host), group.access)
    return inventory


def _reached(host: Host, access: Access) -> Host:
    """Return a host with what it does not say itself taken from ``access``."""
    return replace(
        host,
        user=host.user or access.user,
        port=host.port or access.port,
        identity=host.identity or access.identity,
        jump=host.jump or access.jump,
        variables={**access.variables, **host.variables},
    )


def merge(first: Inventory, *others: Inventory) -> Inventory:
    """Put inventories together; what the first ones say goes before, and groups of one name are joined."""
    hosts: dict[str, Host] = dict(first.hosts)
    groups: dict[str, list[Any]] = {name: list(terms) for name, terms in first.groups.items()}
    for other in others:
        for name, host in other.hosts.items():
            hosts.setdefault(name, host)
        for name, terms in other.groups.items():
            mine = groups.setdefault(name, [])
            mine += [term for term in terms if term not in mine]
    return Inventory(hosts, groups)
