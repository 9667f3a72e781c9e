"""What the commands for many hosts have in common: which hosts, by which way, and the settings of the file."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, TypeVar

from genii.cli.options import complete_with
from genii.errors import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Coroutine

    from genii.config.fleet import FleetSettings
    from genii.fleet.inventory import Inventory
    from genii.fleet.transport import Host

    R = TypeVar("R")

__all__ = ["add_hosts", "load", "read_inventories", "read_settings", "run_until_signal"]

_DESCRIPTORS_BESIDES = 100


def add_hosts(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose hosts and the way to them."""
    group = parser.add_argument_group("which hosts, and how they are reached")
    on = group.add_argument(
        "--on", metavar="HOSTS", action="append", default=[],
        help="names, ranges, groups, 'all'; !not these, &only these; '-': read them from standard input",
    )  # fmt: skip
    complete_with(on, "names")
    inventory = group.add_argument(
        "-i", "--inventory", metavar="FILE", action="append", default=[],
        help="a list of hosts, an Ansible inventory (INI, YAML, JSON) or a Salt roster",
    )  # fmt: skip
    complete_with(inventory, "files")
    group.add_argument("--transport", choices=("asyncssh", "openssh", "salt", "local"), help="what carries commands")
    group.add_argument("-l", "--limit", metavar="N", help="how many hosts at once (default: 50)")
    group.add_argument("--connect-timeout", metavar="TIME", help="how long a host may take to let us in (10s)")
    group.add_argument("--known-hosts", choices=("strict", "accept-new"), help="what to do about unknown host keys")


def read_settings(options: argparse.Namespace) -> FleetSettings:
    """Return the settings of the configuration, if there is one, with what the options change.

    Raises:
        ConfigError: the configuration is wrong.
        UsageError: an option is.
    """
    from functools import partial

    from msgspec.structs import replace

    from genii.cli.connect import read_time
    from genii.config.fleet import FleetSettings
    from genii.config.load import find, load_fleet

    if options.config:
        if not os.path.exists(options.config):
            raise UsageError(f"there is no file {options.config}")
        settings = load_fleet(options.config)
    else:
        try:
            path = find(os.getcwd(), os.environ)
        except UsageError:
            path = ""
        settings = load_fleet(path) if path else FleetSettings()
    changes: dict[str, object] = {}
    time = partial(read_time, option="--connect-timeout")
    for key, parse in (("transport", str), ("limit", _count), ("connect_timeout", time), ("known_hosts", str)):
        text = getattr(options, key, None)  # commands of the supervisor have only --on
        if text:
            changes[key] = parse(text)
    return replace(settings, **changes)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise UsageError(f"--limit: {text!r} is not a number of hosts; write for example 50")
    return int(text)


def load(options: argparse.Namespace, named: list[str] | None = None) -> tuple[FleetSettings, tuple[Host, ...]]:
    """Return the settings and the hosts that are chosen (``named``: instead of --on).

    Raises:
        UsageError: no host is chosen, or what is named is not there.
        ConfigError: the configuration or an inventory is wrong.
    """
    from genii.config.fleet import FleetSettings

    settings = read_settings(options)
    files = getattr(options, "inventory", [])
    terms = named if named is not None else list(options.on)
    if "-" in terms:
        terms = [term for term in terms if term != "-"] + _from_input()
    inventory = read_inventories(settings, files)
    if not terms and files:  # all that the files name, and nothing of the configuration
        hosts = inventory.select(read_inventories(FleetSettings(), files).names())
    else:
        hosts = inventory.select(terms)
    _allow_descriptors(len(hosts))
    return settings, hosts


def _from_input() -> list[str]:
    from genii.fleet.foreign import parse_list

    found = parse_list(sys.stdin.read(), "<stdin>").names()
    if not found:
        raise UsageError("standard input names no hosts")
    return found


def read_inventories(settings: FleetSettings, more: list[str]) -> Inventory:
    """Put together what the configuration declares and what inventories of others say."""
    from genii.fleet.inventory import from_settings, merge

    own = from_settings(settings)
    paths = [*more, *settings.inventory]
    if not paths:
        return own
    from genii.fleet.foreign import read_inventory

    return merge(own, *(read_inventory(_text(os.path.expanduser(path)), path) for path in paths))


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError as error:
        raise UsageError(f"the inventory {path}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise UsageError(f"the inventory {path} is not UTF-8; save it as UTF-8") from None


def _allow_descriptors(hosts: int) -> None:
    """Raise our own limit on open files as far as it takes: a connection a host, and some files."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4 * hosts + _DESCRIPTORS_BESIDES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def run_until_signal(work: Coroutine[object, object, R]) -> R:
    """Run the work; SIGTERM ends it as ^C does, with everything closed.

    Raises:
        KeyboardInterrupt: it was interrupted.
    """
    import asyncio
    import signal

    async def main() -> R:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await work

    try:
        return asyncio.run(main())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
