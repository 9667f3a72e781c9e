from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from genii.backoff import Backoff
from genii.config.load import examine, load
from genii.errors import ConfigError
from genii.supervise.model import Log, Logs, Probe, ProbeKind, Program, Ready, Restart, Settings, Stop, Watch
from genii.supervise.template import for_process, logs_for

CASES = Path(__file__).parent / "cases"


def read(folder: Path, text: str, environ: dict[str, str] | None = None) -> Settings:
    path = folder / "genii.toml"
    path.write_text(text)
    path.chmod(0o600)
    return load(str(path), environ or {})


def problems(path: Path, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(str(path), environ or {})
    assert caught.value.exit_code == 2
    return [str(problem).removeprefix(f"{path.parent}/") for problem in caught.value.problems]


def test_the_shortest_program_gets_plain_defaults(tmp_path: Path) -> None:
    settings = read(tmp_path, '[program.web]\ncommand = "run it"\n')
    assert settings.path == str(tmp_path / "genii.toml")
    assert settings.files == (settings.path,)
    assert settings.state_dir == f"{tmp_path}/.genii"
    assert settings.log_dir == f"{tmp_path}/.genii/log"
    program = settings.programs["web"]
    logs = Logs(stdout=Log(path=f"{tmp_path}/.genii/log/{{process_name}}.log"))
    assert program == Program(name="web", command=("run", "it"), directory=str(tmp_path), logs=logs)
    assert logs_for(program, 0, "web").stdout.path == f"{tmp_path}/.genii/log/web.log"


def test_everything_reaches_the_model() -> None:
    settings = load(str(CASES / "accepted-everything.toml"), {})
    web = settings.programs["web"]
    assert web.command == ("/bin/sh", "-c", "exec uvicorn shop:app --fd $LISTEN_FD_HTTP")
    assert web.process_names() == ["web-00", "web-01"]
    assert web.environment == {"LANG": "C.UTF-8", "PORT": "8000", "NUMBER": "{process_num}"}
    assert [for_process(web, number, "").environment["NUMBER"] for number in (0, 1)] == ["0", "1"]
    assert web.backoff == Backoff(initial=1.0, factor=1.5, cap=30.0, jitter=0.0)
    assert (web.restart, web.exit_codes, web.retries, web.reload_signal) == (Restart.ALWAYS, (0, 3), 5, 0)
    assert web.limits["as"] == (512 << 20, 512 << 20)
    assert web.limits["nproc"] == (100, 200)
    assert web.limits["cpu"] == (600, 600)
    assert web.limits["stack"] == (8 << 20, -1)
    assert web.logs.stdout == Log(path=f"{CASES}/log/web.log", size=10 << 20, backups=10, compress=True)
    assert web.logs.stderr == Log(path=f"{CASES}/log/web.err", size=1 << 20, backups=10, compress=True)
    assert [(socket.name, socket.url, socket.mode) for socket in web.sockets] == [
        ("http", "tcp://127.0.0.1:8000", 0o600),
        ("control", "unix:///run/shop.sock", 0o660),
    ]
    probe = Probe(kind=ProbeKind.HTTP, target="http://127.0.0.1:8000/health")
    assert web.ready == Ready(probe=probe, timeout=30.0, interval=0.5)
    assert web.health is not None
    assert (web.health.probe.timeout, web.health.interval, web.health.failures) == (2.0, 10.0, 3)
    assert (web.umask, web.nice, web.oom_score, web.groups) == (0o022, 5, -500, ("adm",))
    assert settings.programs["database"].stop == Stop(signal=2)
    assert settings.programs["database"].logs.stdout.path == "-"
    thumbs = settings.programs["thumbs"]
    assert thumbs.command[1:5] == ("-m", "genii", "work", "shop.workers:Thumbs")
    assert (thumbs.processes, thumbs.processes_max, thumbs.libs) == (2, 5, (f"{CASES}/lib",))
    nightly = settings.programs["nightly"]
    assert nightly.schedule is not None
    assert (nightly.schedule.cron, nightly.restart) == ("@daily", Restart.NEVER)
    assert settings.programs["docs"].watch == Watch(paths=(f"{CASES}/docs", f"{CASES}/src"))
    docs = settings.programs["docs"].logs
    assert (docs.stdout.path, docs.stderr and docs.stderr.path) == ("", "-2")
    assert (settings.http.listen, settings.http.username) == ("127.0.0.1:9001", "admin")
    assert (settings.log_level, settings.umask, settings.socket_mode) == ("debug", 0o027, 0o660)
    assert settings.log == Log(path=f"{CASES}/genii.log", size=1 << 20, backups=2, every=86400.0, compress=True)


def test_equal_parts_of_programs_are_one_object(tmp_path: Path) -> None:
    text = "".join(
        f'[program.p{number}]\ncommand = "run"\nstop = {{ timeout = "3s" }}\nlimits = {{ nofile = 9 }}\n'
        f'environment = {{ A = "b" }}\nlogs = "-"\n'
        for number in range(2)
    )
    first, second = read(tmp_path, text).programs.values()
    for name in ("stop", "backoff", "limits", "environment", "logs", "directory"):
        assert getattr(first, name) is getattr(second, name), name


def test_programs_override_defaults_and_tables_are_merged(tmp_path: Path) -> None:
    programs = read(
        tmp_path,
        """
        [defaults]
        restart = "always"
        stop = { timeout = "30s", signal = "INT" }
        environment = { A = "1", NAME = "{program}" }
        ready = { tcp = 80 }
        command = "by default"
        [program.own]
        restart = "never"
        stop = { signal = "QUIT" }
        environment = { B = "2", A = "3" }
        ready = { notify = true }
        [program.none]
        stop = "HUP"
        [program.worker]
        worker = "a:B"
        """,
    ).programs
    assert programs["own"].restart == Restart.NEVER
    assert programs["own"].stop == Stop(signal=3, timeout=30.0)
    assert programs["own"].environment == {"A": "3", "NAME": "own", "B": "2"}
    assert programs["own"].ready == Ready(probe=Probe(kind=ProbeKind.NOTIFY))
    assert programs["none"].stop == Stop(signal=1)
    assert programs["none"].restart == Restart.ALWAYS
    assert programs["none"].command == ("by", "default")
    assert programs["worker"].worker == "a:B"


def test_variables_come_from_the_environment_and_the_file_of_variables(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DATABASE_URL='postgres://u:p@h/{db}'\nAPI_TOKEN=secret\nHOME=/from/file\n")
    settings = read(
        tmp_path,
        """
        [program.web]
        command = "run ${HOME} ${PLACE} ${NONE:-nothing}"
        env_file = "${DIR}/.env"
        environment = { PORT = "${PORT}" }
        processes = "${COUNT}"
        secret_variables = ["DATABASE_URL"]
        """,
        {"DIR": str(tmp_path), "HOME": "/h", "PLACE": "{here} a", "PORT": "80", "COUNT": "3"},
    )
    web = for_process(settings.programs["web"], 0, "web:0")
    assert web.command == ("run", "/from/file", "{here} a", "nothing")
    assert web.environment == {
        "DATABASE_URL": "postgres://u:p@h/{db}",
        "API_TOKEN": "secret",
        "HOME": "/from/file",
        "PORT": "80",
    }
    assert web.processes == 3
    assert web.secret_variables == ("DATABASE_URL", "API_TOKEN")
    assert settings.files == (str(tmp_path / "genii.toml"), str(tmp_path / ".env"))


def test_a_wrong_file_of_variables_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=1\nnonsense\n")
    path = tmp_path / "genii.toml"
    path.write_text('[program.a]\ncommand = "x"\nenv_file = [".env"]\n')
    message = f"env_file: {tmp_path}/.env: line 2: expected NAME=value, with quotes that are closed"
    assert problems(path) == [f"genii.toml:3:12: {message}"]


def test_includes_have_defaults_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "b.toml").write_text(
        '[defaults]\nretries = 2\n[program.b]\ncommand = "{here}/run"\ndirectory = "work"\n'
    )
    (tmp_path / "conf.d" / "a.toml").write_text('[program.a]\ncommand = "x"\n')
    settings = read(
        tmp_path,
        '[supervisor]\ninclude = ["conf.d/*.toml"]\n[defaults]\nretries = 1\nnice = 3\n[program.main]\ncommand = "x"\n',
    )
    assert list(settings.programs) == ["main", "a", "b"]
    assert [(program.retries, program.nice) for program in settings.programs.values()] == [(1, 3), (1, 3), (2, 3)]
    assert settings.programs["b"].command == (f"{tmp_path}/conf.d/run",)
    assert settings.programs["b"].directory == f"{tmp_path}/work"
    assert settings.files[1:] == (f"{tmp_path}/conf.d/a.toml", f"{tmp_path}/conf.d/b.toml")


def test_errors_of_all_files_come_together(tmp_path: Path) -> None:
    path = tmp_path / "genii.toml"
    path.write_text(
        '[supervisor]\ninclude = ["*.inc", "folder", "bytes"]\n[defaults]\nnicer = 1\n[program.a]\ncommand = "x"\n'
    )
    (tmp_path / "a.inc").write_text('[http]\nlisten = "1"\n[program.a]\ncommand = "x"\n')
    (tmp_path / "b.inc").write_text("[program.c\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "bytes").write_bytes(b"# \xc3\xa9\xff\n")
    said = problems(path)
    assert sorted(said) == [
        f"a.inc:1:2: [http] belongs in the main file, {path}; move it there",
        f"a.inc:3:10: the program 'a' is declared already at {path}:5; rename one",
        "b.inc:1:11: the table's name needs a closing ]; add it",
        "bytes:1:4: is not UTF-8 here; save the file as UTF-8",
        "folder: is not a regular file; name a file",
        "genii.toml:4:1: nicer: unknown key (did you mean 'nice'?)",
    ]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\xff", "1:1: is not UTF-8"),
        (b'a = "\0"', "1:6: the character '\\\\x00' is not allowed"),
        (b"#" * (2 << 20) + b"#", " is larger than 2 MiB"),
        (b"a = " + b"[" * 100_000, "1:55: brackets are nested"),
        (b"a = " + b"{b=" * 100_000, "brackets are nested"),
        (b"a" + b".a" * 200_000 + b" = 1", "1:1: the key has more than 50 dotted parts"),
        (b"x = [\n" + b'"a",\n' * 100_000, "100001:5: this is no value"),
        (b"a = " + b"9" * 5000, "thousands of digits"),
        (b"".join(b"k%d = 1\n" % number for number in range(20_000)), "there may be more errors"),
    ],
)
def test_hostile_files_are_refused_soon(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "genii.toml"
    path.write_bytes(data)
    with pytest.raises(ConfigError, match=message):
        load(str(path), {})


@pytest.mark.timeout(20)
def test_a_mistake_in_the_defaults_of_many_programs_is_told_once_and_soon(tmp_path: Path) -> None:
    path = tmp_path / "genii.toml"
    programs = "".join(f'[program.p{number}]\ncommand = "x"\n' for number in range(5000))
    path.write_text(f'[defaults]\nretry = 1\nstop = "NONE"\n{programs}')
    said = problems(path)
    assert said[0] == "genii.toml:2:1: retry: unknown key (did you mean 'retries'?)"
    assert said[1].startswith("genii.toml:3:8: stop: 'NONE' is not a signal")
    assert len(said) == 3


def test_a_named_pipe_does_not_hold_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "genii.toml")
    assert problems(tmp_path / "genii.toml") == ["genii.toml: is not a regular file; name a file"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    (said,) = problems(tmp_path / "genii.toml")
    assert said == "genii.toml: can't be read: No such file or directory; check the path and its permissions"


def test_a_byte_order_mark_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "genii.toml").write_bytes(b'\xef\xbb\xbf[program.a]\r\ncommand = "x"\r\n')
    assert list(load(str(tmp_path / "genii.toml"), {}).programs) == ["a"]


