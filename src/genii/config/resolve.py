"""The main file and the files it includes, made into one model. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genii.config import jobs, parts
from genii.config.check import check_programs
from genii.config.find import SYSTEM_FILE
from genii.config.jobs import job_server_scope, read_jobs
from genii.config.program import Context, read_program
from genii.config.schema import ROOT_TABLES
from genii.config.source import Layer, Scope, did_you_mean
from genii.config.supervisor import read_http, read_supervisor
from genii.supervise.model import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from genii.config.program import Outside
    from genii.config.source import Faults, Source
    from genii.supervise.model import Program

__all__ = ["resolve"]

_SHARED_TABLES = ("defaults", "program")
_PROGRAM_KEYS = ("command", "worker")


def resolve(
    main: Source,
    included: Sequence[Source],
    environ: Mapping[str, str],
    python: str,
    outside: Outside,
    faults: Faults,
) -> tuple[Settings, dict[str, Scope]]:
    """Return the settings, and for each program the scope that places its keys; what is wrong goes to ``faults``.

    ``python`` runs the workers. The settings are of use only if there are no faults.
    """
    for source in (main, *included):
        _check_tables(source, main, faults)
    system = main.path == SYSTEM_FILE
    own = read_supervisor(main, environ, system, faults)
    http = read_http(main, environ, outside, faults)
    servers = read_jobs(main, environ, python, own["state_dir"], faults)
    if any(key in main.data for key in ("fleet", "hosts", "groups")):
        from genii.config.fleet import read_fleet

        read_fleet(main, environ, faults)
    context = Context(
        servers=servers.addresses,
        job_program=jobs.PROGRAM if servers.embedded else "",
        folder=main.folder,
        directory="/" if system else main.folder,
        log_dir=own["log_dir"],
        python=python,
        environ=environ,
        outside=outside,
        faults=faults,
    )
    for source in (main, *included):
        _check_defaults(source, context)
    scopes = _declared(main, included, faults)
    if servers.embedded:
        if jobs.PROGRAM in scopes:
            message = "the job server of [jobs] is a program called 'jobs'; rename this one"
            faults.add(scopes[jobs.PROGRAM].layers[0].source.problem(("program", jobs.PROGRAM), message, key=True))
        scopes = {jobs.PROGRAM: job_server_scope(main, servers, faults), **scopes}
    programs: dict[str, Program] = {}
    for name, scope in scopes.items():
        if faults.full:
            break
        program = read_program(name, scope.layers, context)
        if program is not None:
            programs[name] = program
    check_programs(programs, scopes, http.listen)
    if "deploy" in main.data:
        from genii.config.deploy import read_deployments

        read_deployments(main, environ, faults)
    named = servers.addresses if "jobs" in main.data else ()
    return Settings(path=main.path, http=http, job_servers=named, programs=programs, **own), scopes


def _check_tables(source: Source, main: Source, faults: Faults) -> None:
    for key, value in source.data.items():
        if faults.full:
            return
        if key not in ROOT_TABLES and key not in _SHARED_TABLES:
            hint = did_you_mean(key, (*_SHARED_TABLES, *ROOT_TABLES)) or _misplaced(value)
            faults.add(source.problem((key,), f"unknown {_kind(value)} {key!r}{hint}", key=True))
        elif not isinstance(value, dict):
            faults.add(source.problem((key,), f"{key}: expected a table [{key}], not a value", key=True))
        elif source is not main and key in ROOT_TABLES:
            message = f"[{key}] belongs in the main file, {main.path}; move it there"
            faults.add(source.problem((key,), message, key=True))
    if not isinstance(source.data.get("program"), dict):
        return
    for name, value in source.data["program"].items():
        if not isinstance(value, dict) and not faults.full:
            message = f"program.{name}: expected a table [program.NAME], not a value"
            faults.add(source.problem(("program", name), message, key=True))


def _kind(value: Any) -> str:
    return "table" if isinstance(value, dict) else "key"


def _misplaced(value: Any) -> str:
    if isinstance(value, dict) and any(key in value for key in _PROGRAM_KEYS):
        return "; a program is written [program.NAME]"
    if isinstance(value, dict):
        return f"; remove it (known: {', '.join((*_SHARED_TABLES, *ROOT_TABLES))})"
    return "; put it below [supervisor], [defaults] or a [program.NAME]"


def _declared(main: Source, included: Sequence[Source], faults: Faults) -> dict[str, Scope]:
    """Return the scope of each program, in the order of the files."""
    scopes: dict[str, Scope] = {}
    for source in (main, *included):
        sources = (source,) if source is main else (source, main)
        defaults = tuple(layer for layer in map(_defaults, sources) if layer.table)
        for name, table in _tables(source.data, "program"):
            if faults.full:
                break
            try:
                parts.check_program_name(name)
            except ValueError as error:
                faults.add(source.problem(("program", name), str(error), key=True))
            if name in scopes:
                first = scopes[name].layers[0].source
                place = first.problem(("program", name), "", key=True)
                message = f"the program {name!r} is declared already at {place.path}:{place.line}; rename one"
                faults.add(source.problem(("program", name), message, key=True))
                continue
            scopes[name] = Scope(faults, (Layer(source, ("program", name), table), *defaults))
    return scopes


def _check_defaults(source: Source, context: Context) -> None:
    """Look at the defaults by themselves, as every program may override what is wrong in them."""
    defaults = _defaults(source)
    if defaults.table and not any(key in defaults.table for key in _PROGRAM_KEYS):
        defaults = Layer(source, defaults.path, {**defaults.table, "command": ["true"]})
    if defaults.table:
        read_program("defaults", (defaults,), context)


def _defaults(source: Source) -> Layer:
    found = source.data.get("defaults")
    return Layer(source, ("defaults",), found if isinstance(found, dict) else {})


def _tables(data: Mapping[str, Any], key: str) -> list[tuple[str, dict[str, Any]]]:
    found = data.get(key)
    return (
        [(name, table) for name, table in found.items() if isinstance(table, dict)] if isinstance(found, dict) else []
    )
