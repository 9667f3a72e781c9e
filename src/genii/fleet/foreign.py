"""Inventories of others, made into ours: lists of hosts, Ansible's INI and YAML, Salt's rosters. No I/O.

Sources: Ansible's "How to build your inventory" (INI and YAML formats, ranges, ``children``, ``vars``), Salt's "Salt
Rosters" (the flat roster). Jinja in a roster and Ansible's vaults, plugins and scripts are not read: have the program
itself print what it makes of them (``ansible-inventory --list --yaml``).
"""

from __future__ import annotations

import shlex
from ast import literal_eval
from typing import TYPE_CHECKING, Any

from genii.config.host_pattern import expand_ranges, parse_address
from genii.errors import ConfigError, Problem
from genii.fleet.inventory import Inventory
from genii.fleet.transport import Host

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["parse_ini", "parse_list", "parse_mapping", "read_inventory"]

_ADDRESS = ("ansible_host", "ansible_ssh_host")
_USER = ("ansible_user", "ansible_ssh_user")
_PORT = ("ansible_port", "ansible_ssh_port")
_IDENTITY = ("ansible_ssh_private_key_file", "ansible_private_key_file")
_DEEPEST = 50


class _Building:
    """Hosts, groups and their variables as they are read."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.own: dict[str, dict[str, Any]] = {}
        self.members: dict[str, list[str]] = {}
        self.children: dict[str, list[str]] = {}
        self.variables: dict[str, dict[str, Any]] = {}

    def wrong(self, line: int, message: str) -> ConfigError:
        """Make the error that names the place."""
        return ConfigError([Problem(self.path, line, 1 if line else 0, message)])

    def add_hosts(self, text: str, variables: Mapping[str, Any], group: str, line: int) -> None:
        """Take a host, or a range of them, into a group (empty: into none)."""
        try:
            names = expand_ranges(text)
            for name in names:
                parse_address(name)
        except ValueError as error:
            raise self.wrong(line, str(error)) from None
        for name in names:
            self.own.setdefault(name, {}).update(variables)
            if group:
                members = self.members.setdefault(group, [])
                if name not in members:
                    members.append(name)

    def inventory(self) -> Inventory:
        """Put it together; the variables of a child group go before those of its parents, a host's own before all."""
        groups = {
            name: [*self.members.get(name, ()), *(f"@{child}" for child in self.children.get(name, ()))]
            for name in dict.fromkeys((*self.members, *self.children, *self.variables))
            if name != "all"
        }
        inherited: dict[str, dict[str, Any]] = {name: dict(self.variables.get("all", {})) for name in self.own}
        for group in sorted(self.variables, key=self._depth):
            for name in self._hosts_of(group, set()) if group != "all" else ():
                inherited[name].update(self.variables[group])
        return Inventory({name: _host(name, {**inherited[name], **own}) for name, own in self.own.items()}, groups)

    def _depth(self, group: str) -> int:
        """Return how many parents a group has above it."""
        depth, above = 0, {group}
        while depth < _DEEPEST:
            above = {parent for parent, children in self.children.items() if above & set(children)}
            if not above:
                break
            depth += 1
        return depth

    def _hosts_of(self, group: str, seen: set[str]) -> list[str]:
        if group in seen:
            return []
        seen.add(group)
        found = list(self.members.get(group, ()))
        for child in self.children.get(group, ()):
            found += self._hosts_of(child, seen)
        return found


def _host(name: str, variables: dict[str, Any]) -> Host:
    def taken(keys: tuple[str, ...]) -> str:
        return next((str(variables[key]) for key in keys if variables.get(key) not in (None, "")), "")

    address = parse_address(name)
    port = taken(_PORT)
    return Host(
        name,
        taken(_ADDRESS) or (address.host if address.host != name else ""),
        taken(_USER) or address.user,
        int(port) if port.isdecimal() else address.port,
        taken(_IDENTITY),
        variables={key: value for key, value in variables.items() if not key.startswith("ansible_")},
    )


def parse_list(text: str, path: str) -> Inventory:
    """Read one host (or range) a line; ``#`` begins a comment.

    Raises:
        ConfigError: a line names no host.
    """
    building = _Building(path)
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        for word in words:
            building.add_hosts(word, {}, "", number)
    return building.inventory()


def parse_ini(text: str, path: str) -> Inventory:
    """Read an Ansible inventory in INI form; a plain list of hosts is one, too.

    Raises:
        ConfigError: a line is neither a host, a group nor a variable.
    """
    building = _Building(path)
    group, kind = "", "hosts"
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        if line.startswith("[") and line.partition("#")[0].rstrip().endswith("]"):
            group, _, kind = line.partition("#")[0].rstrip()[1:-1].partition(":")
            kind = kind or "hosts"
            if kind not in ("hosts", "vars", "children") or not group:
                raise building.wrong(number, f"[{group}:{kind}] is none of [group], [group:vars], [group:children]")
            building.members.setdefault(group, [])
            continue
        _ini_line(building, line, group, kind, number)
    return building.inventory()


