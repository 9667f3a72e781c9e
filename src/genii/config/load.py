"""Find and read the configuration: the shell around ``resolve``."""

from __future__ import annotations

import os
import signal
import stat
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from genii.config import toml
from genii.config.expand import Names, expand
from genii.config.find import FILE_NAME, SYSTEM_FILE, find
from genii.config.ini.place import is_ini
from genii.config.resolve import resolve
from genii.config.source import Faults, Scope, Source
from genii.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from genii.config.deploy import Deployment
    from genii.config.fleet import FleetSettings
    from genii.supervise.model import Settings

__all__ = ["FILE_NAME", "Examination", "examine", "find", "load", "load_deployments", "load_fleet"]

_MOST_FILES = 1000


class Examination(msgspec.Struct):
    """What a look at a configuration brought: settings that may be used only if there are no problems."""

    path: str
    settings: Settings | None
    faults: Faults
    scopes: dict[str, Scope] = msgspec.field(default_factory=dict)
    """For each program, where its keys were written."""

    @property
    def problems(self) -> list[Problem]:
        """Return the errors, in the order of files and lines."""
        return self.faults.all_problems()

    @property
    def warnings(self) -> list[Problem]:
        """Return what is legal and probably a mistake."""
        return list(self.faults.warnings)


def load(path: str, environ: Mapping[str, str] | None = None) -> Settings:
    """Read a configuration and all that it includes.

    Raises ConfigError with everything that is wrong.
    """
    examination = examine(path, environ)
    if examination.settings is None or examination.faults.problems:
        raise ConfigError(examination.problems)
    return examination.settings


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Leave Ctrl-C for afterwards: Python crashes in msgspec 0.22 where it comes while that looks at a type.

    Nothing in here waits for anybody: only regular files are read.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@_undisturbed()
def examine(path: str, environ: Mapping[str, str] | None = None) -> Examination:
    """Read a configuration and tell all that is wrong or doubtful about it; starts nothing."""
    environ = dict(os.environ) if environ is None else environ
    faults = Faults()
    path = os.path.abspath(path)
    if is_ini(path):
        from genii.config.ini.load import examine_ini

        return Examination(path, examine_ini(path, environ, lambda name: _contents(name)[0], faults)[0], faults)
    main = _read(path, faults)
    if main is None:
        return Examination(path, None, faults)
    included = [source for one in _included(main, environ, faults) if (source := _read(one, faults)) is not None]
    machine = _Machine()
    settings, scopes = resolve(main, included, environ, sys.executable, machine, faults)
    files = (path, *(source.path for source in included), *machine.files)

    return Examination(path, msgspec.structs.replace(settings, files=files), faults, scopes)


@_undisturbed()
def load_fleet(path: str, environ: Mapping[str, str] | None = None) -> FleetSettings:
    """Read only what a configuration says of remote hosts.

    Raises ConfigError with everything that is wrong there.
    """
    from genii.config.fleet import FleetSettings, read_fleet

    faults = Faults()
    source = None if is_ini(path) else _read(os.path.abspath(path), faults)
    found = read_fleet(source, dict(os.environ) if environ is None else environ, faults) if source else FleetSettings()
    if faults.problems:
        raise ConfigError(faults.all_problems())
    return found


@_undisturbed()
def load_deployments(path: str, environ: Mapping[str, str] | None = None) -> tuple[dict[str, Deployment], str]:
    """Read only what a configuration says of releases; return that, and the state directory.

    Raises ConfigError with everything that is wrong there.
    """
    from genii.config.deploy import read_deployments
    from genii.config.supervisor import read_supervisor

    faults, path = Faults(), os.path.abspath(path)
    environ = dict(os.environ) if environ is None else environ
    source = None if is_ini(path) else _read(path, faults)
    found = read_deployments(source, environ, faults) if source else {}
    own = read_supervisor(source, environ, path == SYSTEM_FILE, faults) if source else {"state_dir": ""}
    if faults.problems:
        raise ConfigError(faults.all_problems())
    return found, own["state_dir"]


