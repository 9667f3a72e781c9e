"""What the commands say, and what `all` means, with a real supervisor."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from tests.real.harness import PATIENCE

if TYPE_CHECKING:
    from tests.real.harness import Site

SLEEP = 'command = "sleep 1000"\n'


def test_what_changes_nothing_is_said(site: Site) -> None:
    site.write(f"[program.job]\n{SLEEP}")
    assert "1 process\n" in site.up().err
    assert site.genii("scale", "job=1") == (0, "job: no process had to be started or stopped\n", "")
    assert site.genii("down") == (0, "", "genii: down, 1 process\n")


def test_restart_all_leaves_alone_what_only_a_request_starts(site: Site) -> None:
    site.write(f"[program.job]\n{SLEEP}[program.extra]\n{SLEEP}autostart = false\n")
    site.up()
    assert site.genii("restart", "all").out == "job: restarted\n"
    assert site.genii("restart", "extra").out == "extra: restarted\n"
    assert site.genii("restart", "all").out == "job: restarted\nextra: restarted\n"


def test_what_waits_for_the_next_start_is_told_each_time(site: Site) -> None:
    site.write(f"[program.job]\n{SLEEP}")
    site.up()
    site.write(f"[program.job]\n{SLEEP}", supervisor='log_level = "debug"')
    told = "! log_level: at the next start of the supervisor\n"
    assert site.genii("update").out == told
    assert site.genii("update").out == told
    site.write(f"[program.job]\n{SLEEP}")
    assert site.genii("update").err == "nothing has changed\n"


def test_the_details_have_the_keys_of_the_list(site: Site) -> None:
    site.write(f"[program.job]\n{SLEEP}")
    site.up()
    listed = json.loads(site.genii("status", "--json").out)["processes"][0]
    details = json.loads(site.genii("status", "--json", "job").out)["processes"][0]
    assert details.keys() >= listed.keys()
    assert details["status"].keys() == listed.keys()
    assert [details[key] for key in ("name", "state", "pid")] == [listed[key] for key in ("name", "state", "pid")]


def test_a_reader_that_has_seen_enough_is_no_error(site: Site) -> None:
    site.write(f"[program.job]\n{SLEEP}")
    for words in (("check",), ("status",), ("nonsense",)):
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run(
            site.command(*words), cwd=site.path, env=site.environment, stdout=writing, stderr=writing, timeout=60
        )
        os.close(writing)
        assert done.returncode == 0, words


@pytest.mark.parametrize("words", [("logs", "-f"), ("events", "-f"), ("attach", "job"), ("status", "--watch")])
def test_what_follows_ends_with_its_reader(site: Site, words: tuple[str, ...]) -> None:
    site.write('[program.job]\ncommand = "echo here; exec sleep 1000"\nstdin = "pipe"\n')
    site.up()
    site.line("job", "here")
    with subprocess.Popen(
        site.command(*words), cwd=site.path, env=site.environment,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert (process.wait(PATIENCE), process.stderr.read()) == (0, b"")


def test_a_folder_too_deep_for_a_socket_is_named(site: Site) -> None:
    site.write(f"[program.job]\n{SLEEP}", supervisor=f'state_dir = "{"x" * 120}"')
    outcome = site.genii("up", "-d")
    assert outcome.status == 1
    assert "notify.sock is too long for a socket" in outcome.err
    assert "set state_dir in [supervisor]" in outcome.err


def test_a_folder_is_no_configuration(site: Site) -> None:
    outcome = site.genii("-c", str(site.path), "status")
    assert outcome.status == 2
    assert "Is a directory" in outcome.err
