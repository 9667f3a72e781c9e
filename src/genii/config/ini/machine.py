"""What a file in supervisord's language asks of the machine that it is read on: names, users, folders."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["OVERRIDES", "Machine"]

OVERRIDES = "GENII_SUPERVISORD_OPTIONS"
"""Environment variable: options of [supervisord] from the command line, as JSON; they win over the file."""


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
