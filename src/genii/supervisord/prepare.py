"""Make the settings of a file in supervisord's language ready to run: names of AUTO logs, who writes what."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import msgspec

from genii.config.ini.declaration import decode
from genii.config.ini.program import AUTO_MARK
from genii.errors import NotAllowed
from genii.supervise.model import Log

if TYPE_CHECKING:
    from genii.config.ini.declaration import Daemon, Stream
    from genii.supervise.model import Logs, Settings

__all__ = ["prepare"]


def prepare(settings: Settings, supervisor: int) -> Settings:
    """Return the settings as the process ``supervisor`` is to run them.

    The names of AUTO logs can't be guessed, as they may be in a directory that all can write to, but are the same for
    all that reads the configuration anew while a supervisor (or one that takes over its programs) runs. Where output
    is captured or stripped, its log is ours to write, not the keeper's.
    """
    declaration = decode(settings.supervisord)
    token = _token(settings.state_dir, declaration.daemon, supervisor)
    programs, members = dict(settings.programs), dict(declaration.members)
    for name, member in declaration.members.items():
        program = programs[name]
        logs = program.logs
        stdout, stdout_log = _resolved(member.stdout, logs.stdout, f"{token} {name} stdout", declaration.daemon)
        stderr, stderr_log = member.stderr, None
        if logs.stderr is not None:
            stderr, stderr_log = _resolved(member.stderr, logs.stderr, f"{token} {name} stderr", declaration.daemon)
        changed: Logs = msgspec.structs.replace(logs, stdout=stdout_log, stderr=stderr_log)
        if changed != logs:
            programs[name] = msgspec.structs.replace(program, logs=changed)
        members[name] = msgspec.structs.replace(member, stdout=stdout, stderr=stderr)
    declaration = msgspec.structs.replace(declaration, members=members)
    return msgspec.structs.replace(settings, programs=programs, supervisord=msgspec.json.encode(declaration).decode())


def _resolved(stream: Stream, log: Log, seed: str, daemon: Daemon) -> tuple[Stream, Log]:
    if stream.auto:
        log = msgspec.structs.replace(log, path=log.path.replace(AUTO_MARK, _digest(seed)))
    if stream.capture or daemon.strip_ansi:
        return msgspec.structs.replace(stream, log=log), Log(path="")
    return stream, log


def _digest(seed: str) -> str:
    from _blake2 import blake2b  # hashlib would load OpenSSL: 4 MiB for the same function

    return blake2b(seed.encode(), digest_size=4).hexdigest()


def _token(state_dir: str, daemon: Daemon, supervisor: int) -> str:
    """Return what makes the names of AUTO logs unpredictable; at a fresh start it is new and old logs are removed."""
    try:
        os.makedirs(state_dir, mode=0o755, exist_ok=True)
    except OSError as error:
        raise NotAllowed(f"can't make the state directory {state_dir}: {error.strerror}") from None
    if os.stat(state_dir).st_uid != os.geteuid():
        raise NotAllowed(f"{state_dir} belongs to another user; remove it, or run as that user")
    path = os.path.join(state_dir, "auto-logs")
    try:
        with open(path, encoding="ascii") as file:
            pid, _, token = file.read().partition(" ")
    except FileNotFoundError:
        pid, token = "", ""
    # The record is there while a supervisor runs, or when one died and its programs are to be adopted.
    if token and (pid == str(supervisor) or os.path.exists(os.path.join(state_dir, "record"))):
        return token
    if not daemon.nocleanup:
        _remove_old(daemon)
    token = os.urandom(8).hex()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w", encoding="ascii") as file:
        file.write(f"{supervisor} {token}")
    return token


def _remove_old(daemon: Daemon) -> None:
    pattern = re.compile(rf".+?---{re.escape(daemon.identifier)}-\S+\.log\.?\d{{0,4}}")
    for entry in os.scandir(daemon.childlogdir):
        if pattern.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
            try:
                os.unlink(entry.path)
            except OSError:
                continue
