"""Another version takes the place of the running one: programs, requests and what is under way go on."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.real.harness import PATIENCE, Outcome, kill, open_files, read_until
from tests.real.test_up import UNSHARE, inner_pid_one, needs_namespace
from tests.waiting import wait_gone, wait_until

import genii
from genii.deploy.record import Record, record_path
from genii.system.procfs import command_line
from genii.version import __version__

if TYPE_CHECKING:
    from tests.real.harness import Site

COUNTER = """
import itertools, os, time
for number in itertools.count(1):
    os.write(1, b"%d %d\\n" % (os.getpid(), number))
    time.sleep(0.001)
"""
NEXT = "999.1"


def other_version(site: Site, *changes: tuple[str, str, str]) -> None:
    """Have the commands of a site be those of another version, which differs in ``changes``: (file, old, new)."""
    root = site.path / f"version-{len(list(site.path.glob('version-*')))}"
    source = Path(genii.__file__).parent
    shutil.copytree(source, root / "genii", ignore=shutil.ignore_patterns("__pycache__"))
    for name, old, new in (("version.py", f'"{__version__}"', f'"{NEXT}"'), *changes):
        path = root / "genii" / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
    site.environment["PYTHONPATH"] = str(root)


def this_version(site: Site) -> None:
    site.environment.pop("PYTHONPATH", None)


def upgrade(site: Site) -> Outcome:
    """Upgrade a supervisor; it must succeed."""
    outcome = site.genii("upgrade")
    assert outcome.status == 0, (outcome, site.own_log())
    return outcome


def await_upgrade(site: Site, count: int) -> None:
    """Wait until a supervisor was upgraded so many times (by its signal, for one)."""
    end = time.monotonic() + PATIENCE
    while site.client.supervisor()["upgrades"] < count:
        assert time.monotonic() < end, site.own_log()


def check_counter(site: Site, name: str) -> None:
    """See that the lines of each process of a counter are there once and in order."""
    last: dict[str, int] = {}
    for line in site.lines(name)[:-1]:
        pid, _, count = line.partition(" ")
        assert int(count) == last.get(pid, 0) + 1, line
        last[pid] = int(count)


@pytest.mark.slow
def test_programs_and_their_output_go_on(site: Site) -> None:
    site.write(f'[program.count]\ncommand = "{site.script("count.py", COUNTER)}"\nprocesses = 3\n')
    site.up()
    supervisor, keeper = site.supervisor_pid(), site.keeper_pid()
    before = [(status["name"], status["pid"], status["started"]) for status in site.client.statuses()]
    for _ in range(3):
        upgrade(site)
    statuses = site.client.statuses()
    assert [(status["name"], status["pid"], status["started"]) for status in statuses] == before
    assert {status["state"] for status in statuses} == {"RUNNING"}
    assert not any(status["adopted"] or status["restarts"] for status in statuses)
    assert site.supervisor_pid() == supervisor
    assert site.keeper_pid() != keeper
    assert set(site.processes()) == {supervisor, site.keeper_pid(), *(status["pid"] for status in statuses)}
    site.line("count:0", " 2000")
    for status in statuses:
        os.kill(status["pid"], signal.SIGSTOP)
    assert site.genii("down").status == 0
    for status in statuses:
        check_counter(site, status["name"])
    assert site.remaining() == []


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_those_who_follow_go_on_following(site: Site) -> None:
    command = site.script("count.py", COUNTER)
    site.write(
        f'[program.count]\ncommand = "{command}"\nprocesses = 2\nlogs = {{ size = "16KiB", backups = 200 }}\n'
        '[program.late]\ncommand = "echo late"\nautostart = false\n'
    )
    site.up()
    environment = {**site.environment, "PYTHONUNBUFFERED": "1"}
    with (
        subprocess.Popen(
            site.command("logs", "-f", "-n", "0"), cwd=site.path, env=environment, stdout=subprocess.PIPE, text=True
        ) as logs,
        subprocess.Popen(
            site.command("events", "-f", "--json"), cwd=site.path, env=environment, stdout=subprocess.PIPE, text=True
        ) as events,
    ):
        assert logs.stdout
        assert events.stdout
        seen = [logs.stdout.readline()]  # both are there
        serials = [json.loads(events.stdout.readline())["serial"]]
        for _ in range(2):
            upgrade(site)
        site.act("start", "late")
        while not seen[-1].startswith("late"):
            seen.append(logs.stdout.readline())
        assert site.genii("down").status == 0
        seen += logs.stdout.read().splitlines(keepends=True)
        serials += [json.loads(line)["serial"] for line in events.stdout]
        assert logs.wait(PATIENCE) == 0
        assert events.wait(PATIENCE) == 0
    assert serials == list(range(serials[0], serials[0] + len(serials)))
    numbers: dict[str, list[int]] = {}
    for line in seen:
        name, _, text = line.partition("|")
        numbers.setdefault(name.strip(), []).append(int(text.split()[-1]) if "count" in name else 0)
    assert len(numbers.pop("late")) == 1
    for found in numbers.values():
        assert found == list(range(found[0], found[0] + len(found)))


def test_children_stay_ours_and_their_exit_codes_are_known(site: Site) -> None:
    site.write('[program.job]\ncommand = "sh -c \'trap \\"exit 7\\" USR1; while :; do sleep 0.01; done\'"\n'
               'restart = "never"\n')  # fmt: skip
    site.up()
    upgrade(site)
    os.kill(site.pid("job"), signal.SIGUSR1)
    assert site.state_of("job", "EXITED")["exit_status"] == 7


def test_a_death_in_the_midst_of_it_is_noticed(site: Site) -> None:
    site.write('[program.job]\ncommand = "sleep 1000"\nprocesses = 5\nbackoff = { initial = "1ms" }\n')
    site.up()
    pids = [status["pid"] for status in site.client.statuses()]
    supervisor = site.supervisor_pid()
    os.kill(supervisor, signal.SIGUSR2)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    await_upgrade(site, 1)
    for number, pid in enumerate(pids):
        status = site.when(f"job:{number}", lambda status, pid=pid: status["pid"] not in (0, pid))  # type: ignore[misc]
        assert status["restarts"] == 1
    assert len(site.processes()) == 7


@pytest.mark.slow
def test_descriptors_do_not_add_up(site: Site) -> None:
    site.write('[program.job]\ncommand = "sleep 1000"\nprocesses = 5\n'
               '[program.limited]\ncommand = "sleep 1000"\nlimits = { core = 0 }\n')  # fmt: skip
    site.up()
    upgrade(site)
    supervisor = site.supervisor_pid()
    before = sorted(open_files(supervisor)), sorted(open_files(site.keeper_pid()))
    for _ in range(3):
        upgrade(site)
    keeper, end = site.keeper_pid(), time.monotonic() + PATIENCE
    while len(open_files(supervisor)) > len(before[0]):  # it may still be closing the connection that we asked it over
        assert time.monotonic() < end, (before, sorted(open_files(supervisor)))
    assert len(open_files(keeper)) == len(before[1])


@pytest.mark.slow
def test_what_is_under_way_goes_on(site: Site) -> None:
    stubborn = "sh -c 'trap \"\" TERM; while :; do sleep 0.05; done'"
    site.write(f"""
        [program.failing]
        command = "sh -c 'exit 3'"
        startsecs = "1s"
        retries = 1000
        backoff = {{ initial = "1s", factor = 1.0 }}
        [program.stubborn]
        command = "{stubborn.replace(chr(34), chr(92) + chr(34))}"
        stop = {{ timeout = "3s" }}
        [program.late]
        command = "sleep 1000"
        depends_on = ["unready"]
        [program.unready]
        command = "sh -c 'while ! [ -e go ]; do sleep 0.02; done; echo ready; exec sleep 1000'"
        directory = "{site.path}"
        ready = {{ line = "ready", timeout = "60s" }}
        """)
    site.up("--no-wait")
    site.state_of("failing", "BACKOFF")
    site.state_of("stubborn", "RUNNING")
    site.act("stop", "stubborn", wait=False)
    assert site.status("stubborn")["state"] == "STOPPING"
    assert site.status("late")["reason"] == "waits for unready"
    upgrade(site)
    assert site.status("stubborn")["state"] in ("STOPPING", "STOPPED")  # it may have taken longer than its time-out
    assert site.status("unready")["state"] == "STARTING"
    assert site.status("late")["reason"] == "waits for unready"
    restarts = site.status("failing")["restarts"]
    (site.path / "go").touch()
    site.state_of("unready", "RUNNING")
    site.state_of("late", "RUNNING")
    site.state_of("stubborn", "STOPPED")
    site.when("failing", lambda status: status["restarts"] > restarts)


def test_requests_are_answered_first(site: Site) -> None:
    site.write('[program.job]\ncommand = "sh -c \'trap \\"sleep 0.7; exit\\" TERM; while :; do sleep 0.02; done\'"\n')
    site.up()
    stop = subprocess.Popen(site.command("stop", "job"), cwd=site.path, env=site.environment, stderr=subprocess.PIPE)
    site.state_of("job", "STOPPING")
    upgrade(site)
    assert stop.wait(PATIENCE) == 0
    assert stop.stderr
    stop.stderr.close()
    assert site.status("job")["state"] == "STOPPED"


@pytest.mark.slow
def test_commands_meanwhile_only_wait(site: Site) -> None:
    site.write('[program.job]\ncommand = "sleep 1000"\n')
    site.up()
    supervisor = site.supervisor_pid()
    for count in range(1, 4):
        os.kill(supervisor, signal.SIGUSR2)
        while site.client.supervisor()["upgrades"] < count:  # each of these is answered, by one version or the other
            assert site.status("job")["state"] == "RUNNING"


@pytest.mark.slow
def test_another_version_takes_over_and_the_first_one_again(site: Site) -> None:
    site.write('[program.job]\ncommand = "sleep 1000"\n')
    site.up()
    pid = site.pid("job")
    # A version with another format of the state: what we call "wishes" has another name there.
    other_version(
        site,
        ("supervise/handover.py", "FORMATS = (1,)", "FORMATS = (1, 2)"),
        (
            "supervise/handover.py",
            "    envelope.state = msgspec.Raw(msgspec.json.encode(handover))\n",
            (
                "    state = msgspec.to_builtins(handover)\n"
                "    if envelope.format == 2:\n"
                '        state["wanted"] = state.pop("wishes", {})\n'
                "    envelope.state = msgspec.Raw(msgspec.json.encode(state))\n"
            ),
        ),
        (
            "supervise/handover.py",
            "        return msgspec.json.decode(envelope.state, type=Handover)\n",
            (
                "        state = msgspec.json.decode(envelope.state)\n"
                "        if envelope.format == 2:\n"
                '            state["wishes"] = state.pop("wanted")\n'
                "        return msgspec.convert(state, Handover)\n"
            ),
        ),
        ("supervise/model.py", "    autostart: bool = True\n", "    autostart: bool = True\n    novelty: int = 5\n"),
    )
    site.act("stop", "job")
    site.act("start", "job")
    pid = site.pid("job")
    assert f"upgraded from {__version__} to {NEXT}" in upgrade(site).err
    assert site.client.supervisor()["version"] == NEXT
    assert site.pid("job") == pid
    upgrade(site)  # in format 2, from the other version to itself
    site.kill_supervisor()
    site.up()  # the other version adopts as well
    assert site.pid("job") == pid
    this_version(site)
    assert f"upgraded from {NEXT} to {__version__}" in upgrade(site).err
    assert site.client.supervisor()["version"] == __version__
    assert site.pid("job") == pid
    site.kill_supervisor()
    other_version(site)
    site.up()
    assert (site.pid("job"), site.client.supervisor()["version"]) == (pid, NEXT)


BROKEN = {
    "import": ("supervise/machine.py", "from __future__ import annotations", "import a_module_that_is_not_there"),
    "format": ("supervise/handover.py", "FORMATS = (1,)", "FORMATS = (7,)"),
    "state": ("supervise/handover.py", "    settings: Settings\n", "    settings: Settings\n    essential: int\n"),
    "syntax": ("control/beginning.py", "def main(path: str) -> int:", "def main(path: str) -> int"),
}
REASONS = {
    "import": "a_module_that_is_not_there",
    "format": "is of format 1; this version reads 7",
    "state": "essential",
    "syntax": "SyntaxError",
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_version_that_is_not_fit_is_refused(site: Site, fault: str) -> None:
    site.write('[program.job]\ncommand = "sleep 1000"\n')
    site.up()
    pid = site.pid("job")
    other_version(site, BROKEN[fault])
    root = site.environment["PYTHONPATH"]
    if fault in ("import", "syntax"):  # its command line may still work, and a signal needs none
        this_version(site)
        site.environment["PYTHONPATH"] = str(site.path)
        outcome = ask_for(site, root)
    else:
        outcome = site.genii("upgrade")
    assert outcome.status == 1
    assert "not upgraded" in outcome.err
    assert REASONS[fault] in outcome.err, outcome
    assert (site.client.supervisor()["version"], site.pid("job")) == (__version__, pid)
    this_version(site)
    upgrade(site)


def ask_for(site: Site, root: str) -> Outcome:
    """Ask for an upgrade to the version at ``root`` with our own client."""
    from genii.cli.launch import origin
    from genii.errors import NotAllowed

    place = {**origin(), "script": f"{root}/genii/control/bootstrap.py"}
    place["path"] = root + os.pathsep + place["path"]
    try:
        site.client.upgrade(place)
    except NotAllowed as error:
        return Outcome(1, "", str(error))
    return Outcome(0, "", "")


def test_a_version_that_fails_after_all_gives_way_to_the_one_before(site: Site) -> None:
    site.write('[program.job]\ncommand = "sleep 1000"\n')
    site.up()
    pid = site.pid("job")
    other_version(
        site,
        (
            "supervise/succession.py",
            "    services.spawner.pass_on(handover.files)\n",
            '    raise RuntimeError("that was nothing")\n',
        ),
    )
    outcome = site.genii("upgrade")
    assert outcome.status == 1
    assert f"genii {__version__} goes on: that was nothing" in outcome.err
    assert (site.client.supervisor()["version"], site.pid("job")) == (__version__, pid)
    assert set(site.processes()) == {pid, site.supervisor_pid(), site.keeper_pid()}
    this_version(site)
    upgrade(site)
    os.kill(pid, signal.SIGKILL)
    assert site.when("job", lambda status: status["pid"] not in (0, pid))["exit_status"] == -9


def test_a_broken_configuration_is_no_time_for_it(site: Site) -> None:
    site.write('[program.job]\ncommand = "sleep 1000"\n')
    site.up()
    (site.path / "genii.toml").write_text("[program.job\n")
    outcome = site.genii("upgrade", "-c", "genii.toml")
    assert outcome.status == 1
    assert "genii.toml:1:" in outcome.err
    assert site.status("job")["state"] == "RUNNING"


def test_unapplied_changes_of_the_file_stay_so(site: Site) -> None:
    site.write('[program.job]\ncommand = "sleep 1000"\n')
    site.up()
    pid = site.pid("job")
    site.write('[program.job]\ncommand = "sleep 2000"\n')
    upgrade(site)
    assert site.pid("job") == pid
    assert site.client.update()["changed"] == {"job": ["command"]}
    assert site.pid("job") != pid


def test_sockets_keep_listening(site: Site) -> None:
    server = (
        "import os, socket\n"
        "listener = socket.socket(fileno=3)\n"
        "while True:\n"
        "    listener.accept()[0].sendall(b'%d' % os.getpid())\n"
    )
    path = site.path / "web.sock"
    site.write(f'[program.web]\ncommand = "{site.script("web.py", server)}"\nsockets = {{ http = "unix://{path}" }}\n')
    site.up()
    inode = path.stat().st_ino
    upgrade(site)
    site.act("restart", "web")
    import socket

    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE)
        client.connect(str(path))
        assert int(client.recv(100)) == site.pid("web")
    assert path.stat().st_ino == inode


def test_limits_of_programs_are_those_of_the_beginning(site: Site) -> None:
    import resource

    site.write("[program.job]\ncommand = \"sh -c 'ulimit -n; exec sleep 1000'\"\n")
    soft = 512

    def lower() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))

    process = site.foreground(preparation=lower)
    read_until(process, r"job \| 512")
    upgrade(site)
    site.act("restart", "job")
    read_until(process, r"job \| 512")


def test_the_foreground_shows_lines_as_before(site: Site) -> None:
    site.write("[program.job]\ncommand = \"sh -c 'echo hello; exec sleep 1000'\"\n")
    process = site.foreground()
    read_until(process, r"job \| hello")
    upgrade(site)
    site.act("restart", "job")
    read_until(process, r"job \| hello")
    assert site.genii("down").status == 0
    assert process.wait(PATIENCE) == 0


def test_an_end_that_is_asked_for_meanwhile_is_not_forgotten(site: Site) -> None:
    site.write('[program.job]\ncommand = "sleep 1000"\n')
    site.up()
    supervisor = site.supervisor_pid()
    os.kill(supervisor, signal.SIGUSR2)
    os.kill(supervisor, signal.SIGTERM)
    wait_gone(supervisor)
    assert site.remaining() == []


@pytest.mark.slow
def test_it_can_be_killed_right_afterwards(site: Site) -> None:
    site.write(f'[program.count]\ncommand = "{site.script("count.py", COUNTER)}"\n')
    site.up()
    pid = site.pid("count")
    for _ in range(2):
        upgrade(site)
        site.kill_supervisor()
        site.up()
    assert site.pid("count") == pid
    kill(site.supervisor_pid(), signal.SIGTERM)
    check_counter(site, "count")


def test_a_wish_to_stop_holds(site: Site) -> None:
    site.write('[program.job]\ncommand = "sleep 1000"\nprocesses = 2\n')
    site.up()
    site.act("stop", "job:1")
    site.client.act("scale", ["job"], minimum=3, maximum=3)
    upgrade(site)
    assert [status["state"] for status in site.client.statuses()] == ["RUNNING", "STOPPED", "RUNNING"]
    site.kill_supervisor()
    site.up()
    assert [status["state"] for status in site.client.statuses()] == ["RUNNING", "STOPPED", "RUNNING"]


def test_events_are_counted_on(site: Site) -> None:
    site.write('[program.job]\ncommand = "sleep 1000"\n')
    site.up()
    before = site.client.recent_events()[-1]["serial"]
    upgrade(site)
    events = site.client.recent_events()
    assert [event["serial"] for event in events] == list(range(1, len(events) + 1))
    assert len(events) > before
    assert events[-1]["kind"] == "supervisor.upgraded"


@pytest.mark.slow
def test_a_record_of_another_format_starts_nothing_twice(site: Site) -> None:
    site.write('[program.job]\ncommand = "sleep 1000"\nprocesses = 3\n')
    site.up()
    before = site.client.statuses()
    site.kill_supervisor()
    other_version(site, ("supervise/record.py", "FORMAT = 1", "FORMAT = 2"))
    site.up()
    assert [status["pid"] for status in site.client.statuses()] == [status["pid"] for status in before]
    site.kill_supervisor()
    this_version(site)
    site.up()
    assert [status["pid"] for status in site.client.statuses()] == [status["pid"] for status in before]


@needs_namespace
def test_as_pid_one_of_a_container(site: Site) -> None:
    site.write("[program.job]\ncommand = \"sh -c 'echo up; while :; do sleep 0.02; done'\"\n")
    process = site.foreground(wrapper=UNSHARE)
    read_until(process, r"job \| up")
    pid = site.status("job")["pid"]
    upgrade(site)
    assert (site.supervisor_pid(), site.pid("job")) == (1, pid)
    assert not site.status("job")["adopted"]
    site.act("restart", "job")
    read_until(process, r"job \| up")
    os.kill(inner_pid_one(process), signal.SIGTERM)
    assert process.wait(PATIENCE) == 0


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["upgrade", "kill"])
def test_a_scheduled_run_happens_once(site: Site, fault: str) -> None:
    idle = '[program.idle]\ncommand = "sleep 1000"\n'
    site.write(idle)
    site.up()
    due = int(time.time()) + 4
    moment = time.gmtime(due)
    cron = f"{moment.tm_sec} {moment.tm_min} {moment.tm_hour} {moment.tm_mday} {moment.tm_mon} *"
    schedule = f'schedule = {{ cron = "{cron}", timezone = "UTC", missed = "run" }}'
    site.write(f'{idle}[program.report]\ncommand = "echo done"\n{schedule}\n')
    site.client.update()
    assert time.time() < due
    after = 0
    while after < 3:  # up to the moment, over it, and some more times
        if fault == "upgrade":
            upgrade(site)
        else:
            site.kill_supervisor()
            site.up()
        after += time.time() > due + 0.1
    site.line("report", "done")
    assert site.lines("report") == ["done"]


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of our own for localhost, with its key in the same file."""
    if not shutil.which("openssl"):
        pytest.skip("the command openssl is not here")
    path = tmp_path / "tls.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-keyout", path, "-out", tmp_path / "cert.pem", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    path.write_bytes(path.read_bytes() + (tmp_path / "cert.pem").read_bytes())
    return path