def _ini_line(building: _Building, line: str, group: str, kind: str, number: int) -> None:
    if kind == "vars":
        key, equals, value = line.partition("=")
        if not equals:
            raise building.wrong(number, f"{line!r} is no variable; write name=value")
        building.variables.setdefault(group, {})[key.strip()] = _value(value.strip())
        return
    try:
        words = shlex.split(line, comments=True)
    except ValueError as error:
        raise building.wrong(number, f"a quote is not closed: {error}") from None
    if kind == "children":
        building.children.setdefault(group, []).append(words[0])
        building.members.setdefault(words[0], [])
        return
    variables = {}
    for word in words[1:]:
        key, equals, value = word.partition("=")
        if not equals:
            raise building.wrong(number, f"{word!r} is no variable of {words[0]}; write name=value")
        variables[key] = _value(value)
    building.add_hosts(words[0], variables, group if group not in ("all", "ungrouped") else "", number)


def _value(text: str) -> Any:
    """Read a value as Ansible does in INI files: a Python literal where it is one, else text."""
    try:
        return literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def parse_mapping(data: Any, path: str) -> Inventory:
    """Read what YAML (or JSON) made of an Ansible inventory, of ``ansible-inventory --list``, or of a Salt roster.

    Raises:
        ConfigError: it is none of these.
    """
    building = _Building(path)
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise building.wrong(0, "is neither an Ansible inventory nor a Salt roster; expected a mapping of names")
    if "_meta" in data:
        return _listing(building, data)
    if data and all(isinstance(value, str) or (isinstance(value, dict) and "host" in value) for value in data.values()):
        return _roster(building, data)
    for name, body in data.items():
        _yaml_group(building, name, body, 0)
    return building.inventory()


def _yaml_group(building: _Building, name: str, body: Any, depth: int) -> None:
    if depth > _DEEPEST:
        raise building.wrong(0, f"groups are nested more than {_DEEPEST} deep")
    unknown = set(body or {}) - {"hosts", "vars", "children"} if isinstance(body, dict | None) else {repr(body)[:40]}
    if unknown:
        raise building.wrong(
            0, f"group {name!r}: expected hosts, vars and children, not {', '.join(map(str, unknown))}"
        )
    body = body or {}
    building.members.setdefault(name, [])
    hosts = body.get("hosts") or {}
    if isinstance(hosts, str):
        hosts = {hosts: None}
    for host, variables in hosts.items() if isinstance(hosts, dict) else [(host, None) for host in hosts]:
        building.add_hosts(str(host), variables or {}, name if name not in ("all", "ungrouped") else "", 0)
    if body.get("vars"):
        building.variables.setdefault(name, {}).update(body["vars"])
    for child, inner in (body.get("children") or {}).items():
        if name != "all":
            building.children.setdefault(name, []).append(child)
        _yaml_group(building, child, inner, depth + 1)


def _listing(building: _Building, data: dict[str, Any]) -> Inventory:
    """Read the JSON of ``ansible-inventory --list`` and of dynamic inventory scripts."""
    variables = data["_meta"].get("hostvars", {}) if isinstance(data["_meta"], dict) else {}
    for name, given in data.items():
        if name == "_meta":
            continue
        body = given if isinstance(given, dict) else {"hosts": given}
        for host in body.get("hosts", ()):
            building.add_hosts(host, variables.get(host, {}), name if name not in ("all", "ungrouped") else "", 0)
        if body.get("children") and name != "all":
            building.children.setdefault(name, []).extend(body["children"])
        if body.get("vars"):
            building.variables.setdefault(name, {}).update(body["vars"])
    for host, own in variables.items():
        building.add_hosts(host, own, "", 0)
    return building.inventory()


def _roster(building: _Building, data: dict[str, Any]) -> Inventory:
    hosts: dict[str, Host] = {}
    for name, entry in data.items():
        body = {"host": entry} if isinstance(entry, str) else entry
        port = body.get("port") or 0
        if not isinstance(port, int):
            raise building.wrong(0, f"{name}: port: expected a number, not {port!r}")
        minion = body.get("minion_opts")
        grains = minion.get("grains", {}) if isinstance(minion, dict) else {}
        identity = str(body.get("priv") or "")
        hosts[name] = Host(name, str(body["host"]), str(body.get("user") or ""), port,
                           "" if identity == "agent-forwarding" else identity, variables=grains)  # fmt: skip
    return Inventory(hosts)


def read_inventory(text: str, path: str) -> Inventory:
    """Read an inventory of whatever kind its name and its text say.

    Raises:
        ConfigError: it is of no kind that is known, or wrong.
        MissingPart: it is YAML, and there is no YAML reader.
    """
    stripped = text.lstrip("\ufeff \t\r\n")
    if path.endswith(".json") or stripped.startswith("{"):
        import json

        try:
            return parse_mapping(json.loads(stripped), path)
        except ValueError as error:
            raise ConfigError(
                [Problem(path, getattr(error, "lineno", 0), getattr(error, "colno", 0), str(error))]
            ) from None
    name = path.rpartition("/")[2]
    if path.endswith((".yml", ".yaml")) or name == "roster" or _looks_like_yaml(stripped):
        return parse_mapping(_yaml(text, path), path)
    return parse_ini(text, path)


def _looks_like_yaml(text: str) -> bool:
    first = next((line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")), "")
    return first.startswith("---") or (first.rstrip().endswith(":") and not first.startswith("["))


def _yaml(text: str, path: str) -> Any:
    from genii.fleet.parts import need

    yaml = need("yaml", "an inventory in YAML")
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)
        problem = getattr(error, "problem", None) or "is not YAML"
        raise ConfigError([Problem(path, line, column, f"{problem}; mend the YAML")]) from None
