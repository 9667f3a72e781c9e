"""Looking after hosts apart from deployments: make a new one ready, and end a deployment that holds a lock."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from genii.deploy.facts import LOCKED, Holder, read_holder, take_lock
from genii.deploy.session import Session
from genii.deploy.shell import Step, quote, stop_command
from genii.errors import GeniiError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from genii.config.deploy import Deployment
    from genii.deploy.deployer import Identity
    from genii.fleet.transport import Connection, Host, Transport

__all__ = ["make_layout", "unlock"]

Row = tuple[str, bool, str]
"""Host, whether all is well, and what is to be said."""


async def make_layout(
    deployment: Deployment, hosts: Sequence[Host], transport: Transport, identity: Identity
) -> list[Row]:
    """Make the directories on new hosts and tell what is missing there (programs, linked files)."""

    async def one(host: Host) -> tuple[bool, str]:
        here = deployment.at(host.name)
        session = Session(await transport.connect(host))
        try:
            await session.open()
            holder = Holder(identity.by, identity.control, "", f"makes {deployment.name} ready")
            steps = [
                Step(name="lock", script=take_lock(here.to, holder), inline=True, timeout=60.0),
                Step(name="init", script=_init_script(here), timeout=60.0),
            ]
            outcomes = await session.run(steps)
        finally:
            await session.close()
        if outcomes[0].status == LOCKED:
            return False, f"locked by {read_holder(outcomes[0].text)}"
        failed = next((outcome for outcome in outcomes if outcome.status != 0), None)
        text = (failed or outcomes[-1]).text.replace("\n", "; ")
        return (False, text or "failed") if failed else (True, text or "ready")

    return await _each(hosts, one)


def _init_script(deployment: Deployment) -> str:
    folders = [f"shared/{path}" for path in deployment.linked_dirs]
    folders += [f"shared/{path.rpartition('/')[0]}" for path in deployment.linked_files if "/" in path]
    programs = "flock setsid tar gzip cp mv ln head find cat" + (" git" if deployment.origin.on_host else "")
    lines = ["wrong=0"]
    if folders:
        lines.append("mkdir -p " + " ".join(map(quote, dict.fromkeys(folders))))
    lines.append(
        f'for name in {programs}; do command -v "$name" >/dev/null || '
        '{ echo "the program $name is missing"; wrong=1; }; done'
    )
    for path in deployment.linked_files:
        told = quote(f"put the linked file {deployment.to}/shared/{path} there")
        lines.append(f"[ -e {quote(f'shared/{path}')} ] || {{ echo {told}; wrong=1; }}")
    lines.append("exit $wrong")
    return "\n".join(lines)


async def unlock(deployment: Deployment, hosts: Sequence[Host], transport: Transport, identity: Identity) -> list[Row]:
    """End the deployments that hold the locks of hosts.

    A lock is always held by a living shell, so there is never a stale one to remove; this ends the shell and what it
    runs, as a cut connection would, and the next deployment recovers.
    """

    async def one(host: Host) -> tuple[bool, str]:
        root = deployment.at(host.name).to
        connection = await transport.connect(host)
        session = Session(connection)
        try:
            await session.open()
            holder = Holder(identity.by, identity.control, "", f"unlocks {deployment.name}")
            lock = Step(name="lock", script=take_lock(root, holder), inline=True, timeout=60.0)
            outcome = (await session.run([lock]))[0]
            if outcome.status == 0:
                return True, "was not locked"
            if outcome.status != LOCKED:
                return False, outcome.text or "failed"
            found = read_holder(outcome.text)
            await _end(connection, root, found.shell)
            # The lock is free when the shell has gone, and waiting for that is what flock is for.
            freed = Step(name="wait", script="flock -w 20 .genii/lock true", timeout=60.0)
            there = Step(name="go", script=f"cd {quote(root)}", inline=True)
            ended = (await session.run([there, freed]))[-1].status == 0
        finally:
            await session.close()
        return ended, f"{'unlocked: ended the session of' if ended else 'still locked by'} {found}"

    return await _each(hosts, one)


async def _end(connection: Connection, root: str, shell: int) -> None:
    """End the shell that holds a lock, if it really is the one that does."""
    if shell <= 1:
        raise GeniiError("it is not known which process holds the lock; look for it with 'fuser .genii/lock'")
    lock = quote(f"{root}/.genii/lock")
    holds = f'[ "$(readlink /proc/{shell}/fd/9)" = "$(readlink -f {lock})" ]'
    command = f"{holds} || exit 1; kill -TERM {shell}; ( {stop_command(shell)} )"
    process = await connection.start(command)
    if await process.wait() != 0:
        raise GeniiError(f"the process {shell} does not hold the lock (any more); try again")


async def _each(hosts: Sequence[Host], work: Callable[[Host], Awaitable[tuple[bool, str]]]) -> list[Row]:
    async def one(host: Host) -> Row:
        try:
            ok, text = await work(host)
        except GeniiError as error:
            return host.name, False, str(error).removeprefix(f"{host.name}: ")
        return host.name, ok, text

    return list(await asyncio.gather(*map(one, hosts)))
