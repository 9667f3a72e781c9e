from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import pytest

from genii.cli.main import main
from genii.config.ini.declaration import Declaration, decode
from genii.config.load import examine, load
from genii.errors import ConfigError
from genii.supervise.model import Restart, Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(text: str) -> Path:
        path = tmp_path / "supervisord.conf"
        path.write_text(textwrap.dedent(text))
        return path

    return written


def read(path: Path, **environ: str) -> tuple[Settings, Declaration]:
    settings = load(str(path), environ)
    return settings, decode(settings.supervisord)


def problems(path: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(str(path), {})
    return [str(problem) for problem in caught.value.problems]


def test_reads_the_file_that_everybody_has(write: Write, tmp_path: Path) -> None:
    """Administration on port 9001, minfds, one program with a log of its own."""
    settings, declaration = read(
        write(
            f"""
            [inet_http_server]
            port = 127.0.0.1:9001
            username = admin
            password = {{SHA}}82ab876d1387bfafe46cc1c8a2ef074eae50cb1d
            [supervisord]
            logfile = {tmp_path}/main.log ; the main log
            logfile_maxbytes = 10MB
            pidfile = {tmp_path}/s.pid
            minfds = 1024
            nodaemon = true
            [rpcinterface:supervisor]
            supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
            [supervisorctl]
            serverurl = http://127.0.0.1:9001
            [program:app]
            command = /usr/bin/python3 -u app.py "two words"
            startsecs = 5
            redirect_stderr = true
            stdout_logfile = {tmp_path}/app.log
            stdout_logfile_maxbytes = 1MB
            stdout_logfile_backups = 3
            """
        )
    )
    app = settings.programs["app"]
    assert app.command == ("/usr/bin/python3", "-u", "app.py", "two words")
    assert app.startsecs == 5
    assert app.logs.stderr is None
    assert (app.logs.stdout.path, app.logs.stdout.size, app.logs.stdout.backups) == (f"{tmp_path}/app.log", 1 << 20, 3)
    assert app.environment["SUPERVISOR_SERVER_URL"] == "http://127.0.0.1:9001"
    assert declaration.servers[0].port == 9001
    assert (declaration.daemon.minfds, declaration.daemon.nodaemon) == (1024, True)
    assert (declaration.daemon.logfile, declaration.daemon.logfile_maxbytes) == (f"{tmp_path}/main.log", 10 << 20)


def test_has_the_defaults_of_supervisord(write: Write) -> None:
    settings, declaration = read(write("[supervisord]\n[program:x]\ncommand=sleep 1\n"))
    program, member = settings.programs["x"], declaration.members["x"]
    assert (program.startsecs, program.retries, program.stop.signal, program.stop.timeout) == (1, 3, 15, 10)
    assert (program.restart, program.exit_codes, program.stop.group) == (Restart.ON_FAILURE, (0,), False)
    assert [program.backoff.delay(attempt) for attempt in (1, 2, 3)] == [1, 2, 3]
    assert member.stdout.auto
    assert member.stderr.auto


def test_expands_names_of_processes(write: Write, tmp_path: Path) -> None:
    settings, _ = read(
        write(
            f"""
            [supervisord]
            environment = BASE=/srv
            [program:web]
            command = run --port 80%(process_num)02d --of %(numprocs)d %(ENV_BASE)s %(ENV_OWN)s {{process_num}} %(here)s
            process_name = %(program_name)s_%(process_num)02d
            numprocs = 2
            numprocs_start = 5
            environment = OWN="o%(process_num)d"
            stdout_logfile = {tmp_path}/%(program_name)s-%(process_num)s.log
            """
        )
    )
    assert list(settings.programs) == ["web:web_05", "web:web_06"]
    program = settings.programs["web:web_06"]
    assert program.command[2:] == ("8006", "--of", "2", "/srv", "o6", "{{process_num}}", str(tmp_path))
    assert program.environment["OWN"] == "o6"
    assert program.environment["BASE"] == "/srv"
    assert program.logs.stdout.path == f"{tmp_path}/web-6.log"


def test_puts_programs_into_groups(write: Write) -> None:
    settings, declaration = read(
        write(
            """
            [supervisord]
            [group:shop]
            programs = web, jobs
            priority = 5
            [program:web]
            command = a
            [program:jobs]
            command = b
            [program:alone]
            command = c
            priority = 1
            [eventlistener:ear]
            command = d
            events = PROCESS_STATE,tick_5
            """
        )
    )
    assert list(settings.programs) == ["ear", "alone", "shop:web", "shop:jobs"]
    assert declaration.groups["shop"].members == ("shop:web", "shop:jobs")
    assert declaration.groups["ear"].priority == -1
    assert declaration.groups["ear"].events == ("PROCESS_STATE", "TICK_5")
    assert settings.programs["shop:web"].environment["SUPERVISOR_GROUP_NAME"] == "shop"


def test_merges_included_files(write: Write, tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "b.conf").write_text("[program:x]\ncommand=second %(here)s\n")
    (tmp_path / "conf.d" / "a.conf").write_text("[program:x]\ncommand=first\nstartsecs=9\n")
    settings, _ = read(write("[supervisord]\n[include]\nfiles = conf.d/*.conf nothing/*\n"))
    assert settings.programs["x"].command == ("second", f"{tmp_path}/conf.d")
    assert settings.programs["x"].startsecs == 9
    assert [path.rpartition("/")[2] for path in settings.files] == ["supervisord.conf", "a.conf", "b.conf"]


def test_tells_all_that_is_wrong_with_file_and_line(write: Write) -> None:
    path = write(
        """
        [supervisord]
        loglevel=loud
        [program:x]
        command=%(nothing)s
        startsecs=soon
        autorestart=perhaps
        [program:y]
        numprocs=2
        command=y
        [eventlistener:z]
        command=z
        events=PROCESS_STATES
        """
    )
    found = problems(path)
    assert [problem.removeprefix(f"{path}:").partition(":")[0] for problem in found] == ["3", "5", "6", "7", "8", "13"]
    assert "did you mean 'PROCESS_STATE'?" in found[-1]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("[program:a b]\ncommand=x", "is no name"),
        ("[program:x]\nautostart=true", "does not specify a command"),
        ("[program:x]\ncommand=x\nstopsignal=NOPE", "is not a signal"),
        ("[program:x]\ncommand=x\nexitcodes=256", "is not a list of exit codes"),
        ("[program:x]\ncommand=x\nstopasgroup=true\nkillasgroup=false", "cannot set stopasgroup=true"),
        ("[program:x]\ncommand=x\nstdout_logfile=/nonexistent/x.log", "does not exist"),
        ("[program:x]\ncommand=x\nuser=nobody-at-all", "there is no user"),
        ("[program:x]\ncommand=x\nstdout_logfile_maxbytes=50MB; (note)", "is not a size"),
        ("[group:g]\nprograms=nothing", "names unknown program nothing"),
        ("[group:x]\nprograms=y\n[program:x]\ncommand=x\n[program:y]\ncommand=y", "is there twice"),
        ("[eventlistener:x]\ncommand=x", "lacks the option events"),
        ("[eventlistener:x]\ncommand=x\nevents=EVENT\nbuffer_size=0", "must be 1 or more"),
        ("[eventlistener:x]\ncommand=x\nevents=EVENT\nredirect_stderr=true", "is not allowed"),
        ("[fcgi-program:x]\ncommand=x", "lacks the option socket"),
        ("[fcgi-program:x]\ncommand=x\nsocket=tcp://localhost:1\nsocket_mode=0700", "only for unix sockets"),
        ("[inet_http_server]\nport=99999", "is not an address"),
        ("[inet_http_server]\nport=9001\nusername=x", "both username and password"),
        ("[unix_http_server]\nchmod=0700", "lacks the option file"),
        ("[rpcinterface:x]\ny=1", "lacks the option supervisor.rpcinterface_factory"),
        ("[include]\nx=1", "lacks the option files"),
    ],
)
def test_refuses_what_supervisord_refuses(write: Write, lines: str, message: str) -> None:
    assert message in "\n".join(problems(write("[supervisord]\n" + lines + "\n")))


