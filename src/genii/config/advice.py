"""What is right as a configuration but will probably fail on this machine.

Commands, directories and users that are not there. Looks only, starts nothing.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
import shutil
from typing import TYPE_CHECKING

from genii.supervise.template import for_process

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from genii.config.load import Examination
    from genii.config.source import Scope
    from genii.supervise.model import Program

__all__ = ["advise"]

_PLAIN_WORD = re.compile(r"(?:exec )?([A-Za-z0-9_./+-]+)(?:\s|$)")


def advise(examination: Examination, environ: Mapping[str, str]) -> None:
    """Add a warning for everything that the programs name and this machine doesn't have."""
    settings = examination.settings
    if settings is None:
        return
    for name, program in settings.programs.items():
        scope = examination.scopes[name]
        first = for_process(program, 0, program.process_names(1)[0])
        _check_directory(first, scope)
        _check_command(first, scope, environ)
        _check_people(first, scope)
        if settings.user == "" and os.geteuid() != 0 and program.user:
            _check_change_of_user(program, scope)


def _check_directory(program: Program, scope: Scope) -> None:
    if not os.path.isdir(program.directory):
        scope.warn(("directory",), f"{program.directory} is not a directory; create it before the program starts")


def _check_command(program: Program, scope: Scope, environ: Mapping[str, str]) -> None:
    path = program.environment.get("PATH", environ.get("PATH", os.defpath))
    for key, words in (("command", program.command), ("check", program.check)):
        word = _executable(words)
        if word is None:
            continue
        if "/" in word:
            found = os.access(os.path.join(program.directory, word), os.X_OK)
            where = f"in {program.directory}" if not os.path.isabs(word) else "there"
        else:
            found, where = shutil.which(word, path=path) is not None, "on the PATH"
        if not found:
            scope.warn((key,), f"{word!r} is not an executable {where}; install it, or write its whole path")
        elif words[0] != "/bin/sh" and any(re.match(r"\$[A-Za-z_]", one) for one in words[1:]):
            scope.warn((key,), "a list is run without a shell, so $NAME stays as it is; write a string instead")


def _executable(words: tuple[str, ...]) -> str | None:
    """Return the program that a command starts, None where only a shell can say."""
    if not words:
        return None
    if words[:2] != ("/bin/sh", "-c"):
        return words[0]
    match = _PLAIN_WORD.match(words[2])
    return match[1] if match and words[2].startswith("exec ") else None


def _check_people(program: Program, scope: Scope) -> None:
    if program.user and not _exists(program.user, pwd.getpwnam):
        scope.warn(("user",), f"there is no user {program.user!r} on this machine; create it")
    if program.group and not _exists(program.group, grp.getgrnam):
        scope.warn(("group",), f"there is no group {program.group!r} on this machine; create it")
    for number, group in enumerate(program.groups or ()):
        if not _exists(group, grp.getgrnam):
            scope.warn(("groups", number), f"there is no group {group!r} on this machine; create it")


def _exists(name: str, look_up: Callable[[str], object]) -> bool:
    if name.isdigit():
        return True
    try:
        look_up(name)
    except KeyError:
        return False
    return True


def _check_change_of_user(program: Program, scope: Scope) -> None:
    try:
        mine = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        mine = ""
    if program.user not in (mine, str(os.geteuid())):
        scope.warn(("user",), f"only root can run programs as {program.user!r}; start genii as root, or remove it")
