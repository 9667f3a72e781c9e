"""What a supervisor means to do with a program, told at each instant of its way."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from genii.supervise.model import Program, Settings
from genii.supervise.output import start_keeper
from genii.supervise.supervisor import Supervisor

if TYPE_CHECKING:
    from pathlib import Path

    from genii.supervise.report import Event, ProcessStatus

LONG = ("sleep", "1000")


def test_a_program_that_is_to_start_is_wanted_at_each_instant(tmp_path: Path) -> None:
    seen: list[tuple[str, ProcessStatus]] = []

    async def watch() -> None:
        loop = asyncio.get_running_loop()
        settings = Settings(
            state_dir=str(tmp_path),
            programs={
                "web": Program(name="web", command=LONG, depends_on=("base",), startsecs=0),
                "base": Program(name="base", command=LONG, startsecs=0),
            },
        )

        async def load() -> Settings:
            return settings

        supervisor = Supervisor(settings, load, start_keeper(), loop)
        done = asyncio.Event()

        def look(event: Event) -> None:
            web, _ = supervisor.statuses()
            seen.append((f"{event.name} {event.data.get('state')}", web))
            if web.state == "RUNNING":
                done.set()

        end = supervisor.subscribe(look)
        supervisor.run()
        await asyncio.wait_for(done.wait(), 60)
        end()
        await supervisor.shutdown()
        supervisor.close()

    asyncio.run(watch())
    base = next(web for what, web in seen if what == "base RUNNING")
    assert (base.state, base.pid) == ("STOPPED", 0)
    assert all(web.wanted for _, web in seen)
