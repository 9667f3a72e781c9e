"""The tables ``[deploy.NAME]``: what is released to which hosts, and how. No I/O."""

from __future__ import annotations

import re
from posixpath import isabs, normpath
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET

from genii.config import parts
from genii.config.expand import Names, expand_table
from genii.config.schema import DeployTable, HookTable, InstallTable
from genii.config.shape import convert
from genii.config.source import Layer, Scope, did_you_mean, quote
from genii.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from genii.config.locate import Path
    from genii.config.schema import DeployHealthTable
    from genii.config.source import Faults, Source

__all__ = ["REPLACEABLE", "RESERVED", "STEPS", "Command", "Deployment", "Health", "Origin", "read_deployments"]

STEPS = ("update", "link", "install", "check", "stop", "switch", "start", "restart", "health", "cleanup")
"""The steps that hooks can be hung on, in the order in which they are usually taken."""

REPLACEABLE = ("install", "check", "stop", "start", "restart", "health")
"""Those whose commands a configuration or tasks.py can give."""
RESERVED = ("check", "init", "unlock")
"""Words of ``genii deploy`` that can't be names of deployments."""
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SHARE = re.compile(r"(\d{1,3})%")
_EXCLUDED = (".git", ".genii", "__pycache__", ".venv")


class Origin(msgspec.Struct, frozen=True):
    """Where the files of a release come from; ``kind`` is git, directory, archive or wheel."""

    kind: str
    where: str
    """A URL, or a path of this machine."""
    branch: str = "HEAD"
    on_host: bool = False
    """Whether the hosts keep the mirror of the repository."""
    exclude: tuple[str, ...] = _EXCLUDED
    strip: int = 0


class Command(msgspec.Struct, frozen=True):
    """A shell command that is run on hosts; without roles on all."""

    text: str
    roles: tuple[str, ...] = ()
    once: bool = False


class Health(msgspec.Struct, frozen=True):
    """What must be true after the restart; one of the three questions is not empty."""

    http: str = ""
    tcp: str = ""
    command: str = ""
    expect: str = ""
    timeout: float = 30.0
    interval: float = 0.2


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """What ``[deploy.NAME]`` says. Shares (``min_ok``, ``batches``) are numbers, or negative per cents."""

    name: str
    origin: Origin
    to: str
    folder: str
    """The folder of the configuration file."""
    hosts: tuple[str, ...] = ()
    roles: dict[str, tuple[str, ...]] = {}
    linked_dirs: tuple[str, ...] = ()
    linked_files: tuple[str, ...] = ()
    keep: int = 5
    reuse: str = "link"
    install: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    check: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    restart: str = "restart"
    genii: str = "genii"
    health: Health | None = None
    order: str = "safe"
    hooks: dict[str, tuple[Command, ...]] = {}
    steps: dict[str, tuple[str, ...]] = {}
    env: dict[str, str] = {}
    secrets: dict[str, str] = {}
    """Name of a variable -> ``env:NAME`` or ``file:PATH``."""
    batches: tuple[int, ...] = ()
    min_ok: int = -100
    limit: int = 50
    timeout: float = 600.0
    tasks: str = ""
    line: int = 0
    """Where it begins in the file."""

    def at(self, host: str) -> Deployment:
        """Return it as it is for one host."""
        return msgspec.structs.replace(self, to=self.to.replace("{host}", host)) if "{host}" in self.to else self


def read_deployments(source: Source, environ: Mapping[str, str], faults: Faults) -> dict[str, Deployment]:
    """Return the deployments that the main file declares; what is wrong goes to ``faults``."""
    declared = source.data.get("deploy")
    found: dict[str, Deployment] = {}
    for name, raw in declared.items() if isinstance(declared, dict) else ():
        path = ("deploy", name)
        if not isinstance(raw, dict):
            faults.add(source.problem(path, f"deploy.{name}: expected a table [deploy.NAME], not a value", key=True))
            continue
        if name in RESERVED:
            message = f"'genii deploy {name}' is a command; choose another name"
            faults.add(source.problem(path, message, key=True))
        scope = Scope(faults, (Layer(source, path, raw),))
        names = Names(environ, {"here": source.folder})
        named = Names(environ, {"here": source.folder, "host": "{host}"})  # put in when it is known
        expanded = expand_table(raw, _choice({("to",): named}, names), scope.error)
        table = convert(expanded, DeployTable, scope)
        if table is not None:
            found[name] = _Reader(name, table, scope, source).read()
    return found


