"""New hosts, and deployments that hold a lock."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from tests.waiting import wait_until

from genii.deploy.care import make_layout, unlock
from genii.deploy.deployer import Identity
from genii.fleet.local import LocalTransport
from genii.fleet.transport import Host

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from tests.deploy.harness import Site

    from genii.deploy.care import Row
    from genii.deploy.deployer import Result


def cared(site: Site, care: Callable[..., Coroutine[None, None, list[Row]]]) -> list[Row]:
    hosts = [Host(name) for name in site.settings.hosts]
    return asyncio.run(care(site.settings, hosts, LocalTransport(), Identity("alice", "laptop")))


def test_a_new_host_gets_its_directories_and_tells_what_is_missing(site: Site) -> None:
    site.set(linked_dirs=("log", "tmp/pids"), linked_files=("config/settings.env",))
    told = f"put the linked file {site.root()}/shared/config/settings.env there"
    assert cared(site, make_layout) == [("h1", False, told)]
    for path in ("releases", "shared/log", "shared/tmp/pids", "shared/config"):
        assert (site.root() / path).is_dir()
    site.share("config/settings.env", "")
    assert cared(site, make_layout) == [("h1", True, "ready")]
    assert site.deploy().status == "good"


def test_a_host_that_is_not_locked_has_nothing_to_unlock(site: Site) -> None:
    assert cared(site, unlock) == [("h1", True, "was not locked")]


def test_a_deployment_that_hangs_is_ended(site: Site) -> None:
    site.set(check=(f"touch {site.folder}/hangs; sleep 1000",))
    results: list[Result] = []
    thread = threading.Thread(target=lambda: results.append(site.deploy()))
    thread.start()
    wait_until((site.folder / "hangs").exists)
    ((host, ok, text),) = cared(site, unlock)
    assert (host, ok) == ("h1", True)
    assert text.startswith("unlocked: ended the session of somebody on control since")
    thread.join(50)
    assert results[0].status == "failed"
    site.set(check=())
    assert site.deploy(lock_wait=30.0).status == "good"
