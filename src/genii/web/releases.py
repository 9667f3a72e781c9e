"""Deployments and hosts for the dashboard: the record that the deployer keeps, the fleet that is declared, roll-back.

The record is read in a thread, as SQLite may have to wait; what changes hosts is the command that people type.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import msgspec

from genii.errors import NotAllowed, UsageError
from genii.events.message import Response

if TYPE_CHECKING:
    from genii.control.target import Target
    from genii.deploy.record import DeploymentRow, LogRow
    from genii.events.message import Request

__all__ = ["DeployQuery", "Fleet", "Releases", "RollbackQuery"]

_MOST_LINES = 2000
_READER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fleet_reader.py")
_GENII = (
    "import os, sys; sys.path[:0] = os.environ.pop('GENII_SYS_PATH').split(os.pathsep); "
    "from genii.cli.main import main; sys.exit(main(sys.argv[1:]))"
)
_PATIENCE = 20.0
_SAID = 4000
"""Bytes of what a command said last that are shown."""


class FleetHost(msgspec.Struct, frozen=True):
    """A host as it is declared."""

    name: str
    address: str
    user: str
    port: int


class DeclaredDeployment(msgspec.Struct, frozen=True):
    """A release as it is declared."""

    to: str
    hosts: list[str]


class Fleet(msgspec.Struct, frozen=True):
    """The answer of ``GET /api/v1/fleet``."""

    hosts: list[FleetHost] = []
    groups: dict[str, list[str]] = {}
    deployments: dict[str, DeclaredDeployment] = {}
    problem: str = ""
    """What is wrong with the configuration."""


class RollbackQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a roll-back is asked: of which deployment, and to which release (empty: the good one before)."""

    name: str
    release: str = ""


class DeployQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a deployment is asked: which, and from which branch, tag or commit (empty: as declared)."""

    name: str
    branch: str = ""


class Releases:
    """Answer requests about deployments and hosts."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._running: asyncio.Task[None] | None = None
        self._said = ""

    async def deployments(self, request: Request) -> Response:  # noqa: ARG002 -- all handlers take it
        """Tell the last deployments, and what the last one said that was asked for here."""
        found = await asyncio.to_thread(_deployments, self._target.settings.state_dir)
        busy = self._running is not None and not self._running.done()
        return Response.json({"deployments": found, "busy": busy, "said": self._said})

    async def lines(self, request: Request) -> Response:
        """Tell lines of the log of a deployment, those after an id."""
        try:
            number, after = int(request.argument("number")), int(request.argument("after", "0"))
        except ValueError:
            raise UsageError("number and after are numbers") from None
        if not 0 <= number < 1 << 62 or not 0 <= after < 1 << 62:
            raise UsageError("number and after are numbers of the record")
        return Response.json({"lines": await asyncio.to_thread(_lines, self._target.settings.state_dir, number, after)})

    async def fleet(self, request: Request) -> Response:  # noqa: ARG002
        """Tell what is declared of hosts and releases."""
        path = self._target.settings.path
        output = await asyncio.to_thread(_output, [sys.executable, "-I", "-S", _READER, path], _PATIENCE)
        try:
            return Response.json(msgspec.json.decode(output, type=Fleet))
        except msgspec.DecodeError:
            return Response.json(Fleet(problem="what is declared of hosts could not be read"))

    async def roll_back(self, request: Request) -> Response:
        """Begin a roll-back; what becomes of it is told by the record.

        Raises:
            NotAllowed: one is going on already.
        """
        query = request.decode(RollbackQuery)
        words = ["rollback", _word(query.name), *filter(None, (_word(query.release, optional=True),))]
        return self._begin(words, query.name, f"going back to {query.release or 'the release before'}", request.user)

    async def deploy(self, request: Request) -> Response:
        """Begin a deployment; what becomes of it is told by the record.

        Raises:
            NotAllowed: one is going on already.
        """
        query = request.decode(DeployQuery)
        branch = _word(query.branch, optional=True)
        words = ["deploy", *(("--branch", branch) if branch else ()), _word(query.name)]
        return self._begin(words, query.name, f"deploying{f' {branch}' if branch else ''}", request.user)

    def _begin(self, words: list[str], name: str, message: str, user: str) -> Response:
        if self._running is not None and not self._running.done():
            raise NotAllowed("a deployment or roll-back that was asked for here is going on already")
        self._said = ""
        command = [sys.executable, "-I", "-c", _GENII, "-c", self._target.settings.path, *words]
        log = os.path.join(self._target.settings.state_dir, "deploy.said")
        self._running = asyncio.get_running_loop().create_task(self._carry_out(command, log, user))
        result = {"name": name, "ok": True, "code": "done", "message": message, "output": ""}
        return Response.json({"results": [result]})

    async def _carry_out(self, words: list[str], log: str, user: str) -> None:
        self._said = (await asyncio.to_thread(_run, words, log, user)).decode("utf-8", "replace")


def _word(text: str, *, optional: bool = False) -> str:
    """Return a word of a command line that can't be taken for an option."""
    if (not text and not optional) or text.startswith("-") or "\0" in text:
        raise UsageError(f"{text!r} is no name of a deployment, release or branch")
    return text


def _run(words: list[str], log: str, user: str) -> bytes:
    """Run a command to its end and return the end of what it said.

    It says so into a file: it goes on when the supervisor ends, and a pipe that nobody reads would break it.
    """
    environment = {**os.environ, "GENII_SYS_PATH": _search_path()}
    if user:
        environment["GENII_DEPLOYER"] = user
    try:
        with open(log, "w+b", opener=lambda path, flags: os.open(path, flags, 0o600)) as output:
            subprocess.run(
                words, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, check=False,
                start_new_session=True,
            )  # fmt: skip
            output.seek(max(0, output.seek(0, os.SEEK_END) - _SAID))
            return output.read()
    except OSError as error:
        return str(error).encode()


def _search_path() -> str:
    return os.pathsep.join(entry for entry in sys.path if entry)


def _output(words: list[str], timeout: float) -> bytes:
    """Run a command of ours to its end and return what it said."""
    environment = {**os.environ, "GENII_SYS_PATH": _search_path()}
    try:
        done = subprocess.run(
            words, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=timeout, check=False, start_new_session=True,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error).encode()
    return done.stdout


def _deployments(state_dir: str) -> list[DeploymentRow]:
    from genii.deploy.record import Record, record_path

    return Record(record_path(state_dir)).deployments()


def _lines(state_dir: str, number: int, after: int) -> list[LogRow]:
    from genii.deploy.record import Record, record_path

    return Record(record_path(state_dir)).lines(number, after, _MOST_LINES)
