"""A program's own check, run before it is restarted or reloaded."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from genii.errors import CheckFailed, GeniiError
from genii.supervise.probes import run_command
from genii.system.spawn import SpawnError
from genii.units import format_duration

if TYPE_CHECKING:
    from genii.supervise.process import Process

__all__ = ["run_check"]


async def run_check(process: Process) -> CheckFailed | None:
    """Run the check of a process's program, as that program's user and in its directory; None: it passed.

    There is nothing to run where a program declares no check.
    """
    program = process.program
    if not program.check:
        return None
    name = process.template.name
    try:
        async with asyncio.timeout(program.check_timeout):
            command = process.helper_command()._replace(argv=program.check)
            status, output = await run_command(process.services.spawner, command)
    except TimeoutError:
        return CheckFailed(f"the check of {name} took longer than {format_duration(program.check_timeout)}")
    except (SpawnError, GeniiError) as error:
        return CheckFailed(f"the check of {name} could not be run: {error}")
    if status:
        text = output.decode(errors="replace")
        return CheckFailed(f"the check of {name} failed with {status}; it was left as it is", text)
    return None
