"""Run deployments in processes that are there to be killed; each is forked from this one, which has imported all.

Lines on standard input: a JSON object with ``state`` (the settings), ``hosts`` and ``die_at`` (the event at which the
deployer kills itself; 0: never). Lines on standard output: the pid of the deployer, and when it has ended its status.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import traceback
from pathlib import Path

import msgspec

from genii.config.deploy import Deployment
from genii.deploy.deployer import Deployer, Identity
from genii.deploy.hosts import places
from genii.deploy.sources import Source
from genii.fleet.inventory import Inventory
from genii.fleet.local import LocalTransport


def deploy(order: dict[str, object]) -> int:
    settings = msgspec.json.decode(str(order["settings"]), type=Deployment)
    left = int(str(order["die_at"]))

    def notify(_: object) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    deployer = Deployer(
        settings, places(settings, Inventory()), LocalTransport(), Identity("victim", "control"),
        notify=notify, lock_wait=30.0,
    )  # fmt: skip
    source = Source(settings.origin, str(Path(settings.folder, "state")))
    result = asyncio.run(deployer.deploy(source))
    if result.status != "good":
        print(result, file=sys.stderr, flush=True)
    return 0 if result.status == "good" else 1


for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = deploy(json.loads(line))
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    print(pid, flush=True)
    print(os.waitpid(pid, 0)[1], flush=True)
