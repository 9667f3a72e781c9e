"""The tables of the supervisor itself, ``[supervisor]`` and ``[http]``, made into the model. No I/O."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import UNSET

from genii.config import parts
from genii.config.expand import Names, expand_table
from genii.config.program import log
from genii.config.schema import HttpTable, LogTable, SupervisorTable
from genii.config.shape import convert
from genii.config.source import Faults, Layer, Scope, Source
from genii.supervise.model import Http, Log
from genii.units import parse_mode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import msgspec

    from genii.config.locate import Path
    from genii.config.program import Outside

__all__ = ["read_http", "read_supervisor", "read_table"]

Record = TypeVar("Record", bound="msgspec.Struct")


def read_supervisor(source: Source, environ: Mapping[str, str], system: bool, faults: Faults) -> dict[str, Any]:
    """Return the fields of ``Settings`` that ``[supervisor]`` gives; ``system``: of the whole machine."""
    table, scope = read_table(source, "supervisor", SupervisorTable, environ, faults)
    absolute = partial(parts.absolute, folder=source.folder)

    def parsed(key: str, parse: Callable[[Any], Any], default: Any) -> Any:
        return _parsed(scope, (key,), getattr(table, key), parse, default)

    state_dir = parsed("state_dir", absolute, "/run/genii" if system else f"{source.folder.rstrip('/')}/.genii")
    found: dict[str, Any] = {
        "state_dir": state_dir,
        "log_dir": parsed("log_dir", absolute, "/var/log/genii" if system else f"{state_dir}/log"),
        "umask": parsed("umask", parse_mode, 0o022),
        "socket_mode": parsed("socket_mode", parse_mode, 0o600),
        "log": _own_log(table, scope, source.folder),
    }
    for key in ("user", "identifier", "socket_owner", "log_level"):
        if getattr(table, key) is not UNSET:
            found[key] = getattr(table, key)
    return found


def _own_log(table: SupervisorTable, scope: Scope, folder: str) -> Log | None:
    if table.log is UNSET:
        return None
    raw = table.log if isinstance(table.log, LogTable) else LogTable(path=table.log)
    if raw.path is UNSET:
        scope.error(("log",), 'says no path; add path = "…"', key=True)
        return None
    return log(scope, ("log",), raw, folder, "")


def read_http(source: Source, environ: Mapping[str, str], outside: Outside, faults: Faults) -> Http:
    """Return what ``[http]`` says; an API that strangers could use is refused."""
    table, scope = read_table(source, "http", HttpTable, environ, faults)
    listen = _parsed(scope, ("listen",), table.listen, parts.address, "")
    password = _password(table, scope, source, outside)
    _check_credentials(table, password, scope)
    if listen and not parts.is_loopback(listen) and not (table.username and password):
        scope.error(
            ("listen",),
            f"{listen} can be reached from other machines; set username and password, or listen on 127.0.0.1",
        )
    absolute = partial(parts.absolute, folder=source.folder)
    tls = table.tls or None
    return Http(
        listen=listen,
        username=table.username or "",
        password=password,
        readonly_username=table.readonly_username or "",
        readonly_password=table.readonly_password or "",
        tls_certificate=_parsed(scope, ("tls", "certificate"), tls.certificate, absolute, "") if tls else "",
        tls_key=_parsed(scope, ("tls", "key"), tls.key, absolute, "") if tls else "",
        metrics_public=table.metrics_public or False,
    )


def _password(table: HttpTable, scope: Scope, source: Source, outside: Outside) -> str:
    for key in ("password", "readonly_password"):
        plain = getattr(table, key)
        # A value from ${VARIABLE} isn't in the file for others to read.
        written = source.data.get("http", {}).get(key)
        if plain and plain == written and not parts.is_hash(plain) and source.mode & 0o044:
            scope.warn((key,), f"is plain text in a file that others can read; chmod go-r {source.path}, or use a hash")
    if table.password_file is UNSET:
        return table.password or ""
    if table.password is not UNSET:
        scope.error(("password_file",), "says the same as password; remove one of the two", key=True)
    path = _parsed(scope, ("password_file",), table.password_file, partial(parts.absolute, folder=source.folder), "")
    return _parsed(scope, ("password_file",), path, outside.first_line, "") if path else ""


def _check_credentials(table: HttpTable, password: str, scope: Scope) -> None:
    if table.username and not password and table.password_file is UNSET:
        scope.error(("username",), "has no password; add password or password_file", key=True)
    if password and not table.username:
        scope.error(("password",), "has no user; add username", key=True)
    if bool(table.readonly_username) != bool(table.readonly_password):
        key = "readonly_username" if table.readonly_username else "readonly_password"
        scope.error((key,), "needs both readonly_username and readonly_password; add the other", key=True)
    if table.readonly_username and not table.username:
        scope.error(("readonly_username",), "nobody may change anything; add username and password too", key=True)
    if table.username and table.username == table.readonly_username:
        scope.error(("readonly_username",), "is the same as username; choose another")
    if ":" in (table.username or "") or ":" in (table.readonly_username or ""):
        scope.error(("username",), "a colon can't be part of a user's name (HTTP Basic, RFC 7617); remove it")


def read_table(
    source: Source, key: str, record: type[Record], environ: Mapping[str, str], faults: Faults
) -> tuple[Record, Scope]:
    """Return one table of the main file as a record, and the scope that places its keys."""
    raw = source.data.get(key)
    layer = Layer(source, (key,), raw if isinstance(raw, dict) else {})
    scope = Scope(faults, (layer,))
    names = Names(environ, {"here": source.folder})
    table = expand_table(layer.table, lambda _: names, scope.error)
    return convert(table, record, scope) or record(), scope


def _parsed(scope: Scope, path: Path, raw: Any, parse: Callable[[Any], Any], default: Any) -> Any:
    if raw is UNSET:
        return default
    try:
        return parse(raw)
    except ValueError as error:
        scope.error(path, str(error))
        return default
