"""``genii supervisorctl``: the command line and the shell of supervisorctl."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from genii.errors import ConfigError, UsageError

if TYPE_CHECKING:
    import argparse

    from genii.config.ini.control import Control
    from genii.supervisord.ctl import Controller

__all__ = ["configure", "run"]

_OF_GROUPS = ("add", "remove", "update")
"""Commands that take names of groups."""
_OF_PROCESSES = ("clear", "fg", "pid", "restart", "signal", "start", "status", "stop", "tail")
"""Commands that take names of processes."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options, those of supervisorctl."""
    from argparse import REMAINDER

    parser.description = "Steer a supervisord (or genii with a supervisord.conf), with the commands of supervisorctl."
    parser.epilog = "Without an action: a shell. 'help' lists the actions."
    parser.add_argument("-c", "--configuration", dest="config", metavar="FILE", help="the configuration")
    parser.add_argument("-i", "--interactive", action="store_true", help="begin a shell, if there is no action")
    parser.add_argument("-s", "--serverurl", metavar="URL", help="http://HOST:PORT or unix:///PATH")
    parser.add_argument("-u", "--username", metavar="NAME", help="user of the server")
    parser.add_argument("-p", "--password", metavar="PASSWORD", help="password of the server")
    parser.add_argument("-r", "--history-file", metavar="FILE", help="where the shell keeps its history")
    # All the rest: the action's own options, such as tail -f, are not ours.
    parser.add_argument("action", nargs=REMAINDER, metavar="ACTION", help="what to do, with its arguments")


def run(options: argparse.Namespace) -> int:
    """Carry out one action, or many in a shell; return the exit code."""
    from genii.supervisord.ctl import Controller

    control = _settings(options)
    interactive = options.interactive or not options.action
    controller = Controller(
        options.serverurl or control.serverurl,
        options.username or control.username,
        options.password or control.password,
        interactive=interactive,
    )
    if control.plugins:
        controller.plug_in(control.plugins)
    if options.action:
        try:
            controller.run(" ".join(options.action))
        except KeyboardInterrupt:
            return 1
        return controller.status
    _shell(controller, control, options.history_file or control.history_file)
    return 0


def _settings(options: argparse.Namespace) -> Control:
    """Read [supervisorctl] of the configuration; without any file the defaults hold."""
    from genii.cli.supervisord import find_ini
    from genii.config.ini.client import load_control

    path = getattr(options, "config", None)
    if path is None:
        try:
            path = find_ini()
        except UsageError:
            path = ""
    elif not os.path.exists(path):
        raise UsageError(f"could not find config file {path}")
    try:
        return load_control(os.path.abspath(path) if path else "")
    except ConfigError:
        if options.serverurl:
            return load_control("")
        raise


def _shell(controller: Controller, control: Control, history: str) -> None:
    """Read lines and carry them out, beginning with ``status``."""
    try:
        import readline
    except ImportError:
        pass
    else:
        _complete(controller, history)
        if history:
            import atexit

            atexit.register(readline.write_history_file, history)
    controller.run("status")
    while True:
        try:
            line = input(f"{control.prompt}> ")
        except (EOFError, KeyboardInterrupt):
            print()
            return
        try:
            if controller.run(line):
                return
        except KeyboardInterrupt:
            print()
        sys.stdout.flush()


def _complete(controller: Controller, history: str) -> None:
    """Let the tabulator complete commands and names, and bring the history of earlier shells back."""
    import readline

    matches: list[str] = []

    def complete(text: str, state: int) -> str | None:
        if state == 0:
            words = readline.get_line_buffer()[: readline.get_begidx()].split()
            known = _known_words(controller, words)
            matches[:] = [f"{word} " for word in known if word.startswith(text)]
        return matches[state] if state < len(matches) else None

    readline.set_completer(complete)
    readline.set_completer_delims(" \t\n")
    readline.parse_and_bind("tab: complete")
    if history and os.path.exists(history):
        readline.read_history_file(history)


def _known_words(controller: Controller, before: list[str]) -> list[str]:
    """Return what may stand after the words before: commands, groups or processes."""
    if not before or before == ["help"]:
        return controller.commands
    if before[0] in _OF_GROUPS:
        return _groups(controller)
    if before[0] == "signal" and len(before) == 1:
        return ["HUP", "INT", "KILL", "QUIT", "TERM", "USR1", "USR2"]
    return _names(controller) if before[0] in _OF_PROCESSES else []


def _groups(controller: Controller) -> list[str]:
    """Return the names of groups, also of those that are not active; none if the server does not answer."""
    from genii.errors import GeniiError

    try:
        infos = [*controller.ask("getAllProcessInfo"), *controller.ask("getAllConfigInfo")]
    except (OSError, GeniiError):
        return []
    return sorted({info["group"] for info in infos})


def _names(controller: Controller) -> list[str]:
    """Return the names of processes and groups; none if the server does not answer."""
    from genii.config.ini.names import namespec
    from genii.errors import GeniiError

    try:
        infos = controller.ask("getAllProcessInfo")
    except (OSError, GeniiError):
        return []
    processes = {namespec(info["group"], info["name"]) for info in infos}
    groups = {f"{info['group']}:*" for info in infos if info["group"] != info["name"]}
    return sorted(processes | groups | {"all"})