def test_a_plain_password_in_a_file_for_all_to_read_is_doubtful(tmp_path: Path) -> None:
    path = tmp_path / "genii.toml"
    path.write_text('[http]\nlisten = "0.0.0.0:1"\nusername = "a"\npassword = "b"\n')
    path.chmod(0o644)
    examination = examine(str(path), {})
    assert examination.problems == []
    (warning,) = examination.warnings
    assert (warning.line, warning.column) == (4, 12)
    assert "plain text" in warning.message
    assert '"b"' not in warning.message
    path.chmod(0o600)
    assert examine(str(path), {}).warnings == []


def test_the_password_may_stand_in_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter2\nignored\n")
    text = '[http]\nlisten = "[::1]:1"\nusername = "a"\npassword_file = "secret"\n'
    assert read(tmp_path, text).http.password == "hunter2"
    (tmp_path / "secret").write_text("\n")
    assert "its first line is empty" in problems(tmp_path / "genii.toml")[0]


def test_workers_get_their_jobs_from_the_embedded_server(tmp_path: Path) -> None:
    path = tmp_path / "genii.toml"
    path.write_text(
        '[jobs]\nlisten = "127.0.0.1:4799"\ndurability = "each"\n'
        '[program.t]\nworker = "w:T"\nlibs = ["lib"]\nrecycle = { jobs = 10 }\nprocesses = { min = 2, max = 5 }\n'
    )
    programs = load(str(path), {}).programs
    server, worker = programs["jobs"], programs["t"]
    assert server.command[2:7] == ("genii", "jobs", "serve", "-L", "127.0.0.1:4799")
    assert server.command[7:] == ("--journal", f"{tmp_path}/.genii/jobs", "--durability", "each")
    assert server.restart is Restart.ALWAYS
    assert worker.command[2:] == (
        "genii", "work", "w:T", "-s", "127.0.0.1:4799", "-I", f"{tmp_path}/lib", "--max-jobs", "10",
    )  # fmt: skip
    assert worker.depends_on == ("jobs",)
    assert (worker.restart, worker.startsecs) == (Restart.ALWAYS, 0.0)


def test_a_farm_of_servers_is_nobodys_program(tmp_path: Path) -> None:
    path = tmp_path / "genii.toml"
    path.write_text('[jobs]\nservers = ["a:4730", "b:4730"]\n[program.t]\nworker = "w:T"\n')
    programs = load(str(path), {}).programs
    assert list(programs) == ["t"]
    assert programs["t"].command[5:] == ("-s", "a:4730", "-s", "b:4730")
    assert programs["t"].depends_on == ()


class Interrupted(dict[str, str]):
    """Variables of somebody who presses Ctrl-C while they are read."""

    went_on = False

    def __getitem__(self, name: str) -> str:
        signal.raise_signal(signal.SIGINT)
        self.went_on = True
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        try:
            return self[name]
        except KeyError:
            return default


def test_an_interrupt_waits_until_the_configuration_is_read(tmp_path: Path) -> None:
    variables = Interrupted(WORD="hello")
    with pytest.raises(KeyboardInterrupt):
        read(tmp_path, '[program.web]\ncommand = "run ${WORD}"\n', variables)
    assert variables.went_on
