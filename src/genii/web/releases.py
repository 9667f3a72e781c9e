"""Deployments and hosts for the dashboard: the record that the deployer keeps, the fleet that is declared, roll-back.

The record is read in a thread, as SQLite may have to wait; the roll-back is the command that people type, executed.
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

__all__ = ["Fleet", "Releases", "RollbackQuery"]

_MOST_LINES = 2000
_READER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fleet_reader.py")
_GENII = (
    "import os, sys; sys.path[:0] = os.environ.pop('GENII_SYS_PATH').split(os.pathsep); "
    "from genii.cli.main import main; sys.exit(main(sys.argv[1:]))"
)
_PATIENCE = 20.0


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


class Releases:
    """Answer requests about deployments and hosts."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._running: asyncio.Task[None] | None = None
        self._said = ""

    async def deployments(self, request: Request) -> Response:  # noqa: ARG002 -- all handlers take it
        """Tell the last deployments, and what the last roll-back said that was asked for here."""
        found = await asyncio.to_thread(_deployments, self._target.settings.state_dir)
        busy = self._running is not None and not self._running.done()
        return Response.json({"deployments": found, "rolling_back": busy, "said": self._said})

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
        if self._running is not None and not self._running.done():
            raise NotAllowed("a roll-back is going on already")
        if (
            any(not word or word.startswith("-") for word in filter(None, (query.name, query.release)))
            or not query.name
        ):
            raise UsageError("name the deployment, and the release if it is not to be the one before")
        words = ["-c", self._target.settings.path, "rollback", query.name, *filter(None, (query.release,))]
        self._said = ""
        self._running = asyncio.get_running_loop().create_task(
            self._carry_out([sys.executable, "-I", "-c", _GENII, *words])
        )
        message = f"going back{f' to {query.release}' if query.release else ''}"
        return Response.json(
            {"results": [{"name": query.name, "ok": True, "code": "done", "message": message, "output": ""}]}
        )

    async def _carry_out(self, words: list[str]) -> None:
        self._said = (await asyncio.to_thread(_output, words, None)).decode("utf-8", "replace")[-4000:]


def _output(words: list[str], timeout: float | None) -> bytes:
    """Run a command of ours to its end and return what it said."""
    path = os.pathsep.join(entry for entry in sys.path if entry)
    environment = {**os.environ, "GENII_SYS_PATH": path}
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
