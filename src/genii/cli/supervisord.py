"""``genii supervisord``: the command line of supervisord, see http://supervisord.org/running.html."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

from genii.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from genii.config.ini.declaration import Daemon

__all__ = ["configure", "find_ini", "run"]

_VALUES = {
    "-u": ("user", "user", "run as this user (or user number)"),
    "-m": ("umask", "umask", "use this umask for the daemon's processes (default: 022)"),
    "-d": ("directory", "directory", "change to this directory when daemonizing"),
    "-l": ("logfile", "logfile", "the main log"),
    "-y": ("logfile_maxbytes", "logfile_maxbytes", "limit of the main log's size"),
    "-z": ("logfile_backups", "logfile_backups", "number of backups of the main log"),
    "-e": ("loglevel", "loglevel", "level of the main log: debug, info, warn, error, critical …"),
    "-j": ("pidfile", "pidfile", "write the process's pid there"),
    "-i": ("identifier", "identifier", "name of this supervisord"),
    "-q": ("childlogdir", "childlogdir", "directory of AUTO logs"),
    "-a": ("minfds", "minfds", "the minimum number of file descriptors"),
    "": ("minprocs", "minprocs", "the minimum number of processes"),
}
_FLAGS = {
    "-n": ("nodaemon", "run in the foreground"),
    "-s": ("silent", "no log on standard output"),
    "-k": ("nocleanup", "keep old AUTO logs"),
    "-t": ("strip_ansi", "strip ANSI escapes from the output of programs"),
}
_PLACES = ("../etc/supervisord.conf", "../supervisord.conf")
"""Relative to the executable."""
_HERE = ("supervisord.conf", "etc/supervisord.conf", "/etc/supervisord.conf", "/etc/supervisor/supervisord.conf")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options, those of supervisord."""
    parser.description = "Run what a supervisord.conf declares, with the command line of supervisord."
    parser.add_argument("-c", "--configuration", dest="config", metavar="FILE", help="the configuration")
    parser.add_argument("-?", action="help", help="==SUPPRESS==")  # no shell completes it
    parser.add_argument("-v", "--version", action="store_true", help="print the version that this behaves like")
    parser.add_argument("--profile_options", metavar="LIST", help="accepted and without effect")
    for short, (name, metavar, text) in _VALUES.items():
        parser.add_argument(*filter(None, (short, f"--{name}")), dest=name, metavar=metavar.upper(), help=text)
    for short, (name, text) in _FLAGS.items():
        parser.add_argument(short, f"--{name}", dest=name, action="store_true", help=text)


def find_ini() -> str:
    """Return the configuration that supervisord would find.

    Raises:
        UsageError: there is none.
    """
    folder = os.path.dirname(os.path.abspath(sys.argv[0]))
    for path in (*(os.path.normpath(os.path.join(folder, place)) for place in _PLACES), *map(os.path.abspath, _HERE)):
        if os.path.exists(path):
            return path
    raise UsageError(f"no config file found at default paths ({', '.join((*_PLACES, *_HERE))}); use the -c option")


def run(options: argparse.Namespace) -> int:
    """Become supervisord, or start it as a daemon; return the exit code."""
    if options.version:
        from genii.supervisord.version import PACKAGE_VERSION

        print(PACKAGE_VERSION)
        return 0
    from genii.config.ini.declaration import decode
    from genii.config.ini.machine import OVERRIDES
    from genii.config.load import examine
    from genii.errors import ConfigError

    path = os.path.abspath(getattr(options, "config", None) or find_ini())
    given = {name: getattr(options, name) for _, (name, _, _) in _VALUES.items() if getattr(options, name) is not None}
    given |= {name: "true" for name, _ in _FLAGS.values() if getattr(options, name)}
    if given:
        os.environ[OVERRIDES] = json.dumps(given)
    examination = examine(path)
    if examination.problems or examination.settings is None:
        raise ConfigError(examination.problems)
    for problem in examination.warnings:
        print(f"warning: {problem}", file=sys.stderr)
    daemon = decode(examination.settings.supervisord).daemon
    take_on(daemon)
    return _start(path, daemon)


def take_on(daemon: Daemon) -> None:
    """Take on the limits and the user of supervisord, before anything is opened.

    Raises:
        UsageError: the system does not allow it.
    """
    import resource

    for number, wanted, name in (
        (resource.RLIMIT_NOFILE, daemon.minfds, "minfds"),
        (resource.RLIMIT_NPROC, daemon.minprocs, "minprocs"),
    ):
        soft, hard = resource.getrlimit(number)
        if soft == resource.RLIM_INFINITY or soft >= wanted:
            continue
        try:
            resource.setrlimit(number, (wanted, hard if hard == resource.RLIM_INFINITY else max(hard, wanted)))
        except (OSError, ValueError):
            raise UsageError(
                f"{name} = {wanted} is more than the system allows here ({hard}); raise the hard limit, or lower {name}"
            ) from None
    if daemon.user:
        _change_user(daemon.user)


def _change_user(user: str) -> None:
    from genii.system.privileges import resolve

    identity = resolve(user, "", None)
    if identity.uid == os.geteuid():
        return
    if os.geteuid() != 0:
        raise UsageError("Can't drop privilege as nonroot user")
    os.setgroups(identity.groups)
    os.setgid(identity.gid)
    os.setuid(identity.uid)
    # We are about to be executed again, and what is loaded late is read as that user too.
    for path in (sys.executable, os.__file__, __file__):
        if not os.access(path, os.R_OK):
            raise UsageError(
                f"user = {user}: that user may not read {path}, which the supervisor needs; install Python and genii "
                "where all can read them, or remove user"
            )


def _start(path: str, daemon: Daemon) -> int:
    from genii.cli.launch import become, detach

    words: dict[str, object] = {"config": path, "foreground": False, "echo": daemon.nodaemon, "wait": False}
    sys.stdout.flush()
    if daemon.nodaemon:
        become(words)
    os.umask(daemon.umask)
    if daemon.directory:
        os.chdir(daemon.directory)
    return detach(words, quiet=True)
