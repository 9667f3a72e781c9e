"""The unit of ``genii export systemd`` under a real systemd, in a copy of this machine."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest
from tests.debian import install_packages
from tests.fleet.guest import Guest, open_guest
from tests.waiting import wait_until

import genii

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, pytest.mark.compat, pytest.mark.timeout(600), pytest.mark.xdist_group("unit")]

FOLDER = "/srv/shop"
CONFIG = """\
[program.web]
command = "sh -c 'trap \\"echo web ends; exit\\" TERM; while :; do sleep 0.1; done'"
depends_on = ["base"]

[program.base]
command = "sh -c 'trap \\"echo base ends; exit\\" TERM; while :; do sleep 0.1; done'"
"""
ALONE = "[Unit]\nDefaultDependencies=no\nWants=\n"
"""The copy starts nothing else, so it has no network to come up."""


class Shop:
    """A supervisor that systemd keeps."""

    def __init__(self, guest: Guest) -> None:
        self.guest = guest

    def genii(self, *words: str) -> str:
        source = os.path.dirname(os.path.dirname(genii.__file__))
        return self.guest.run(
            "env", f"PYTHONPATH={source}", sys.executable, "-m", "genii", "-c", f"{FOLDER}/genii.toml", *words
        )

    def systemctl(self, *words: str) -> str:
        return self.guest.run("systemctl", *words, "shop")

    def shown(self, key: str) -> str:
        return self.systemctl("show", "-P", key).strip()

    def pids(self) -> list[str]:
        """Return the process ids of the programs once all run, as the supervisor tells them."""
        return [line.split()[2] for line in wait_until(self._all_run, "all programs").splitlines()[1:]]

    def _all_run(self) -> str:
        try:
            return self.genii("status")
        except OSError:  # its exit code says that not all of them run
            return ""


@pytest.fixture(scope="module")
def guest(sshd_program: str) -> Iterator[Guest]:
    install_packages("systemd")
    with open_guest(sshd_program, "systemd") as guest:
        yield guest


@pytest.fixture
def shop(guest: Guest) -> Shop:
    shop = Shop(guest)
    guest.write(f"{FOLDER}/genii.toml", CONFIG)
    guest.write("/etc/systemd/system/shop.service", shop.genii("export", "systemd"))
    guest.write("/etc/systemd/system/shop.service.d/alone.conf", ALONE)
    guest.run("systemctl", "daemon-reload")
    shop.systemctl("start")
    return shop


def test_systemd_starts_reloads_upgrades_and_stops_the_supervisor(shop: Shop) -> None:
    assert shop.shown("ActiveState") == "active"
    main, pids = shop.shown("MainPID"), shop.pids()
    assert len(pids) == 2
    shop.guest.write(f"{FOLDER}/genii.toml", f'{CONFIG}[program.more]\ncommand = "sleep 1000"\n')
    shop.systemctl("reload")
    assert len(shop.pids()) == 3
    shop.genii("upgrade")
    assert (shop.shown("MainPID"), shop.shown("ActiveState")) == (main, "active")
    assert set(pids) < set(shop.pids())
    shop.systemctl("stop")
    assert (shop.shown("ActiveState"), shop.shown("Result")) == ("inactive", "success")
    log = shop.guest.run("sh", "-c", f"cat {FOLDER}/.genii/log/*.log")
    assert "web ends" in log
    assert "base ends" in log
    assert not [pid for pid in pids if os.path.exists(f"/proc/{shop.guest.first}/root/proc/{pid}")]


def test_programs_outlive_a_supervisor_that_systemd_has_to_start_again(shop: Shop) -> None:
    main, pids = shop.shown("MainPID"), shop.pids()
    shop.guest.run("kill", "-KILL", main)
    wait_until(lambda: shop.shown("NRestarts") == "1" and shop.shown("ActiveState") == "active", "the next supervisor")
    assert shop.shown("MainPID") != main
    assert shop.pids() == pids
    shop.systemctl("stop")
    assert shop.shown("ActiveState") == "inactive"
