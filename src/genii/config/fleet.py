"""The tables ``[fleet]``, ``[hosts]`` and ``[groups]``: how remote hosts are called and reached. No I/O."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET

from genii.config import parts
from genii.config.expand import Names, expand_table
from genii.config.host_pattern import expand_ranges, parse_address, split_terms
from genii.config.schema import FleetTable, GroupTable, HostTable
from genii.config.shape import convert
from genii.config.source import Layer, Scope, quote
from genii.config.supervisor import read_table
from genii.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from genii.config.locate import Path
    from genii.config.source import Faults, Source

__all__ = ["Access", "FleetSettings", "GroupEntry", "HostEntry", "read_fleet"]


class Access(msgspec.Struct, frozen=True):
    """How a host, or each host of a group, is reached; what is empty is left to others."""

    user: str = ""
    port: int = 0
    identity: str = ""
    jump: str = ""
    variables: dict[str, Any] = msgspec.field(default_factory=dict)


class HostEntry(msgspec.Struct, frozen=True):
    """One host of ``[hosts]``."""

    address: str = ""
    access: Access = Access()
    tags: tuple[str, ...] = ()


class GroupEntry(msgspec.Struct, frozen=True):
    """One group: the terms that name its hosts, and how they are reached."""

    terms: tuple[str, ...]
    access: Access = Access()


class FleetSettings(msgspec.Struct, frozen=True):
    """What the file says of the fleet."""

    transport: str = "asyncssh"
    ssh_config: str = ""
    """Empty: ~/.ssh/config, if there is one."""
    salt_config: str = "/etc/salt"
    """Where the master file of Salt is."""
    known_hosts: str = "strict"
    limit: int = 50
    jump_limit: int = 20
    connect_timeout: float = 10.0
    timeout: float = 0.0
    """Seconds for a command; 0: none."""
    retries: int = 5
    socket: str = "/run/genii/genii.sock"
    """Where the supervisors of the hosts are spoken to."""
    inventory: tuple[str, ...] = ()
    """Files of others: lists, Ansible inventories, Salt rosters."""
    hosts: dict[str, HostEntry] = msgspec.field(default_factory=dict)
    groups: dict[str, GroupEntry] = msgspec.field(default_factory=dict)


def read_fleet(source: Source, environ: Mapping[str, str], faults: Faults) -> FleetSettings:
    """Return what the main file says of remote hosts; what is wrong goes to ``faults``."""
    table, scope = read_table(source, "fleet", FleetTable, environ, faults)
    found: dict[str, Any] = {}
    for key, parse in _PARSERS.items():
        raw = getattr(table, key)
        if raw is not UNSET:
            found[key] = _parsed(scope, (key,), raw, partial(parse, source.folder) if key in _OF_FOLDER else parse)
    for key in ("transport", "known_hosts", "limit", "jump_limit", "retries", "socket"):
        if getattr(table, key) is not UNSET:
            found[key] = getattr(table, key)
    found = {key: value for key, value in found.items() if value is not None}
    names = Names(environ, {"here": source.folder})
    return FleetSettings(
        **found,
        hosts=_hosts(source, names, faults),
        groups=_groups(source, names, faults),
    )


def _path(folder: str, text: str) -> str:
    # Paths of the user's own files: here people do write ~/.ssh/config, and it is expanded when it is opened.
    return text if text.startswith("~/") else parts.absolute(text, folder)


def _paths(folder: str, texts: str | list[str]) -> tuple[str, ...]:
    return tuple(_path(folder, text) for text in ([texts] if isinstance(texts, str) else texts))


_PARSERS: dict[str, Callable[..., Any]] = {
    "ssh_config": _path,
    "salt_config": _path,
    "inventory": _paths,
    "connect_timeout": parse_duration,
    "timeout": parse_duration,
}
_OF_FOLDER = frozenset({"ssh_config", "salt_config", "inventory"})


def _parsed(scope: Scope, path: Path, raw: Any, parse: Callable[[Any], Any]) -> Any:
    try:
        return parse(raw)
    except ValueError as error:
        scope.error(path, str(error))
        return None


def _tables(source: Source, key: str) -> dict[str, Any]:
    raw = source.data.get(key)
    return raw if isinstance(raw, dict) else {}


def _hosts(source: Source, names: Names, faults: Faults) -> dict[str, HostEntry]:
    found: dict[str, HostEntry] = {}
    for name, raw in _tables(source, "hosts").items():
        scope = Scope(faults, (Layer(source, ("hosts", name), raw if isinstance(raw, dict) else {}),))
        members = _parsed(scope, (), name, expand_ranges)
        if not isinstance(raw, dict):
            scope.error((), f'expected a table such as {{ address = "10.0.0.5", user = "admin" }}, not {quote(raw)}')
            continue
        table = convert(expand_table(raw, lambda _: names, scope.error), HostTable, scope)
        if table is None or members is None:
            continue
        if table.address and len(members) > 1:
            scope.error(("address",), f"{len(members)} hosts can't have one address; name them one by one")
        entry = HostEntry(table.address or "", _access(table, scope, source.folder), tuple(table.tags or ()))
        for member in members:
            _parsed(scope, (), member, parse_address)
            found[member] = entry
    return found


def _groups(source: Source, names: Names, faults: Faults) -> dict[str, GroupEntry]:
    found: dict[str, GroupEntry] = {}
    for name, raw in _tables(source, "groups").items():
        whole = isinstance(raw, dict)
        layer = Layer(source, ("groups", name) if whole else ("groups",), raw if whole else {name: raw})
        scope = Scope(faults, (layer,))
        expanded = expand_table(layer.table, lambda _: names, scope.error)
        if not whole and not _is_terms(raw):
            scope.error(
                (name,), 'expected a list of hosts such as ["web[01-20].example", "!web07.example"], or a table'
            )
            continue
        table = convert(expanded if whole else {"hosts": expanded[name]}, GroupTable, scope)
        if table is None:
            continue
        terms = [table.hosts] if isinstance(table.hosts, str) else table.hosts
        split = [one for term in terms for one in split_terms(term)]
        for term in split:
            _parsed(scope, ("hosts",) if whole else (name,), term.lstrip("!&@"), expand_ranges)
        found[name] = GroupEntry(tuple(split), _access(table, scope, source.folder))
    _check_references(source, found, faults)
    return found


def _is_terms(raw: Any) -> bool:
    return isinstance(raw, str) or (isinstance(raw, list) and all(isinstance(term, str) for term in raw))


def _check_references(source: Source, groups: dict[str, GroupEntry], faults: Faults) -> None:
    for name, group in groups.items():
        for term in group.terms:
            referred = term.lstrip("!&")
            if referred.startswith("@") and "*" not in referred and referred[1:] not in {*groups, "all"}:
                from genii.config.source import did_you_mean

                hint = did_you_mean(referred[1:], groups) or "; declare it in [groups]"
                faults.add(source.problem(("groups", name), f"groups.{name}: there is no group {referred!r}{hint}"))


def _access(table: HostTable | GroupTable, scope: Scope, folder: str) -> Access:
    identity = _parsed(scope, ("identity",), table.identity, partial(_path, folder)) if table.identity else ""
    return Access(
        user=table.user or "",
        port=table.port or 0,
        identity=identity or "",
        jump=table.jump or "",
        variables=dict(table.variables or {}),
    )
