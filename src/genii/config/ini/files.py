"""Read a file in supervisord's language and those that it includes, as text."""

from __future__ import annotations

import glob
import os
from typing import TYPE_CHECKING

from genii.config.ini.expand import expand, exported
from genii.config.ini.text import parse_text
from genii.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from genii.config.ini.text import Text
    from genii.config.source import Faults

__all__ = ["read_text"]


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
