from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from genii.daemon.initfile import Service, lsb_script, systemd_unit

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = Service(name="My Daemon", interpreter="/usr/bin/python3", script="/opt/my daemon/control.py")


def test_the_lsb_header_is_complete_and_its_end_mark_clean() -> None:
    service = Service(
        name="Counter",
        interpreter="/usr/bin/python3",
        script="/opt/c.py",
        lsb_start="$syslog $network",
        lsb_stop="$syslog",
        short_description="Counts",
        description="Counts things.\nAll day.",
        init_config="/etc/default/counter",
        init_code="LANG=C",
    )
    text = lsb_script(service)
    for line in (
        "# Provides:          counter",
        "# Required-Start:    $syslog $network",
        "# Required-Stop:     $syslog",
        "# Short-Description: Counts",
        "# Description:       Counts things.",
        "#  All day.",
        "### END INIT INFO",
        "[ -r /etc/default/counter ] && . /etc/default/counter",
        "LANG=C",
    ):
        assert line in text.splitlines()


def test_the_name_is_made_fit_for_init() -> None:
    assert "# Provides:          my-daemon\n" in lsb_script(PLAIN)


@pytest.mark.parametrize("folder", ["plain", "with blank", "with'quote", "with$dollar`tick`"])
def test_the_script_runs_the_control_program_with_its_action_and_code(tmp_path: Path, folder: str) -> None:
    script = tmp_path / folder / "control"
    script.parent.mkdir()
    script.write_text('echo "got $1"; exit 42')
    init = tmp_path / "init"
    init.write_text(lsb_script(Service(name="x", interpreter="/bin/sh", script=str(script))))
    ended = subprocess.run(["sh", str(init), "status"], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (42, "got status\n", "")
    script.unlink()
    for action, code in (("status", 4), ("start", 5)):
        ended = subprocess.run(["sh", str(init), action], capture_output=True, text=True)
        assert (ended.returncode, ended.stderr) == (code, f"Required program {script} not found!\n")


def test_another_template_is_filled_in() -> None:
    assert lsb_script(PLAIN, "#!/bin/sh\n# {name} ${HOME}\n") == "#!/bin/sh\n# My Daemon ${HOME}\n"


def test_the_unit_says_what_systemd_has_to_know() -> None:
    service = Service(
        name="Counter", interpreter="/usr/bin/python3", script="/opt/100% mine/c.py",
        lsb_start="$network postgresql +nscd",
        description="Counts", init_config="/etc/default/counter", stdout_file="/var/log/100%.log", stop_signal="INT",
        stop_seconds=7.5, reload_signal="USR1", notify=True,
    )  # fmt: skip
    lines = systemd_unit(service).splitlines()
    for line in (
        "Description=Counts",
        "After=network-online.target postgresql.service nscd.service",
        "Type=notify",
        'ExecStart=/usr/bin/python3 "/opt/100%% mine/c.py" foreground',
        "ExecReload=/bin/kill -USR1 $MAINPID",
        "KillSignal=SIGINT",
        "TimeoutStopSec=7.5",
        "EnvironmentFile=-/etc/default/counter",
        "StandardOutput=append:/var/log/100%%.log",
        "WantedBy=multi-user.target",
    ):
        assert line in lines


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_finds_no_fault(tmp_path: Path) -> None:
    unit = tmp_path / "counter.service"
    unit.write_text(systemd_unit(Service(name="c", interpreter="/bin/sh", script="/bin/true", lsb_start="$network")))
    ended = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=50)
    assert "counter.service" not in ended.stderr
