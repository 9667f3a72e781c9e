from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from genii.cli.main import main
from genii.config.load import load

if TYPE_CHECKING:
    from pathlib import Path

CONF = r"""
[inet_http_server]
port = 127.0.0.1:9001
[supervisord]
childlogdir = {here}
; the web workers
[program:web]
command = /bin/sh -c "echo $HOME {{a}} \"q\" 80%(process_num)02d; sleep 100"
process_name = web_%(process_num)02d
numprocs = 3
; stop it softly
stopsignal = INT
redirect_stderr = true
stdout_logfile = {here}/web-%(process_num)d.log
environment = A="x y",B="$C"
[program:one]
command = cat
autorestart = true
exitcodes = 0,3
startretries = 7
umask = 027
[eventlistener:ear]
command = ear
events = EVENT
"""


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    path = tmp_path / "supervisord.conf"
    path.write_text(CONF.replace("{here}", str(tmp_path)).replace("{{", "{").replace("}}", "}"))
    return path


def test_writes_a_file_that_means_the_same(conf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "toml", "-c", str(conf)]) == 0
    text = capsys.readouterr().out
    target = conf.with_name("genii.toml")
    target.write_text(text)
    after, before = load(str(target), {}), load(str(conf), {})
    web = after.programs["web"]
    assert web.process_names() == ["web_00", "web_01", "web_02"]
    assert web.stop == before.programs["web:web_00"].stop
    assert {"A": "x y", "B": "$C"}.items() <= web.environment.items()
    from genii.supervise.template import for_process, logs_for

    second, there = for_process(web, 1, "web_01"), for_process(before.programs["web:web_01"], 0, "web:web_01")
    assert second.command == there.command
    assert logs_for(web, 1, "web_01") == logs_for(before.programs["web:web_01"], 0, "web:web_01")
    keys = ("command", "restart", "exit_codes", "retries", "umask", "startsecs", "stop")
    ours, theirs = (msgspec.structs.asdict(settings.programs["one"]) for settings in (after, before))
    assert {key: ours[key] for key in keys} == {key: theirs[key] for key in keys}
    assert after.http.listen == "127.0.0.1:9001"


def test_keeps_comments_and_says_what_has_no_equivalent(conf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["export", "toml", "-c", str(conf)])
    text = capsys.readouterr().out
    assert "# the web workers\n# stop it softly\n[program.web]" in text
    assert "# [eventlistener:ear] is only run by 'genii supervisord'" in text