def test_wants_a_supervisord_section(write: Write) -> None:
    assert "does not include a supervisord section" in problems(write("[program:x]\ncommand=x\n"))[0]


def test_warns_of_what_supervisord_ignores_without_a_word(write: Write) -> None:
    path = write("[supervisord]\n[program:x]\ncommand=x\nautostrat=false\n[porgram:y]\n")
    warnings = [problem.message for problem in examine(str(path), {}).warnings]
    assert any("autostrat" in text and "did you mean 'autostart'?" in text for text in warnings)
    assert any("[porgram:y] is ignored" in text and "'program'" in text for text in warnings)


def test_check_reads_the_file(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(write("[supervisord]\n[program:x]\ncommand=true\n"))]) == 0
    assert "ok, 1 program" in capsys.readouterr().out
    assert main(["check", str(write("[supervisord]\n[program:x]\n"))]) == 2
    assert "supervisord.conf:2:1: [program:x]" in capsys.readouterr().err


def test_nothing_of_it_is_loaded_for_a_toml_file(tmp_path: Path) -> None:
    import subprocess
    import sys

    (tmp_path / "genii.toml").write_text('[program.x]\ncommand = "true"\n')
    code = (
        "import sys; from genii.config.load import load; import genii.control.daemon; load(sys.argv[1]);"
        "print([name for name in sys.modules if name.startswith(('genii.supervisord', 'genii.config.ini.')) "
        "and name != 'genii.config.ini.place'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "genii.toml")], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
