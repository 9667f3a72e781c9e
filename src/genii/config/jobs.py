"""The table ``[jobs]``: the job servers of the workers, and the program that runs one. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET

from genii.config import parts
from genii.config.schema import JobsTable
from genii.config.source import Layer, Scope
from genii.config.supervisor import read_table
from genii.system.address import parse_address

if TYPE_CHECKING:
    from collections.abc import Mapping

    from genii.config.source import Faults, Source

__all__ = ["PROGRAM", "JobServers", "job_server_scope", "read_jobs"]

PROGRAM = "jobs"
"""The name of the program that runs the embedded job server."""


class JobServers(msgspec.Struct, frozen=True):
    """Where workers get their jobs."""

    addresses: tuple[str, ...] = ("127.0.0.1:4730",)
    embedded: bool = False
    """Whether one of them is a program of this configuration, on which the workers then depend."""
    command: tuple[str, ...] = ()


def read_jobs(source: Source, environ: Mapping[str, str], python: str, state_dir: str, faults: Faults) -> JobServers:
    """Return the job servers that the main file names; what is wrong goes to ``faults``."""
    table, scope = read_table(source, "jobs", JobsTable, environ, faults)
    if not isinstance(source.data.get("jobs"), dict):
        return JobServers()
    if table.listen is UNSET and table.servers is UNSET:
        scope.error((), 'names no server; add listen = "127.0.0.1:4730" to run one, or servers = ["host:4730"]')
        return JobServers()
    addresses: list[str] = []
    for key, raw in (("listen", [table.listen]), ("servers", table.servers)):
        for address in raw if raw is not UNSET else ():
            if address is not UNSET:
                _check(scope, key, address)
                addresses.append(address)
    if not addresses:
        scope.error(("servers",), "is empty; name at least one server")
    if table.listen is UNSET:
        return JobServers(tuple(addresses))
    journal = parts.absolute(table.journal, source.folder) if table.journal is not UNSET else f"{state_dir}/jobs"
    command = [python, "-m", "genii", "jobs", "serve", "-L", table.listen, "--journal", journal]
    if table.durability is not UNSET:
        command += ["--durability", table.durability]
    if table.http is not UNSET:
        _check(scope, "http", table.http)
        command += ["--http", table.http]
    return JobServers(tuple(addresses), embedded=True, command=tuple(command))


def _check(scope: Scope, key: str, address: str) -> None:
    try:
        parse_address(address)
    except Exception as error:
        scope.error((key,), str(error))


def job_server_scope(source: Source, servers: JobServers, faults: Faults) -> Scope:
    """Return the program that runs the embedded server, as if it were declared where ``[jobs]`` stands."""
    table: dict[str, Any] = {
        "command": list(servers.command),
        "description": "the embedded job server",
        "ready": {"notify": True},
        "restart": "always",
    }
    return Scope(faults, (Layer(source, ("jobs",), table),))
