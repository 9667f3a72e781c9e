"""Find the configuration that holds in a directory; apart from reading it, because every command has to."""

from __future__ import annotations

import os

from genii.errors import UsageError
from genii.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FILE_NAME", "SYSTEM_FILE", "find"]

FILE_NAME = "genii.toml"
SYSTEM_FILE = "/etc/genii/genii.toml"


def find(start: str, environ: Mapping[str, str]) -> str:
    """Return the configuration that holds in a directory: ``GENII_CONFIG``, ``genii.toml`` here or above, the system's.

    Raises UsageError if there is none, or if the one above belongs to somebody else.
    """
    named = environ.get("GENII_CONFIG")
    if named:
        return os.path.abspath(named)
    folder = os.path.abspath(start)
    while True:
        path = os.path.join(folder, FILE_NAME)
        if os.path.lexists(path):
            _refuse_strangers(path, found_above=folder != os.path.abspath(start))
            return path
        parent = os.path.dirname(folder)
        if parent == folder:
            break
        folder = parent
    if os.path.exists(SYSTEM_FILE):
        return SYSTEM_FILE
    raise UsageError(
        f"no {FILE_NAME} in {start} or above, and no {SYSTEM_FILE}; 'genii init' writes one, '-c FILE' names another"
    )


def _refuse_strangers(path: str, *, found_above: bool) -> None:
    # In /tmp/work, a /tmp/genii.toml of somebody else must not run as whoever types a command there.
    owner = os.stat(path, follow_symlinks=False).st_uid
    if found_above and owner not in (0, os.geteuid()):
        raise UsageError(f"{path} belongs to another user (uid {owner}); name it with '-c {path}' if you trust it")
