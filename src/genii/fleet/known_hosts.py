"""Whom we take a host for: the files of known host keys, read once, and added to where the policy says so.

The format is that of sshd(8), SSH_KNOWN_HOSTS FILE FORMAT.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncssh import SSHKey
    from asyncssh.known_hosts import SSHKnownHosts

__all__ = ["SYSTEM_FILES", "KnownHosts"]

SYSTEM_FILES = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")
USER_FILES = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")


class KnownHosts:
    """Read files of known keys, each list of them once, and write new keys down."""

    def __init__(self) -> None:
        self._read: dict[tuple[str, ...], SSHKnownHosts] = {}

    def of(self, files: Sequence[str]) -> SSHKnownHosts:
        """Return what the files that exist say; unreadable lines in them are an error of asyncssh."""
        key = tuple(files)
        if key not in self._read:
            import asyncssh

            texts = [text for path in key if (text := _text(os.path.expanduser(path)))]
            self._read[key] = asyncssh.import_known_hosts("\n".join(texts))
        return self._read[key]

    def remember(self, files: Sequence[str], host: str, port: int, key: SSHKey) -> str:
        """Append the key of a new host to the first of the files; return its path."""
        path = os.path.expanduser(files[0] if files else USER_FILES[0])
        folder = os.path.dirname(path)
        if not os.path.isdir(folder):
            os.makedirs(folder, mode=0o700, exist_ok=True)
        name = f"[{host}]:{port}" if port != 22 else host
        line = f"{name} {key.export_public_key().decode().strip().rsplit(' ', maxsplit=0)[0]}\n"
        # One write with O_APPEND: others may add to the file at the same time.
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)
        self._read.clear()
        return path


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
