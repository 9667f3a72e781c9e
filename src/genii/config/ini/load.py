"""Read a file in supervisord's language and all that it includes: the shell around ``resolve``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec

from genii.config.ini.files import read_text
from genii.config.ini.machine import OVERRIDES, Machine
from genii.config.ini.place import state_dir
from genii.config.ini.resolve import resolve
from genii.config.ini.text import Option, Section

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from genii.config.ini.declaration import Declaration
    from genii.config.source import Faults
    from genii.supervise.model import Settings

__all__ = ["examine_ini"]


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
