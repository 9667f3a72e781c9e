"""What the commands about releases share: which deployment, which hosts, and how what happens is shown and kept."""

from __future__ import annotations

import getpass
import os
import signal
import socket
import sys
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from genii.cli.terminal import Paint, printable
from genii.errors import GeniiError, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable, Coroutine
    from typing import TextIO

    from genii.config.deploy import Deployment
    from genii.config.fleet import FleetSettings
    from genii.deploy.deployer import Deployer, Identity, Result
    from genii.deploy.plan import Place, Release
    from genii.deploy.record import Record
    from genii.deploy.session import Event
    from genii.fleet.transport import Host, Transport

    Order = Callable[[Deployer, Callable[[Release], None]], Awaitable[Result]]

__all__ = ["Chosen", "Screen", "add_common", "carry_out", "choose", "run_interruptibly", "show_result"]

Value = TypeVar("Value")
_FLUSH = 0.25


class Chosen:
    """A deployment of the configuration, and the hosts of it that are meant."""

    def __init__(self, deployment: Deployment, state_dir: str, path: str, only: list[str]) -> None:
        self.deployment = deployment
        self.state_dir = state_dir
        self._path = path
        self._only = only

    def hosts(self) -> list[tuple[Host, Place]]:
        """Return the hosts with their roles."""
        from genii.cli.fleet import read_inventories
        from genii.deploy.hosts import places

        return places(self.deployment, read_inventories(self._fleet, []), self._only)

    def transport(self) -> Transport:
        """Open the way to them."""
        from genii.fleet.ways import open_transport

        if self._fleet.transport == "salt":
            raise UsageError("a deployment keeps a shell open on each host, and Salt has none: use asyncssh or openssh")
        return open_transport(self._fleet)

    @cached_property
    def _fleet(self) -> FleetSettings:
        from genii.config.load import load_fleet

        return load_fleet(self._path)

    @property
    def folder(self) -> str:
        """Where things are kept that make the next deployment faster."""
        return os.path.join(self.state_dir, "deploy", self.deployment.name)

    def record(self) -> Record:
        """Return the record of deployments."""
        from genii.deploy.record import Record, record_path

        return Record(record_path(self.state_dir))

    def secrets(self) -> dict[str, str]:
        """Return the values of the deployment's secrets.

        Raises:
            UsageError: one is not there.
        """
        return {name: _secret(name, where) for name, where in self.deployment.secrets.items()}

    def identity(self) -> Identity:
        """Return who we are."""
        from genii.deploy.deployer import Identity

        # The dashboard tells for whom it does this; ssh keeps the user that it has.
        user = (
            os.environ.get("GENII_DEPLOYER") or os.environ.get("USER") or os.environ.get("LOGNAME") or getpass.getuser()
        )
        return Identity(user, socket.gethostname(), os.getpid())

    def deployer(self, transport: Transport, **options: Any) -> Deployer:
        """Return what carries it out."""
        from genii.deploy.deployer import Deployer
        from genii.deploy.steps import load_steps

        return Deployer(
            self.deployment, self.hosts(), transport, self.identity(), secrets=self.secrets(),
            functions=load_steps(self.deployment.tasks), **options,
        )  # fmt: skip


def _secret(name: str, where: str) -> str:
    kind, _, place = where.partition(":")
    if kind == "env":
        if place not in os.environ:
            raise UsageError(f"the secret {name} is not there: set the variable {place}")
        return os.environ[place]
    try:
        with open(place, encoding="utf-8") as file:
            return file.read().rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the secret {name} can't be read from {place}: {error}") from error


