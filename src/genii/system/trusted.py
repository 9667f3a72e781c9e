"""Open files by name as root, in folders that belong to others, without being led elsewhere.

Whoever owns a folder can put a symbolic link there, and have root write (or show) what it leads to. Here root follows
only links that root has made; for anybody else the kernel's own rules are enough. openat(2), symlink(7).
"""

from __future__ import annotations

import errno
import os
import stat

__all__ = ["open_trusted"]

_MOST_LINKS = 40
_DEVICES = ("/dev/", "/proc/")
"""What stands there is the kernel's, and its links can't be followed by their text."""


def open_trusted(path: str, flags: int, mode: int = 0o640) -> int:
    """Return a descriptor of the file at ``path``, see open(2).

    Raises:
        PermissionError: we are root, and a link on the way belongs to somebody else.
        OSError: as for open(2).
    """
    if os.geteuid() != 0:
        return os.open(path, flags | os.O_CLOEXEC, mode)
    return _open(os.path.abspath(path), flags | os.O_CLOEXEC, mode, _MOST_LINKS)


def _open(path: str, flags: int, mode: int, links: int) -> int:
    if path.startswith(_DEVICES):
        return os.open(path, flags, mode)
    *parts, name = path.split("/")[1:]
    folder = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    passed = "/"
    try:
        for number, part in enumerate(parts):
            inner = os.open(part, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            os.close(folder)
            folder = inner
            target = _target(folder, os.path.join(passed, part), links)
            if target is not None:
                return _open(os.path.join(passed, target, *parts[number + 1 :], name), flags, mode, links - 1)
            passed = os.path.join(passed, part)
        try:
            return os.open(name, flags | os.O_NOFOLLOW, mode, dir_fd=folder)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
        link = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        try:
            target = _target(link, path, links)
        finally:
            os.close(link)
        return _open(os.path.normpath(os.path.join(passed, target or name)), flags, mode, links - 1)
    finally:
        os.close(folder)


def _target(descriptor: int, path: str, links: int) -> str | None:
    """Return what a link leads to; None: it is none."""
    found = os.fstat(descriptor)
    if not stat.S_ISLNK(found.st_mode):
        return None
    if found.st_uid != 0:
        raise PermissionError(errno.EPERM, f"a symbolic link of user {found.st_uid}, which root does not follow", path)
    if links <= 0:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
    return os.readlink("", dir_fd=descriptor)
