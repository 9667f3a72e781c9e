"""The folder of a slot manager's sockets and records: gone with it or, where it was killed, with the next one."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from typing import TYPE_CHECKING

from genii.errors import NotAllowed
from genii.system.pidfile import PidFile

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SlotFolder"]

_PREFIX = "genii-slots-"
_PID_FILE = "manager.pid"


class SlotFolder:
    """A temporary folder with the pid of the manager that it belongs to; raises OSError when there is no room."""

    def __init__(self) -> None:
        for folder in _left():
            shutil.rmtree(folder, ignore_errors=True)
        self.path = tempfile.mkdtemp(prefix=_PREFIX)
        self._pid_file = PidFile(os.path.join(self.path, _PID_FILE))
        self._pid_file.acquire()
        self._pid_file.write()

    def remove(self) -> None:
        """Remove it with all that is in it."""
        self._pid_file.forget()
        shutil.rmtree(self.path, ignore_errors=True)


def _left() -> Iterator[str]:
    """Yield our folders whose manager is gone."""
    for entry in os.scandir(tempfile.gettempdir()):
        if not entry.name.startswith(_PREFIX):
            continue
        try:
            found = entry.stat(follow_symlinks=False)
            ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
            if ours and PidFile(os.path.join(entry.path, _PID_FILE)).read().state == "stale":
                yield entry.path
        except (FileNotFoundError, NotAllowed):  # it is gone this moment, or was never one of ours
            continue