def _read(path: str, faults: Faults) -> Source | None:
    try:
        data, mode = _contents(path)
        text = data.decode().removeprefix("\ufeff")
        return Source(path, text, toml.parse(text), mode)
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line, column = before.count(b"\n") + 1, len(before.rpartition(b"\n")[2].decode()) + 1
        faults.add(Problem(path, line, column, "is not UTF-8 here; save the file as UTF-8"))
    except toml.NotToml as error:
        faults.add(Problem(path, error.line, error.column, str(error)))
    except ValueError as error:
        faults.add(Problem(path, 0, 0, str(error)))
    return None


def _contents(path: str) -> tuple[bytes, int]:
    """Return the bytes and the mode of a regular file; raises ValueError that says why not."""
    try:
        # Non-blocking, as a named pipe in place of a file would hold us for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise ValueError("is not a regular file; name a file")
            with open(descriptor, "rb", closefd=False) as file:
                data = file.read(toml.LARGEST + 1)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise ValueError(f"can't be read: {error.strerror}; check the path and its permissions") from None
    if len(data) > toml.LARGEST:
        raise ValueError(f"is larger than {toml.LARGEST >> 20} MiB; split it up with [supervisor] include")
    return data, stat.S_IMODE(status.st_mode)


def _included(main: Source, environ: Mapping[str, str], faults: Faults) -> list[str]:
    supervisor = main.data.get("supervisor")
    raw = supervisor.get("include", []) if isinstance(supervisor, dict) else []
    if not raw:
        return []
    import glob

    patterns = [raw] if isinstance(raw, str) else raw
    found: dict[str, None] = {}
    for number, pattern in enumerate(patterns if isinstance(patterns, list) else []):
        if not isinstance(pattern, str):
            continue  # its type is refused with the rest of the table
        path = ("supervisor", "include") if isinstance(raw, str) else ("supervisor", "include", number)
        try:
            expanded = expand(pattern, Names(environ, {"here": main.folder}))
        except ValueError:
            continue  # reported with the rest of the table
        absolute = os.path.normpath(os.path.join(glob.escape(main.folder), expanded))
        matches = sorted(glob.glob(absolute, recursive=True))
        if not matches and not glob.has_magic(expanded):
            message = f"supervisor.include: {expanded!r} does not exist; create it, or remove it here"
            faults.add(main.problem(path, message))
        found.update(dict.fromkeys(match for match in matches if match != main.path))
        if len(found) > _MOST_FILES:
            faults.add(
                main.problem(path, f"supervisor.include: more than {_MOST_FILES} files match; narrow the pattern")
            )
            break
    return list(found)[:_MOST_FILES]


class _Machine:
    """What the configuration asks of this machine; each file is read once."""

    def __init__(self) -> None:
        self.files: dict[str, None] = {}
        self._variables: dict[str, dict[str, str]] = {}
        self._timezones: dict[str, bool] = {}

    def variables(self, path: str) -> Mapping[str, str]:
        """Return the variables in a file."""
        if path not in self._variables:
            from genii.config.variables import parse_variables

            try:
                self._variables[path] = parse_variables(self._text(path))
            except ValueError as error:
                raise ValueError(f"{path}: {error}") from None
        return self._variables[path]

    def first_line(self, path: str) -> str:
        """Return the first line of a file, such as a password."""
        try:
            line = self._text(path).partition("\n")[0].strip()
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        if not line:
            raise ValueError(f"{path}: its first line is empty; write the password or its hash there")
        return line

    def knows_timezone(self, name: str) -> bool:
        """Say whether this machine has the rules of a time zone."""
        if name not in self._timezones:
            from genii.events.zone import load_zone

            try:
                load_zone(name)
            except ValueError:
                self._timezones[name] = False
            else:
                self._timezones[name] = True
        return self._timezones[name]

    def _text(self, path: str) -> str:
        self.files.setdefault(path)
        try:
            text = _contents(path)[0].decode()
        except UnicodeDecodeError:
            raise ValueError("is not UTF-8; save it as UTF-8") from None
        if "\0" in text:
            raise ValueError("contains a NUL byte; remove it")
        return text
