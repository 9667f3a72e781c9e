"""Read a file in supervisord's language and all that it includes: the shell around ``resolve``."""

from __future__ import annotations

import glob
import json
import os
import re
from typing import TYPE_CHECKING

import msgspec

from genii.config.ini.expand import expand, exported
from genii.config.ini.place import state_dir
from genii.config.ini.resolve import resolve
from genii.config.ini.text import Option, Section, parse_text
from genii.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from genii.config.ini.declaration import Declaration
    from genii.config.ini.text import Text
    from genii.config.source import Faults
    from genii.supervise.model import Settings

__all__ = ["OVERRIDES", "Machine", "examine_ini", "read_text"]

OVERRIDES = "GENII_SUPERVISORD_OPTIONS"
"""Environment variable: options of [supervisord] from the command line, as JSON; they win over the file."""


def examine_ini(
    path: str, environ: Mapping[str, str], contents: Callable[[str], bytes], faults: Faults
) -> tuple[Settings | None, Declaration | None]:
    """Return what a configuration says; all that is wrong goes to ``faults``.

    ``contents`` reads a file and raises ValueError that says why it can't.
    """
    text, files = read_text(path, environ, contents, faults)
    if text is None:
        return None, None
    section = text.sections.setdefault("supervisord", Section("supervisord", path, 0)) if OVERRIDES in environ else None
    for key, value in json.loads(environ.get(OVERRIDES, "{}")).items():
        assert section is not None
        section.options[key] = Option(value, "command line", 0)
    settings, declaration = resolve(path, text, Machine(environ), faults)
    folder = state_dir(path)
    declaration = msgspec.structs.replace(declaration, included=tuple(files[1:]))
    settings = msgspec.structs.replace(
        settings,
        files=tuple(files),
        state_dir=folder,
        log_dir=declaration.daemon.childlogdir,
        supervisord=msgspec.json.encode(declaration).decode(),
    )
    return settings, declaration


def read_text(
    path: str, environ: Mapping[str, str], contents: Callable[[str], bytes], faults: Faults
) -> tuple[Text | None, list[str]]:
    """Return the text of a file with all that it includes, and the files."""
    text = _read(path, contents, faults)
    if text is None:
        return None, [path]
    files = [path]
    for name in _included(path, text, environ, faults):
        included = _read(name, contents, faults)
        if included is not None:
            files.append(name)
            text.merge(included)
    return text, files


def _read(path: str, contents: Callable[[str], bytes], faults: Faults) -> Text | None:
    try:
        data = contents(path)
        found = parse_text(data.decode().removeprefix("\ufeff"), path)
    except UnicodeDecodeError as error:
        faults.add(Problem(path, data[: error.start].count(b"\n") + 1, 1, "is not UTF-8 here; save the file as UTF-8"))
        return None
    except ValueError as error:
        faults.add(Problem(path, 0, 0, str(error)))
        return None
    for bad in found.bad:
        faults.add(Problem(path, bad.line, 1, bad.message))
    return found


def _included(path: str, text: Text, environ: Mapping[str, str], faults: Faults) -> list[str]:
    """Return the files that [include] names, those of each pattern sorted."""
    section = text.sections.get("include")
    if section is None:
        return []
    option = section.options.get("files")
    if option is None:
        faults.add(Problem(path, section.line, 1, "[include] lacks the option files; add it, or remove the section"))
        return []
    folder = os.path.dirname(path)
    names = {**exported(environ), "here": folder, "host_node_name": os.uname().nodename}
    try:
        patterns = expand(option.value, names).split()
    except ValueError as error:
        faults.add(Problem(path, option.line, 1, f"[include] files: {error}"))
        return []
    found: list[str] = []
    for pattern in patterns:
        matches = sorted(glob.glob(os.path.join(folder, pattern)))
        if not matches:
            faults.warn(Problem(path, option.line, 1, f"[include] files: nothing matches {pattern!r}"))
        found += matches
    return found


class Machine:
    """What a configuration asks of this machine."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ: Mapping[str, str] = {name: value for name, value in environ.items() if name != OVERRIDES}
        self.host = os.uname().nodename
        self.directory = os.getcwd()
        self.temporary = next(
            (
                os.path.abspath(folder)
                for name in ("TMPDIR", "TEMP", "TMP")
                if (folder := environ.get(name)) and os.access(folder, os.W_OK | os.X_OK)
            ),
            "/tmp",  # noqa: S108 -- as the module tempfile has it
        )

    def is_directory(self, path: str) -> bool:
        """Say whether there is a directory at ``path``."""
        return os.path.isdir(path)

    def expand_home(self, path: str) -> str:
        """Return a path with ``~`` and ``~user`` replaced."""
        return os.path.expanduser(path)

    def user(self, text: str) -> tuple[int, int]:
        """Return the numbers of a user and its group; raises ValueError."""
        import pwd

        text = text.strip()
        try:
            entry = pwd.getpwuid(int(text)) if re.fullmatch(r"\d{1,9}", text) else pwd.getpwnam(text)
        except KeyError:
            raise ValueError(f"there is no user {text!r}; create it or name another") from None
        return entry.pw_uid, entry.pw_gid

    def group(self, text: str) -> int:
        """Return the number of a group; raises ValueError."""
        import grp

        text = text.strip()
        try:
            return (grp.getgrgid(int(text)) if re.fullmatch(r"\d{1,9}", text) else grp.getgrnam(text)).gr_gid
        except KeyError:
            raise ValueError(f"there is no group {text!r}; create it or name another") from None
