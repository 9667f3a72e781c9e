"""``genii task NAME``: run a task of ``tasks.py`` on its hosts, or on others."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from genii.cli import fleet
from genii.cli.options import complete_with
from genii.cli.parser import build_parser, suggest
from genii.cli.tasks import add_file, load
from genii.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from genii.config.fleet import FleetSettings
    from genii.fleet.parameters import Parameter
    from genii.fleet.task import Task
    from genii.fleet.transport import Host

__all__ = ["configure", "perform", "run"]

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
    complete_with(parser.add_argument("name", metavar="NAME", help="the task ('genii tasks' lists them)"), "names")
    parser.add_argument("words", metavar="PARAMETER", nargs=argparse.REMAINDER, help="what it takes")


def _add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that can stand before and after the name."""
    add_file(parser)
    fleet.add_hosts(parser)
    what = parser.add_argument_group("what runs, and what is shown")
    what.add_argument("--local", action="store_true", help="on this machine itself, as the host 'localhost'")
    what.add_argument("-t", "--timeout", metavar="TIME", help="for each command, e.g. 30s")
    what.add_argument("--sudo", action="store_true", help="do everything as root")
    what.add_argument(
        "--sudo-password", metavar="HOW", help="where sudo's password is: ask, file:PATH, keyring:SERVICE"
    )
    what.add_argument("-n", "--dry-run", action="store_true", help="ask the hosts, but only show what would change")
    what.add_argument("--diff", action="store_true", help="show what changes in files (a dry run does)")
    what.add_argument("--fail-fast", action="store_true", help="begin no further host after the first failure")
    log = what.add_argument("--log", metavar="FILE", help="add to this file what was done where")
    complete_with(log, "files")
    what.add_argument("-v", "--verbose", action="store_true", help="show every command")
    what.add_argument("--json", action="store_true", help="print a JSON list on standard output")


def run(options: argparse.Namespace) -> int:
    """Run the task; return the exit code."""
    tasks = load(options)
    task = tasks.get(options.name) or tasks.get(options.name.replace("_", "-"))
    if task is None:
        hint = suggest(options.name, tasks) or " ('genii tasks' lists them)"
        raise UsageError(f"there is no task {options.name!r}{hint}")
    options = _parser(task).parse_command(options.words, options, mixed=True)
    return perform(task, _values(task, options), options)


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


def _stages(task: Task, options: argparse.Namespace) -> tuple[FleetSettings, list[Sequence[Host]]]:
    """Return the settings, and the hosts group after group."""
    from genii.config.fleet import FleetSettings
    from genii.fleet.transport import Host

    if options.local:
        return FleetSettings(transport="local"), [[Host("localhost")]]
    if options.on or not task.hosts:
        if not (options.on or options.inventory):
            raise UsageError(f"{task.name} names no hosts; say where with --on HOSTS, or --local")
        settings, hosts = fleet.load(options)
        return settings, [hosts]
    settings = fleet.read_settings(options)
    inventory = fleet.read_inventories(settings, options.inventory)
    return settings, [inventory.select(pattern) for pattern in task.hosts]


# -- run --------------------------------------------------------------------------------------------------------------


def perform(task: Task, values: dict[str, Any], options: argparse.Namespace) -> int:
    """Run a task as the options say, show it, and return the exit code."""
    from genii.cli.connect import read_time
    from genii.cli.password import read_password
    from genii.cli.stage import Stage
    from genii.fleet.engine import Fleet
    from genii.fleet.performance import Performance
    from genii.fleet.remote import Settings
    from genii.fleet.secret import Secret
    from genii.fleet.ways import open_transport

    reached, stages = _stages(task, options)
    wanted = getattr(options, "timeout", None)
    timeout = read_time(wanted) if wanted else reached.timeout
    password = read_password(options.sudo_password)
    settings = Settings(options.sudo, Secret(password or ""), options.dry_run, timeout or None)
    limit = reached.limit if options.limit else min(task.limit or reached.limit, reached.limit)
    count = len({host.name for one in stages for host in one})

    async def play(stage: Stage) -> None:
        async with Fleet(open_transport(reached, reuse_from=2), limit=limit) as hosts:
            performance = Performance(
                task,
                values,
                hosts,
                settings,
                limit=limit,
                observer=stage,
                fail_fast=getattr(options, "fail_fast", False),
            )
            await performance.run(stages)

    with Stage(task, count, options) as stage:
        fleet.run_until_signal(play(stage))
    return stage.exit_code
