"""Services of a real systemd and a real OpenRC, each in a copy of this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.debian import install_packages
from tests.fleet.guest import Guest, open_guest

from genii.fleet.remote import RemoteFailed
from genii.fleet.state.plan import StateError

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, pytest.mark.compat, pytest.mark.timeout(600)]

UNIT = """\
[Unit]
Description=A sample
DefaultDependencies=no
[Service]
ExecStart=/bin/sleep {seconds}
{more}
[Install]
WantedBy=multi-user.target
"""
SCRIPT = """\
#!/sbin/openrc-run
command=/bin/sleep
command_args=4711
command_background=yes
pidfile=/run/sample.pid
"""


def service(guest: Guest, *, dry_run: bool = False, **wanted: Any) -> tuple[bool, str]:
    result = guest.reach(lambda host: host.service("sample", **wanted), dry_run=dry_run)
    return result.changed, result.difference


@pytest.fixture
def systemd(sshd_program: str) -> Iterator[Guest]:
    install_packages("systemd")
    with open_guest(sshd_program, "systemd") as guest:
        yield guest


def test_a_service_of_systemd(systemd: Guest) -> None:
    def shown(key: str) -> str:
        return systemd.run("systemctl", "show", "-P", key, "sample").strip()

    with pytest.raises(StateError, match="systemd knows no service 'sample'"):
        service(systemd, running=True)
    systemd.write("/etc/systemd/system/sample.service", UNIT.format(seconds=4711, more=""))
    assert service(systemd, dry_run=True, running=True, enabled=True)[0]
    assert shown("ActiveState") == "inactive"
    assert service(systemd, running=True, enabled=True) == (True, "+ sample starts at boot\n+ sample runs\n")
    assert (shown("ActiveState"), shown("UnitFileState")) == ("active", "enabled")
    assert service(systemd, running=True, enabled=True) == (False, "")
    first = shown("MainPID")
    with pytest.raises(RemoteFailed, match=r"(?i)reload"):
        service(systemd, reload=True)  # its unit has no ExecReload
    more = "ExecReload=/bin/kill -CONT $MAINPID"
    systemd.write("/etc/systemd/system/sample.service", UNIT.format(seconds=4712, more=more))
    assert service(systemd, reload=True) == (True, "systemd reads its files again\n  sample is reloaded\n")
    assert shown("MainPID") == first
    assert service(systemd, restart=True) == (True, "  sample is restarted\n")
    assert shown("MainPID") != first
    assert "4712" in shown("ExecStart")
    assert service(systemd, running=False, enabled=False) == (True, "- sample starts at boot\n- sample runs\n")
    assert (shown("ActiveState"), shown("UnitFileState")) == ("inactive", "disabled")
    assert service(systemd, running=False, enabled=False) == (False, "")


def test_a_service_of_systemd_that_does_not_start(systemd: Guest) -> None:
    text = UNIT.format(seconds=1, more="Type=oneshot").replace("/bin/sleep 1", "/bin/false")
    systemd.write("/etc/systemd/system/sample.service", text)
    with pytest.raises(RemoteFailed, match="sample"):
        service(systemd, running=True)


def test_a_systemd_that_does_not_answer_is_not_taken_for_one_without_the_service(systemd: Guest) -> None:
    systemd.run("rm", "/run/systemd/private")  # its socket
    with pytest.raises(StateError, match="systemd does not tell how 'sample' is: "):
        service(systemd, running=True)


@pytest.fixture
def openrc(sshd_program: str) -> Iterator[Guest]:
    with open_guest(sshd_program) as guest:
        guest.install("openrc")
        guest.run("mkdir", "-p", "/run/openrc")
        guest.run("touch", "/run/openrc/softlevel")  # as if it had booted this machine
        yield guest


def test_a_service_of_openrc(openrc: Guest) -> None:
    with pytest.raises(StateError, match="openrc knows no service 'sample'"):
        service(openrc, running=True)
    openrc.write("/etc/init.d/sample", SCRIPT, mode="755")
    assert service(openrc, running=True, enabled=True) == (True, "+ sample starts at boot\n+ sample runs\n")
    assert openrc.run("pgrep", "-f", "sleep 4711")
    assert "sample" in openrc.run("rc-update", "show", "default")
    assert service(openrc, running=True, enabled=True) == (False, "")
    assert service(openrc, restart=True) == (True, "  sample is restarted\n")
    assert service(openrc, running=False, enabled=False) == (True, "- sample starts at boot\n- sample runs\n")
    assert "sample" not in openrc.run("rc-update", "show", "default")
    assert service(openrc, running=False) == (False, "")
