"""The commands as a user types them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from genii.errors import ConfigError, Problem
from genii.supervise.report import Difference

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from genii.testing.served import ServedTarget

    Genii = Callable[..., tuple[int, str, str]]


def test_status_is_a_table_and_tells_by_its_code_whether_all_runs(genii: Genii, served: ServedTarget) -> None:
    status, out, _ = genii("status")
    assert status == 0, "nothing is wanted, so nothing is missing"
    head, *rows = out.splitlines()
    assert head.split() == ["NAME", "STATE", "PID", "UPTIME", "RESTARTS"]
    assert [row.split()[:2] for row in rows] == [["web:0", "stopped"], ["web:1", "stopped"], ["jobs", "stopped"]]
    assert genii("status", "web")[0] == 3
    genii("start", "web")
    assert genii("status", "web")[0] == 0
    assert genii("status", "web", "jobs")[0] == 3
    assert genii("status", "nope")[0] == 4


def test_status_of_a_name_tells_all_about_it(genii: Genii, served: ServedTarget) -> None:
    genii("start", "jobs")
    _, out, _ = genii("status", "jobs")
    assert "nofile 1024 (hard 4096), 4096 (hard 8192) at its next start" in out
    assert "as unlimited" in out
    _, out, _ = genii("status", "web:0")
    assert "serve 'the web'" in out


def test_status_as_json_is_one_document(genii: Genii, served: ServedTarget) -> None:
    status, out, _ = genii("status", "--json")
    rows = json.loads(out)["processes"]
    assert status == 0
    assert [row["name"] for row in rows] == ["web:0", "web:1", "jobs"]
    _, out, _ = genii("status", "web:0", "--json")
    assert json.loads(out)["processes"][0]["status"]["name"] == "web:0"


def test_the_actions_print_a_line_for_each_process(genii: Genii, served: ServedTarget) -> None:
    assert genii("start", "web") == (0, "web:0: started\nweb:1: started\n", "")
    assert genii("start", "web:1") == (0, "web:1: already running\n", "")
    assert genii("restart", "--rolling", "web:0") == (0, "web:0: restarted in turn\n", "")
    assert genii("reload", "web:0") == (0, "web:0: reloaded\n", "")
    assert genii("signal", "usr1", "web:0") == (0, "web:0: signalled\n", "")
    assert genii("scale", "web=2..4") == (0, "web: 2..4 processes\n", "")
    assert genii("stop", "all")[0] == 0


def test_a_failed_check_is_shown_and_exits_5(genii: Genii, served: ServedTarget) -> None:
    served.do(lambda target: target.failing.add("jobs"))
    status, out, err = genii("restart", "jobs")
    assert (status, out) == (5, "")
    assert err == "jobs: its check failed\nweb.conf:3: no such directive\n"


def test_some_failure_exits_1_and_a_time_out_124(genii: Genii, served: ServedTarget) -> None:
    assert genii("signal", "HUP", "web")[0] == 1
    served.do(lambda target: target.slow.add("jobs"))
    status, _, err = genii("start", "--timeout", "100ms", "jobs")
    assert status == 124
    assert "goes on" in err
    served.do(lambda target: target.release.set())


def test_a_misspelt_name_is_guessed(genii: Genii, served: ServedTarget) -> None:
    assert genii("start", "jbos") == (4, "", "genii: no program is named 'jbos'; did you mean 'jobs'?\n")
    assert "status lists them" in genii("logs", "zzz")[2]


def test_a_bare_reload_is_an_error_with_a_hint(genii: Genii, served: ServedTarget) -> None:
    status, _, err = genii("reload")
    assert status == 2
    assert "genii update" in err
    assert "reload NAME" in err


def test_update_shows_the_difference(genii: Genii, served: ServedTarget) -> None:
    assert genii("update") == (0, "", "nothing has changed\n")
    difference = Difference(
        added=("new",),
        removed=("old",),
        changed={"web": ("command",)},
        adjusted={"jobs": ("logs",)},
        settings=("umask",),
    )
    served.do(lambda target: setattr(target, "next_update", difference))
    _, out, err = genii("update", "--dry-run")
    assert out.splitlines() == [
        "+ new",
        "- old",
        "~ web: command (restarts)",
        "~ jobs: logs (without a restart)",
        "! umask: at the next start of the supervisor",
    ]
    assert "nothing was done" in err


def test_a_broken_file_is_told_as_editors_want_it_and_exits_2(genii: Genii, served: ServedTarget) -> None:
    problems = [Problem("/etc/g.toml", 3, 7, "unknown key"), Problem("/etc/g.toml", 9, 1, "wrong")]
    served.do(lambda target: setattr(target, "next_update", ConfigError(problems)))
    assert genii("update") == (2, "", "/etc/g.toml:3:7: unknown key\n/etc/g.toml:9:1: wrong\n")


def test_logs_of_several_are_told_apart(genii: Genii, served: ServedTarget, site: Path) -> None:
    (site / "web.log").write_text("1\n2\n3\n")
    (site / "jobs.log").write_text("a\n")
    logs = {("web:0", "stdout"): str(site / "web.log"), ("jobs", "stdout"): str(site / "jobs.log")}
    served.do(lambda target: target.logs.update(logs))
    assert genii("logs", "-n", "2", "web:0") == (0, "2\n3\n", "")
    assert genii("logs", "-n", "1") == (0, "web:0 | 3\njobs  | a\n", "")
    assert genii("logs", "-n", "some")[0] == 2
    assert genii("logs", "--since", "yesterday")[0] == 2
    assert genii("logs", "web:1")[0] == 1


def test_events_are_listed(genii: Genii, served: ServedTarget) -> None:
    genii("start", "web:0")
    _, out, _ = genii("events")
    assert out.endswith("process.state web:0 state=RUNNING\n")
    _, out, _ = genii("events", "--json")
    assert json.loads(out)["name"] == "web:0"


def test_following_ends_with_the_supervisor(genii: Genii, served: ServedTarget) -> None:
    import threading

    ender = threading.Timer(0.3, lambda: served.client().shutdown())
    ender.start()
    status, _, _ = genii("events", "-f")
    ender.join()
    assert status == 0
    assert genii("status")[0] == 3


@pytest.mark.parametrize("words", [["status"], ["start", "web"], ["logs"], ["update"], ["events", "-f"]])
def test_without_a_supervisor_everything_exits_3_and_says_what_to_do(
    genii: Genii, site: Path, words: list[str]
) -> None:
    status, out, err = genii(*words)
    assert (status, out) == (3, "")
    assert str(site / ".genii" / "genii.sock") in err
    assert "genii up" in err


def test_down_without_a_supervisor_is_done(genii: Genii, site: Path) -> None:
    assert genii("down")[0] == 0


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["statsu"], "'status'"),
        (["--frob"], "--help"),
        (["-c"], "needs a value"),
        (["status", "--jsn"], "'--json'"),
        (["start"], "NAME"),
        (["scale", "web"], "web=4"),
        (["scale", "web=4..2"], "smaller"),
        (["signal", "NOPE", "web"], "'NOPE'"),
        (["start", "web", "--timeout", "soon"], "'soon'"),
        (["export", "completion", "tcsh"], "bash"),
        (["-c", "/nonexistent/genii.toml", "status"], "/nonexistent/genii.toml"),
        (["--server", "nowhere", "status"], "'nowhere'"),
    ],
)
def test_a_mistake_of_the_user_exits_2_with_a_hint(genii: Genii, site: Path, words: list[str], hint: str) -> None:
    status, out, err = genii(*words)
    assert (status, out) == (2, "")
    assert hint in err
    assert "Traceback" not in err


def test_a_user_without_a_password_is_told_where_to_put_it(genii: Genii, site: Path) -> None:
    status, _, err = genii("--server", "me@127.0.0.1:9001", "status")
    assert status == 1
    assert "GENII_PASSWORD" in err


def test_the_state_directory_is_that_of_the_file(genii: Genii, site: Path) -> None:
    (site / "genii.toml").write_text('[supervisor]\nstate_dir = "var/run"\n')
    assert str(site / "var/run/genii.sock") in genii("status")[2]
    (site / "genii.toml").write_text('[supervisor]\nstate_dir = "/srv/state"\n')
    assert "unix:/srv/state/genii.sock" in genii("status")[2]
    (site / "genii.toml").write_text("# state_dir is the default\n[supervisor\n")
    assert genii("status")[0] == 2


def test_help_lists_every_command_and_each_has_its_own(genii: Genii) -> None:
    from genii.cli.table import COMMANDS

    status, out, _ = genii("--help")
    assert status == 0
    for name, command in COMMANDS.items():
        assert (f"\n  {name} " in out) == bool(command.group), name
    assert genii("help", "scale")[1] == genii("scale", "--help")[1]
    assert "scale thumbs=2..20" in genii("help", "scale")[1]
    assert genii()[0] == 2
    assert genii("--version")[1].startswith("genii ")


def test_colour_is_for_terminals_and_for_those_who_ask(
    genii: Genii, served: ServedTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "\x1b" not in genii("status")[1]
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[2mstopped\x1b[0m" in genii("status")[1]
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in genii("status")[1]


def run(*words: str, cwd: Path, **more: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "genii", *words], cwd=cwd, stderr=subprocess.PIPE, **more)  # type: ignore[call-overload,no-any-return]


def test_a_reader_that_has_seen_enough_is_no_error(served: ServedTarget, site: Path) -> None:
    (site / "web.log").write_text("x" * 100 + "\n" * 200_000)
    served.do(lambda target: target.logs.update({("web:0", "stdout"): str(site / "web.log")}))
    reading, writing = os.pipe()
    process = run("logs", "-n", "all", cwd=site, stdout=writing)
    os.close(writing)
    os.read(reading, 10)
    os.close(reading)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, b"")


def test_ctrl_c_exits_130_without_a_traceback(served: ServedTarget, site: Path) -> None:
    import signal

    process = run("events", "-f", cwd=site, stdout=subprocess.PIPE)
    assert process.stdout is not None
    served.client().act("start", ["web:0"])
    assert process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"Traceback" not in err


def test_the_command_line_loads_nothing_heavy(served: ServedTarget, site: Path) -> None:
    code = (
        "import sys; from genii.cli.main import main; main(['status']);"
        "print(*sorted({'msgspec', 'dataclasses', 'inspect', 'asyncio', 'ssl', 'tomllib', 'http.client', 'logging', "
        "'urllib', 'email', 'pathlib', 'tempfile', 'difflib'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], cwd=site, capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == ""