def test_the_api_over_tls_goes_on(site: Site, certificate: Path) -> None:
    import ssl

    site.write(
        '[program.job]\ncommand = "sleep 1000"\n'
        '[http]\nlisten = "127.0.0.1:0"\nusername = "me"\npassword = "secret"\n'
        f'tls = {{ certificate = "{certificate}", key = "{certificate}" }}\n'
    )
    site.up()
    pid = site.supervisor_pid()
    port = listening_port(pid)
    context = ssl.create_default_context(cafile=str(certificate))

    def ask() -> bytes:
        import socket
        from base64 import b64encode

        plain = socket.create_connection(("127.0.0.1", port), PATIENCE)
        with context.wrap_socket(plain, server_hostname="localhost") as connection:
            connection.sendall(
                b"GET /api/v1/supervisor HTTP/1.1\r\nHost: localhost:%d\r\nAuthorization: Basic %b\r\n"
                b"Connection: close\r\n\r\n" % (port, b64encode(b"me:secret"))
            )
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
        return answer

    assert ask().startswith(b"HTTP/1.1 200 ")
    upgrade(site)
    assert (site.supervisor_pid(), listening_port(pid)) == (pid, port)
    answer = ask()
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b'"upgrades":1' in answer
    assert not [child for child in children(pid) if is_zombie(child)]