class _Reader:
    """Turn one table into a deployment and report what is wrong with it."""

    def __init__(self, name: str, table: DeployTable, scope: Scope, source: Source) -> None:
        self._name = name
        self._table = table
        self._scope = scope
        self._source = source

    def read(self) -> Deployment:
        """Return the deployment; of use only if nothing was reported."""
        table, name = self._table, self._name
        commands, inputs, outputs = self._install()
        found: dict[str, Any] = {}
        for key in ("keep", "reuse", "restart", "genii", "order", "limit"):
            if getattr(table, key) is not UNSET:
                found[key] = getattr(table, key)
        if not table.hosts and not table.roles:
            self._scope.error(("hosts",), "names no host; add hosts = [...] or roles = { app = [...] }")
        return Deployment(
            name=name,
            origin=self._origin(),
            to=self._to(),
            folder=self._source.folder,
            hosts=tuple(table.hosts or ()),
            roles={role: tuple(hosts) for role, hosts in (table.roles or {}).items()},
            linked_dirs=self._linked("linked_dirs"),
            linked_files=self._linked("linked_files"),
            install=commands,
            inputs=inputs,
            outputs=outputs,
            check=_words(table.check),
            programs=tuple(table.programs or ()),
            health=self._health(table.health) if table.health is not UNSET else None,
            hooks=self._hooks(),
            steps=self._steps(),
            env=self._env(),
            secrets=self._secrets(),
            batches=tuple(self._share(("batches", number), share) for number, share in enumerate(table.batches or ())),
            min_ok=self._share(("min_ok",), table.min_ok) if table.min_ok is not UNSET else -100,
            timeout=self._parsed(("timeout",), table.timeout, parse_duration, 600.0),
            tasks=self._parsed(("tasks",), table.tasks, self._absolute, f"{self._source.folder}/tasks.py"),
            line=self._source.problem(("deploy", name), "", key=True).line,
            **found,
        )

    # -- where from, where to ------------------------------------------------------------------------------------------

    def _origin(self) -> Origin:
        table = self._table
        kinds = ("repository", "directory", "archive", "wheel")
        given = [kind for kind in kinds if getattr(table, kind) is not UNSET]
        if len(given) != 1:
            message = (
                f"says {' and '.join(given)}; keep one" if given else f"has no source; add one of {_listed(kinds)}"
            )
            self._scope.error((given[1],) if given else (), message, key=True)
            return Origin("directory", self._source.folder)
        self._refuse_stray("repository", given[0], ("branch", "mirror"))
        self._refuse_stray("directory", given[0], ("exclude",))
        self._refuse_stray("archive", given[0], ("strip",))
        if given[0] == "repository":
            where = _repository(table.repository or "", self._source.folder)
            if not where:
                self._scope.error(("repository",), "is empty; write a URL or a path")
            return Origin("git", where, branch=self._branch(), on_host=table.mirror == "host")
        where = self._parsed((given[0],), getattr(table, given[0]), self._absolute, "")
        exclude = _EXCLUDED if table.exclude is UNSET else tuple(table.exclude)
        return Origin(given[0], where, exclude=exclude, strip=table.strip or 0)

    def _branch(self) -> str:
        branch = self._table.branch or "HEAD"
        if branch.startswith("-") or re.search(r"[\s~^:?*\[\\\x00-\x1f]|\.\.|@\{", branch):
            self._scope.error(("branch",), f"{quote(branch)} is no name of a branch, tag or commit")
            return "HEAD"
        return branch

    def _refuse_stray(self, kind: str, given: str, keys: Iterable[str]) -> None:
        for key in keys:
            if getattr(self._table, key) is not UNSET and kind != given:
                self._scope.error((key,), f"belongs to {kind}, and this is a deployment from {given}; remove it")

    def _to(self) -> str:
        to = self._table.to
        if not isabs(to) or normpath(to) in ("/", "//"):
            self._scope.error(("to",), f"{quote(to)} is no directory to deploy to; write an absolute path below /")
            return "/nowhere"
        if "\n" in to:
            self._scope.error(("to",), "has a line break in it; remove it")
        return normpath(to)

    def _linked(self, key: str) -> tuple[str, ...]:
        found: dict[str, None] = {}
        for number, path in enumerate(getattr(self._table, key) or ()):
            self._check_inside((key, number), path)
            if normpath(path) in found:
                self._scope.error((key, number), f"{quote(path)} is there twice; remove one")
            found[normpath(path)] = None
        others = tuple(map(normpath, self._table.linked_dirs or ())) if key == "linked_files" else ()
        for number, path in enumerate(found):
            if any(path == other or path.startswith(other + "/") for other in others):
                self._scope.error((key, number), f"{quote(path)} lies in one of linked_dirs already; remove one")
        return tuple(found)

    def _check_inside(self, path: Path, value: str) -> None:
        inside = value and not isabs(value) and normpath(value).split("/")[0] not in ("..", ".")
        if not inside or "\n" in value or "\0" in value:
            self._scope.error(path, f"{quote(value)} must be a path inside the release, such as 'log' or 'tmp/pids'")

    # -- what is run ---------------------------------------------------------------------------------------------------

    def _install(self) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
        raw = self._table.install
        if not isinstance(raw, InstallTable):
            return _words(raw), (), ()
        for key in ("inputs", "outputs"):
            for number, path in enumerate(getattr(raw, key) or ()):
                self._check_inside(("install", key, number), path)
        if bool(raw.inputs) != bool(raw.outputs):
            self._scope.error(("install",), "needs both inputs and outputs, or neither")
        return _words(raw.command), tuple(raw.inputs or ()), tuple(raw.outputs or ())

    def _hooks(self) -> dict[str, tuple[Command, ...]]:
        known = [f"{when}_{step}" for step in STEPS for when in ("before", "after")] + ["failed"]
        found = {}
        for key, raw in (self._table.hooks or {}).items():
            if key not in known:
                hint = did_you_mean(key, known) or f"; the steps are {_listed(STEPS)}"
                self._scope.error(("hooks", key), f"there is no such place for a hook{hint}", key=True)
            listed = raw if isinstance(raw, list) else [raw]
            found[key] = tuple(_command(one) for one in listed)
            for number, one in enumerate(found[key]):
                self._check_roles(("hooks", key, number) if isinstance(raw, list) else ("hooks", key), one.roles)
        return found

    def _check_roles(self, path: Path, roles: Iterable[str]) -> None:
        declared = self._table.roles or {}
        for role in roles:
            if role not in declared:
                hint = did_you_mean(role, declared) or "; declare it in roles"
                self._scope.error((*path, "roles"), f"there is no role {role!r}{hint}")

    def _steps(self) -> dict[str, tuple[str, ...]]:
        for key in self._table.steps or ():
            if key not in REPLACEABLE:
                hint = did_you_mean(key, REPLACEABLE) or f"; these can be: {_listed(REPLACEABLE)}"
                self._scope.error(("steps", key), f"this step can't be replaced{hint}", key=True)
        return {key: _words(raw) for key, raw in (self._table.steps or {}).items()}

    def _health(self, raw: DeployHealthTable) -> Health:
        given = [key for key in ("http", "tcp", "command") if getattr(raw, key) is not UNSET]
        if len(given) != 1:
            self._scope.error(("health",), "asks nothing or too much; give exactly one of http, tcp and command")
        if raw.expect is not UNSET and given != ["http"]:
            self._scope.error(("health", "expect"), "is about what http answers; remove it")
        return Health(
            http=self._parsed(("health", "http"), raw.http, parts.http_url, ""),
            tcp=self._parsed(("health", "tcp"), raw.tcp, parts.address, ""),
            command=raw.command or "",
            expect=raw.expect or "",
            timeout=self._parsed(("health", "timeout"), raw.timeout, parse_duration, 30.0),
            interval=self._parsed(("health", "interval"), raw.interval, parse_duration, 0.2),
        )

    def _env(self) -> dict[str, str]:
        for name in self._table.env or ():
            self._check_variable(("env", name), name)
        return dict(self._table.env or {})

    def _secrets(self) -> dict[str, str]:
        raw = self._table.secrets
        if raw is UNSET or isinstance(raw, list):
            for number, name in enumerate(raw or ()):
                self._check_variable(("secrets", number), name)
            return {name: f"env:{name}" for name in raw or ()}
        for name, where in raw.items():
            self._check_variable(("secrets", name), name)
            if not where.startswith(("env:", "file:")):
                message = "a secret itself doesn't belong in this file; write 'env:NAME' or 'file:PATH'"
                self._scope.error(("secrets", name), message)
        return {name: self._secret_place(where) for name, where in raw.items()}

    def _secret_place(self, where: str) -> str:
        kind, _, place = where.partition(":")
        return f"file:{parts.absolute(place, self._source.folder)}" if kind == "file" and place else where

    def _check_variable(self, path: Path, name: str) -> None:
        if not _VARIABLE.fullmatch(name):
            self._scope.error(path, f"{quote(name)} is no name of a variable; use letters, digits and _")

    # -- values --------------------------------------------------------------------------------------------------------

    def _share(self, path: Path, raw: int | str) -> int:
        if isinstance(raw, int) and not isinstance(raw, bool) and raw > 0:
            return raw
        match = _SHARE.fullmatch(str(raw).strip())
        if match is None and str(raw).strip().isdigit() and int(raw) > 0:
            return int(raw)
        if match is None or not 0 < int(match[1]) <= 100:
            self._scope.error(path, f"{quote(raw)} is no number of hosts; write for example 1, 10 or '25%'")
            return 1
        return -int(match[1])

    def _absolute(self, path: str) -> str:
        return parts.absolute(path, self._source.folder)

    def _parsed(self, path: Path, raw: Any, parse: Callable[[Any], Any], default: Any) -> Any:
        if raw is UNSET:
            return default
        try:
            return parse(raw)
        except ValueError as error:
            self._scope.error(path, str(error))
            return default


def _choice(special: Mapping[Path, Names], otherwise: Names) -> Callable[[Path], Names]:
    return lambda path: special.get(path, otherwise)


def _repository(text: str, folder: str) -> str:
    """Return a URL as it is and a path made absolute; ``user@host:path`` is a URL to git."""
    remote = "://" in text or re.match(r"[^/]+:", text)
    return text if remote or not text else parts.absolute(text, folder)


def _command(raw: str | HookTable) -> Command:
    if isinstance(raw, str):
        return Command(raw)
    return Command(raw.command, tuple(raw.roles or ()), raw.once or False)


def _words(raw: Any) -> tuple[str, ...]:
    if raw is UNSET:
        return ()
    return (raw,) if isinstance(raw, str) else tuple(raw)


def _listed(words: Iterable[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} and {last}"
