"""``genii task NAME``: run a task of ``tasks.py`` on its hosts, or on others."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

from genii.cli.parser import build_parser, complete_with, suggest
from genii.cli.tasks import add_file, load
from genii.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from genii.config.fleet import FleetSettings
    from genii.fleet.parameters import Parameter
    from genii.fleet.performance import Outcome
    from genii.fleet.secret import Secret
    from genii.fleet.task import Task
    from genii.fleet.transport import Host

__all__ = ["configure", "run"]

_EPILOG = """\
examples:
  genii task uptime                       on the hosts that the task names
  genii task restart --on 'web,!web07'    on others
  genii task deploy v1.2 --force          with parameters ('genii task deploy --help' tells which)
  genii task setup --dry-run              show what would change

exit codes: 0 done, 1 failed on some host, 2 usage or a broken tasks.py, 5 a check failed, 124 time-out;
on a single host the status of the command that failed there"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.description = "Run a task of tasks.py on its hosts; what fails on one host does not stop the others."
    parser.epilog = _EPILOG
    _add_options(parser)
    parser.add_argument("name", metavar="NAME", help="the task ('genii tasks' lists them)")
    parser.add_argument("words", metavar="PARAMETER", nargs=argparse.REMAINDER, help="what it takes")


def _add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that can stand before and after the name."""
    add_file(parser)
    parser.add_argument("--on", metavar="HOSTS", help="other hosts than the task's own, such as 'web,!web007'")
    parser.add_argument("--local", action="store_true", help="on this machine, without ssh")
    parser.add_argument("--limit", metavar="N", type=int, help="so many hosts at once (default: 50)")
    parser.add_argument("--timeout", metavar="TIME", default="", help="for each command, such as 30s")
    parser.add_argument("--dry-run", action="store_true", help="ask the hosts, but only show what would change")
    parser.add_argument("--diff", action="store_true", help="show what changes in files (a dry run does)")
    parser.add_argument("--sudo", action="store_true", help="do everything as root")
    file = parser.add_argument("--sudo-password-file", metavar="FILE", help="the password that sudo asks for")
    complete_with(file, "files")
    parser.add_argument("--ask-sudo-password", action="store_true", help="ask for that password here")
    log = parser.add_argument("--log", metavar="FILE", help="add to this file what was done where")
    complete_with(log, "files")
    parser.add_argument("-v", "--verbose", action="store_true", help="show every command")
    parser.add_argument("--json", action="store_true", help="print a JSON list on standard output")


def run(options: argparse.Namespace) -> int:
    """Run the task; return the exit code."""
    tasks = load(options)
    task = tasks.get(options.name)
    if task is None:
        hint = suggest(options.name, tasks) or " ('genii tasks' lists them)"
        raise UsageError(f"there is no task {options.name!r}{hint}")
    options = _parser(task).parse_command(options.words, options)
    return _perform(task, _values(task, options), options)


# -- words ------------------------------------------------------------------------------------------------------------


def _parser(task: Task) -> Any:
    """Make the parser of one task: its parameters, and our own options where it has none of that name."""
    parser = build_parser(f"task {task.name}", task.desc or "run it")
    _add_options(parser)
    group = parser.add_argument_group("parameters of the task")
    for parameter in task.parameters:
        if parameter.required:
            group.add_argument(
                f"given_{parameter.name}", metavar=parameter.name.upper(), nargs="*" if parameter.many else "?",
                help=_help(parameter),
            )  # fmt: skip
        _add_option(group, parameter)
    return parser


def _add_option(group: argparse._ArgumentGroup, parameter: Parameter) -> None:
    """Add the option of a parameter; who is required stands by itself, but can be named, too."""
    settings: dict[str, Any] = {"dest": f"option_{parameter.name}", "default": None}
    settings["help"] = argparse.SUPPRESS if parameter.required else _help(parameter)
    if parameter.flag:
        settings["action"] = argparse.BooleanOptionalAction
    else:
        settings["metavar"] = parameter.name.upper()
        settings["action"] = "append" if parameter.many else "store"
    group.add_argument(parameter.option, **settings)


def _help(parameter: Parameter) -> str:
    default = parameter.default
    text = parameter.kind + (", can be given more than once" if parameter.many else "")
    if parameter.required or default in (None, "", [], ()) or parameter.flag:
        return text.replace("%", "%%")
    return f"{text} (default: {default})".replace("%", "%%")


def _values(task: Task, options: argparse.Namespace) -> dict[str, Any]:
    from genii.fleet.parameters import bind

    given: dict[str, Any] = {}
    for parameter in task.parameters:
        by_place = getattr(options, f"given_{parameter.name}", None)
        by_name = getattr(options, f"option_{parameter.name}")
        if by_place and by_name is not None:
            raise UsageError(f"{parameter.option} is given twice: {by_place!r} stands by itself, too")
        given[parameter.name] = by_name if by_name is not None else by_place or None
    return bind(task.parameters, given)


# -- hosts ------------------------------------------------------------------------------------------------------------


def _fleet(options: argparse.Namespace) -> FleetSettings:
    """Read what the configuration says of remote hosts; without one there are still those that --on names."""
    from genii.config.find import find
    from genii.config.fleet import FleetSettings
    from genii.config.load import load_fleet

    if options.local:
        return FleetSettings(transport="local")
    path = options.config
    if not path:
        try:
            path = find(os.getcwd(), os.environ)
        except UsageError:
            return FleetSettings()
    return load_fleet(path)


def _stages(task: Task, options: argparse.Namespace, settings: FleetSettings) -> list[Sequence[Host]]:
    """Return the hosts, group after group."""
    from genii.fleet.inventory import from_settings
    from genii.fleet.transport import Host

    if options.local:
        return [[Host("localhost")]]
    patterns = [options.on] if options.on else task.hosts
    if not patterns:
        raise UsageError(f"the task {task.name} names no hosts; say where with --on HOSTS, or --local")
    inventory = from_settings(settings)
    return [inventory.select(pattern) for pattern in patterns]


def _password(options: argparse.Namespace) -> Secret:
    from genii.fleet.secret import Secret

    if options.ask_sudo_password:
        from getpass import getpass

        return Secret(getpass("sudo password: "))
    if not options.sudo_password_file:
        return Secret("")
    with open(options.sudo_password_file, encoding="utf-8") as file:
        return Secret(file.readline().rstrip("\n"))


# -- run --------------------------------------------------------------------------------------------------------------


def _perform(task: Task, values: dict[str, Any], options: argparse.Namespace) -> int:
    import asyncio

    from genii.cli.stage import Stage
    from genii.fleet.performance import Performance
    from genii.fleet.remote import Settings
    from genii.fleet.ways import open_transport
    from genii.units import parse_duration

    fleet = _fleet(options)
    stages = _stages(task, options, fleet)
    try:
        timeout = parse_duration(options.timeout) if options.timeout else fleet.timeout or None
    except ValueError as error:
        raise UsageError(f"--timeout: {error}") from None
    settings = Settings(options.sudo, _password(options), options.dry_run, timeout)
    limit = options.limit or task.limit or fleet.limit

    async def perform() -> list[Outcome]:
        transport = open_transport(fleet)
        try:
            performance = Performance(task, values, transport, settings, limit=limit, observer=stage)
            return await performance.run(stages)
        finally:
            await transport.close()

    count = len({host.name for one in stages for host in one})
    with Stage(task, count, options) as stage:
        asyncio.run(perform())
    return stage.exit_code