def add_common(parser: argparse.ArgumentParser, *, changes: bool) -> None:
    """Add the options that the commands about releases share; ``changes``: those that change hosts."""
    parser.add_argument(
        "--only", metavar="HOSTS", action="append", default=[],
        help="only these of its hosts: names, globs, groups, role:NAME",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(config="")
    if changes:
        parser.add_argument("-v", "--verbose", action="count", default=0, help="show each step and what it prints")
        parser.add_argument("-q", "--quiet", action="store_true", help="show only how it ended")
        parser.add_argument("--wait", metavar="TIME", default="0", help="wait so long for a lock of somebody else")


def choose(options: argparse.Namespace, name: str) -> Chosen:
    """Return the deployment of this name; without one, the only one there is.

    Raises:
        UsageError: there is none, or it is not clear which.
    """
    from genii.cli.parser import suggest
    from genii.config.find import find
    from genii.config.load import load_deployments

    path = options.config or find(os.getcwd(), os.environ)
    deployments, state_dir = load_deployments(path)
    if not deployments:
        raise UsageError(f"{path} has no [deploy.NAME]; docs/deploy.md shows how one is written")
    if not name and len(deployments) > 1:
        raise UsageError(f"which one? {path} has: {', '.join(deployments)}")
    name = name or next(iter(deployments))
    if name not in deployments:
        hint = suggest(name, deployments) or f" ({', '.join(deployments)})"
        raise UsageError(f"there is no deployment {name!r} in {path}{hint}")
    return Chosen(deployments[name], state_dir, path, options.only)


class Screen:
    """Show on standard error what happens, and write it into the record.

    A deployment under way is not ended for want of somebody who reads or of room for the record on this machine.
    """

    def __init__(self, record: Record, *, verbose: bool, quiet: bool = False) -> None:
        self._record = record
        self._verbose = verbose
        self._quiet = quiet
        self._paint = Paint(sys.stderr)
        self._rows: list[tuple[float, str, str, str, str, int, float]] = []
        self._failed = False
        self.number = 0

    def event(self, event: Event) -> None:
        """Take an event of a host."""
        text = event.text if event.step != "ask" else ""  # the answers are for us
        self._rows.append((time.time(), event.host, event.step, event.kind, text, event.status, event.seconds))
        if self._quiet or event.step in ("ask", "lock", "unlock", "log"):
            return
        if event.kind == "end":
            good = event.status == 0
            mark = self._paint("ok", "green") if good else self._paint(f"failed ({event.status})", "red")
            if not good or self._verbose:
                self._print(event.host, f"{event.step} {mark} {event.seconds:.2f}s")
        elif event.kind == "output" and self._verbose:
            for line in event.text.splitlines():
                self._print(event.host, f"{event.step}: {printable(line)}")

    def say(self, text: str) -> None:
        """Take a line about the whole."""
        self._rows.append((time.time(), "", "", "note", text, 0, 0.0))
        if not self._quiet:
            self._show(text)

    def _print(self, host: str, text: str) -> None:
        self._show(f"{self._paint(host, 'cyan')} {text}")

    def _show(self, text: str) -> None:
        try:
            print(text, file=sys.stderr, flush=True)
        except OSError:
            self._quiet = True
            _silence(sys.stderr)

    def flush(self) -> None:
        """Write what has come into the record."""
        rows, self._rows = self._rows, []
        if rows:
            self.write(lambda record: record.add(self.number, rows))

    def write(self, work: Callable[[Record], None]) -> None:
        """Write something into the record; once that fails, it is told and nothing more is written."""
        if self._failed:
            return
        try:
            work(self._record)
        except GeniiError as error:
            self._failed = True
            self.say(f"warning: {error}")

    async def keep_flushing(self) -> None:
        """Write it into the record again and again, so that others can follow."""
        import asyncio

        while True:
            await asyncio.sleep(_FLUSH)
            self.flush()


def run_interruptibly(work: Coroutine[Any, Any, Value]) -> Value:
    """Run a coroutine; INT, TERM and HUP cancel it once, so that it can take back what it began.

    Raises:
        KeyboardInterrupt: it was cancelled.
    """
    from genii.system.plain_asyncio import import_asyncio

    import_asyncio()
    import asyncio

    async def guarded() -> Value:
        task = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, task.cancel)
        return await task

    try:
        return asyncio.run(guarded())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def show_result(result: Result, screen: Screen, *, as_json: bool, number: int) -> int:
    """Show how it ended; return the exit code, which is the same where nobody reads."""
    for warning in result.warnings:
        screen.say(f"warning: {warning}")
    try:
        if as_json:
            _print_json(result, number)
        else:
            _print_result(result)
        sys.stdout.flush()
    except BrokenPipeError:
        _silence(sys.stdout)
    return 0 if result.status == "good" else 1


def _print_json(result: Result, number: int) -> None:
    from genii.cli.action import print_json

    print_json(
        {
            "deployment": number, "status": result.status, "release": result.release, "message": result.message,
            "hosts": dict(result.hosts), "warnings": list(result.warnings),
        }
    )  # fmt: skip


def _print_result(result: Result) -> None:
    paint = Paint(sys.stdout)
    for host, state in result.hosts.items():
        colour = {"good": "green", "was there already": "green", "unchanged": "dim"}.get(state, "red")
        lines = state.splitlines() or [""]
        print(f"{host}: {paint(lines[0], colour)}")
        for line in lines[1:]:
            print(f"    {printable(line)}")
    release = f"{result.release}: " if result.release else ""
    summary = f"{release}{result.status}" + (f", {result.message}" if result.message else "")
    print(paint(summary, "green" if result.status == "good" else "red"))


def _silence(stream: TextIO) -> None:
    """Let a stream that nobody reads lead nowhere; Python would complain at the end about what it still holds."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)


def carry_out(chosen: Chosen, options: argparse.Namespace, action: str, order: Order) -> int:
    """Run a deployment or a roll-back with its record, and show how it ended; return the exit code."""
    with chosen.record() as record:
        screen = Screen(record, verbose=options.verbose > 0, quiet=options.quiet)
        result = run_interruptibly(_recorded(chosen, options, action, order, record, screen))
    return show_result(result, screen, as_json=options.json, number=screen.number)


async def _recorded(
    chosen: Chosen, options: argparse.Namespace, action: str, order: Order, record: Record, screen: Screen
) -> Result:
    import asyncio

    from genii.units import parse_duration

    transport = chosen.transport()
    deployer = chosen.deployer(transport, notify=screen.event, say=screen.say, lock_wait=parse_duration(options.wait))
    identity, names = chosen.identity(), [member.name for member in deployer.members]
    screen.number = record.begin(
        name=chosen.deployment.name, action=action, release="", revision="", branch="", by=identity.by,
        control=identity.control, started=time.time(), hosts=names,
    )  # fmt: skip

    def named(release: Release) -> None:
        screen.write(lambda record: record.name_release(screen.number, release.name, release.revision, release.branch))
        at = f" ({release.branch} at {release.revision[:12]})" if release.revision else ""
        screen.say(f"{action} {chosen.deployment.name}: release {release.name}{at} to {len(names)} host(s)")

    flusher = asyncio.create_task(screen.keep_flushing())
    status, message, hosts = "failed", "", dict.fromkeys(names, "")
    try:
        result = await order(deployer, named)
        status, message, hosts = result.status, result.message, dict(result.hosts)
        return result
    except asyncio.CancelledError:
        status, message = "interrupted", "interrupted by hand"
        hosts = {member.name: member.state for member in deployer.members}
        raise
    except GeniiError as error:
        message = str(error)
        raise
    finally:
        flusher.cancel()
        await transport.close()
        screen.flush()
        screen.write(lambda record: record.end(screen.number, time.time(), status, message, hosts))