def test_a_deployment_that_was_begun_from_the_page_is_reaped_when_it_ends(site: Site) -> None:
    (site.path / "source").mkdir()
    (site.path / "source" / "page").write_text("the page\n")
    os.mkfifo(site.path / "gate")
    site.write(
        '[program.job]\ncommand = "sleep 1000"\n'
        '[http]\nlisten = "127.0.0.1:0"\nusername = "me"\npassword = "secret"\n'
        '[fleet]\ntransport = "local"\n'
        f'[deploy.shop]\ndirectory = "source"\nto = "{site.path}/srv"\nhosts = ["here"]\n'
        f'check = "cat {site.path}/gate"\n'
    )
    site.up()
    pid = site.supervisor_pid()
    connection = http.client.HTTPConnection("127.0.0.1", listening_port(pid), timeout=PATIENCE)
    words = {"Authorization": f"Basic {base64.b64encode(b'me:secret').decode()}", "Content-Type": "application/json"}
    connection.request("POST", "/api/v1/deployments/deploy", b'{"name": "shop"}', words)
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    connection.close()
    with (site.path / "gate").open("w") as gate:  # returns when the check of the release reads
        [deploying] = [child for child in children(pid) if "deploy" in command_line(int(child))]
        upgrade(site)
        assert deploying in children(pid)
        gate.write("good\n")
    wait_gone(int(deploying))
    wait_until(lambda: not is_zombie(deploying), "its reaping")
    assert (site.path / "srv" / "current").exists()
    assert Record(record_path(str(site.state_dir))).deployments()[0].status == "good"


def children(pid: int) -> list[str]:
    """Return the children of a process, of all its threads."""
    return [child for path in Path(f"/proc/{pid}/task").glob("*/children") for child in path.read_text().split()]


def is_zombie(pid: str) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return False


def listening_port(pid: int) -> int:
    """Return the TCP port that a process listens at."""
    inodes = {name[8:-1] for name in open_files(pid) if name.startswith("socket:[")}
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        if words[3] == "0A" and words[9] in inodes:
            return int(words[1].rpartition(":")[2], 16)
    raise AssertionError("it listens nowhere")
