"""Where genii keeps its own state for a file in supervisord's language, which has no option for it."""

from __future__ import annotations

import os

__all__ = ["is_ini", "state_dir"]

_LONGEST = 94
"""Bytes of a folder with sockets in it: their paths have 107 at most, see unix(7)."""
_LONGEST_NAME = 40


def is_ini(path: str) -> bool:
    """Say whether a configuration is in supervisord's language, by its name."""
    return path.endswith((".conf", ".ini", ".cfg"))


def state_dir(path: str) -> str:
    """Return the state directory of a configuration: beside it, or in /run where that may not be written.

    It depends on nothing that is written in the file, so that every command finds it without reading that.
    """
    folder, name = os.path.split(os.path.abspath(path))
    beside = os.path.join(folder, ".genii", name.rpartition(".")[0])
    if not folder.startswith("/etc") and os.access(folder, os.W_OK) and len(os.fsencode(beside)) <= _LONGEST:
        return beside
    slug = os.path.abspath(path).strip("/").replace("/", "-")
    if len(os.fsencode(slug)) > _LONGEST_NAME:
        from binascii import crc32  # late: a library to load, and most commands have no use for it

        slug = f"{slug[-_LONGEST_NAME:]}-{crc32(os.fsencode(os.path.abspath(path))):08x}"
    if os.geteuid() == 0 and os.access("/run", os.W_OK):
        return f"/run/genii/{slug}"
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/tmp/genii-{os.geteuid()}"  # noqa: S108 -- made 0700, owner checked
    return os.path.join(runtime, slug)
