"""`genii up` as people and containers use it: once, twice, fifty times; signals; its end; PID 1."""

from __future__ import annotations

import compileall
import os
import shutil
import signal
import subprocess
import sys
import time
from array import array
from typing import TYPE_CHECKING

import pytest
from tests.real.harness import PATIENCE, Outcome, read_until

import genii

if TYPE_CHECKING:
    from tests.real.harness import Site

STUBBORN = "sh -c 'trap : TERM; echo ready; while :; do sleep 1; done'"


def test_up_twice_is_harmless(site: Site) -> None:
    site.write('[program.job]\ncommand = "sleep 1000"\n')
    site.up()
    pids = site.supervisor_pid(), site.pid("job")
    outcome = site.up()
    assert "already running" in outcome.err
    assert (site.supervisor_pid(), site.pid("job")) == pids


@pytest.mark.slow
def test_fifty_at_once_give_one_supervisor(site: Site) -> None:
    site.write('[program.job]\ncommand = "sleep 1000"\n')
    starts = [
        subprocess.Popen(
            site.command("up", "-d"), cwd=site.path, env=site.environment, stderr=subprocess.PIPE, text=True
        )
        for _ in range(50)
    ]
    outcomes = [Outcome(start.wait(PATIENCE), "", start.communicate()[1]) for start in starts]
    assert [outcome for outcome in outcomes if outcome.status] == []
    assert len([outcome for outcome in outcomes if "genii: up" in outcome.err]) == 1
    assert sorted(site.processes()) == sorted([site.supervisor_pid(), site.keeper_pid(), site.pid("job")])


def test_down_leaves_nothing_behind(site: Site) -> None:
    site.write(
        '[program.job]\ncommand = "sleep 1000"\n[program.other]\ncommand = "sleep 1000"\nlimits = { core = 0 }\n'
    )
    site.up()
    assert site.genii("down").status == 0
    assert site.processes() == []
    assert sorted(path.name for path in site.state_dir.iterdir()) == ["audit", "log"]
    assert site.genii("down").status == 0
    assert site.genii("status").status == 3


def test_shows_lines_with_the_name_of_their_program(site: Site) -> None:
    site.write(
        "[program.web]\ncommand = \"sh -c 'echo hello; exec sleep 1000'\"\n"
        "[program.worker]\ncommand = \"sh -c 'printf unfinished; exec sleep 1000'\"\n"
    )
    process = site.foreground()
    read_until(process, r"web +\| hello\n")
    process.send_signal(signal.SIGINT)
    assert process.stdout
    assert "worker | unfinished\n" in process.stdout.read()
    assert process.wait(PATIENCE) == 0
    assert site.remaining() == []


def test_the_second_interrupt_ends_everything_at_once(site: Site) -> None:
    site.write(
        f'[program.base]\ncommand = "{STUBBORN}"\n[program.web]\ncommand = "{STUBBORN}"\ndepends_on = ["base"]\n',
        defaults='ready = { line = "ready" }\nstop = { timeout = "1h" }\nstartsecs = "0s"',
    )
    process = site.foreground()
    read_until(process, "web: STARTING -> RUNNING")
    process.send_signal(signal.SIGINT)
    read_until(process, "web: RUNNING -> STOPPING")
    process.send_signal(signal.SIGINT)
    process.wait(PATIENCE)
    assert process.returncode == 0
    assert site.remaining() == []


@pytest.mark.parametrize(("code", "status"), [("exit 7", 7), ("kill -KILL $$$$", 137)])
def test_ends_with_the_code_of_the_program_that_matters(site: Site, code: str, status: int) -> None:
    os.mkfifo(site.path / "go")
    site.write(
        f'[program.main]\ncommand = "sh -c \'echo up; read x <go; {code}\'"\nrestart = "never"\n'
        '[program.other]\ncommand = "sleep 1000"\n'
    )
    process = site.foreground("--exit-on-fatal", "main")
    read_until(process, r"main +\| up")
    (site.path / "go").write_text("go\n")
    assert process.wait(PATIENCE) == status
    assert site.remaining() == []


def test_ends_with_one_when_what_matters_can_not_start(site: Site) -> None:
    site.write('[program.main]\ncommand = "no-such-program"\n[program.other]\ncommand = "sleep 1000"\n')
    process = site.foreground("--exit-on-fatal", "main")
    assert process.wait(PATIENCE) == 1
    assert site.remaining() == []


def test_starts_only_what_is_named_and_what_that_needs(site: Site) -> None:
    site.write(
        '[program.base]\ncommand = "sleep 1000"\n[program.web]\ncommand = "sleep 1000"\ndepends_on = ["base"]\n'
        '[program.other]\ncommand = "sleep 1000"\n'
    )
    site.up("web")
    assert {status["name"]: status["state"] for status in site.client.statuses()} == {
        "base": "RUNNING", "web": "RUNNING", "other": "STOPPED",
    }  # fmt: skip


def test_a_name_that_nobody_has_is_an_error_and_starts_nothing(site: Site) -> None:
    site.write('[program.web]\ncommand = "sleep 1000"\n')
    outcome = site.genii("up", "-d", "wbe")
    assert outcome.status == 4
    assert "did you mean 'web'" in outcome.err
    assert site.remaining() == []


@pytest.mark.parametrize("closed", [(0,), (0, 1, 2)], ids=["stdin", "all"])
def test_lives_without_standard_descriptors(site: Site, closed: tuple[int, ...]) -> None:
    site.write(
        "[program.job]\ncommand = \"sh -c 'echo hello; exec sleep 1000'\"\n"
        "[program.other]\ncommand = \"sh -c 'echo hello; exec sleep 1000'\"\nlimits = { core = 0 }\n"
    )
    closing = " ".join(("<&-", ">&-", "2>&-")[number] for number in closed)
    words = " ".join(site.command("up", "-d"))
    subprocess.run(["sh", "-c", f"exec {words} {closing}"], cwd=site.path, env=site.environment, timeout=PATIENCE)
    site.line("job", "hello")
    site.line("other", "hello")
    assert site.status("job")["state"] == "RUNNING"


def test_lives_without_standard_descriptors_in_the_foreground(site: Site) -> None:
    site.write("[program.job]\ncommand = \"sh -c 'echo hello; exec sleep 1000'\"\n")
    words = " ".join(site.command("up"))
    process = subprocess.Popen(["sh", "-c", f"exec {words} <&- >&- 2>&-"], cwd=site.path, env=site.environment)
    try:
        while site.genii("status").status == 3:
            assert process.poll() is None
        site.line("job", "hello")
        assert site.genii("down").status == 0
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()


def test_hangup_reads_the_configuration_again(site: Site) -> None:
    site.write('[program.job]\ncommand = "sleep 1000"\n')
    site.up()
    site.write('[program.job]\ncommand = "sleep 1000"\n[program.more]\ncommand = "sleep 1000"\n')
    os.kill(site.supervisor_pid(), signal.SIGHUP)
    events = site.client.events(heartbeat=1.0)
    while "more" not in {status["name"] for status in site.client.statuses()}:
        next(events)
    events.close()  # type: ignore[attr-defined]
    site.state_of("more", "RUNNING")


# As PID 1.

UNSHARE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
needs_namespace = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("unshare"), reason="only root may make a pid namespace"
)


def inner_pid_one(process: subprocess.Popen[str]) -> int:
    """Return the pid (seen from here) of what is PID 1 in the namespace."""
    with open(f"/proc/{process.pid}/task/{process.pid}/children") as file:
        return int(file.read().split()[0])


@needs_namespace
def test_as_pid_one_it_reaps_what_is_left_to_it(site: Site) -> None:
    text = (
        "import os, signal, time\n"
        "pids = []\n"
        "for _ in range(20):\n"
        "    if not os.fork():\n"
        "        if not os.fork():\n"
        "            os.setsid(); time.sleep(0.05); os._exit(0)\n"
        "        os._exit(0)\n"
        "    os.wait()\n"
        "print('forked', flush=True)\n"
        "while True:\n"
        "    states = []\n"
        "    for name in os.listdir('/proc'):\n"
        "        if name.isdigit():\n"
        "            try: states.append(open(f'/proc/{name}/stat').read().rpartition(')')[2].split()[:2])\n"
        "            except OSError: pass\n"
        "    if len(states) == 3: break\n"
        "print('reaped', [state for state, _ in states].count('Z'), flush=True)\n"
        "signal.pause()\n"
    )
    site.write(f'[program.job]\ncommand = "{site.script("orphans.py", text)}"\n')
    process = site.foreground(wrapper=UNSHARE)
    read_until(process, r"job +\| reaped 0")
    os.kill(inner_pid_one(process), signal.SIGTERM)
    assert process.wait(PATIENCE) == 0


@needs_namespace
def test_as_pid_one_it_can_be_ended_from_outside(site: Site) -> None:
    site.write("[program.job]\ncommand = \"sh -c 'echo up; exec sleep 1000'\"\n")
    process = site.foreground(wrapper=UNSHARE)
    read_until(process, r"job +\| up")
    assert site.supervisor_pid() == 1
    outcome = site.genii("down")
    assert (outcome.status, outcome.err) == (0, "genii: down, 1 process\n")
    assert process.wait(PATIENCE) == 0


@needs_namespace
def test_as_pid_one_it_forwards_signals_and_passes_the_code_on(site: Site) -> None:
    site.write(
        '[program.job]\ncommand = "sh -c \'trap \\"echo got HUP\\" HUP; trap \\"exit 9\\" USR1; echo up; '
        'while :; do sleep 0.02; done\'"\nrestart = "never"\n'
    )
    process = site.foreground("--exit-on-fatal", "job", wrapper=UNSHARE)
    read_until(process, r"job +\| up")
    one = inner_pid_one(process)
    os.kill(one, signal.SIGHUP)
    read_until(process, r"job +\| got HUP")
    os.kill(one, signal.SIGUSR1)
    assert process.wait(PATIENCE) == 9


# Cost.

MIB = 1 << 20


def resident(*pids: int) -> int:
    """Return the bytes that processes have in memory, each page once (proc(5), pagemap)."""
    size = os.sysconf("SC_PAGE_SIZE")
    frames: set[int] = set()
    for pid in pids:
        with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/pagemap", "rb", buffering=0) as pagemap:
            for line in maps:
                first, last = (int(word, 16) // size for word in line.split()[0].split("-"))
                if last < 1 << 48:  # [vsyscall] has no entries
                    entries = array("Q", os.pread(pagemap.fileno(), 8 * (last - first), 8 * first))
                    frames.update(entry & (1 << 55) - 1 for entry in entries if entry >> 63)
    return size * len(frames)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is told which pages processes share")
@pytest.mark.parametrize(("count", "most"), [(1, 25), (100, 25), pytest.param(1000, 25.5, marks=pytest.mark.slow)])
def test_supervisor_and_keeper_stay_small(site: Site, count: int, most: float) -> None:
    # The goal is 25 MiB. With 1,000 they have 24.8 here, where the kernel decides about tenths: how much of the
    # interpreter's own code it maps at once.
    # Modules that have to be compiled first leave a MiB behind.
    assert compileall.compile_dir(os.path.dirname(genii.__file__), quiet=2)
    site.write("".join(f'[program.job{number}]\ncommand = "sleep 1000"\n' for number in range(count)))
    site.up()
    pids = [site.supervisor_pid(), site.keeper_pid()]
    end = time.monotonic() + 20  # what only the start needed is given back some seconds later, by no event
    while resident(*pids) > most * MIB:
        assert time.monotonic() < end, [resident(*pids) / MIB, *[resident(pid) / MIB for pid in pids]]
        time.sleep(0.25)


def test_supervisor_loads_no_heavy_library(site: Site) -> None:
    site.write('[program.job]\ncommand = "sleep 1000"\nsockets = { web = "tcp://127.0.0.1:0" }\n')
    site.up()
    for pid in (site.supervisor_pid(), site.keeper_pid()):
        with open(f"/proc/{pid}/maps") as file:
            maps = file.read()
        for name in ("libssl", "libcrypto", "_hashlib", "_ssl", "pyexpat", "_sqlite3"):
            assert name not in maps, f"{name} in process {pid}"


BANNED = (
    "ssl", "_ssl", "hashlib", "hmac", "secrets", "http", "urllib.request", "email", "xmlrpc", "importlib.metadata",
    "importlib.resources", "tempfile", "argparse", "json", "tomllib", "multiprocessing", "unittest",
    "genii.config", "genii.cli",
)  # fmt: skip


def test_supervisor_imports_nothing_that_it_can_do_without() -> None:
    text = (
        "import os, sys\n"
        "sys.path[:0] = sys.argv[1].split(os.pathsep)\n"
        "sys.modules['typing_extensions'] = None\n"
        "from genii.control.entry import _import_asyncio\n"
        "_import_asyncio()\n"
        "import genii.control.daemon\n"
        "print('\\n'.join(name for name, module in sys.modules.items() if module is not None))\n"
    )
    path = os.pathsep.join(entry for entry in sys.path if entry)
    done = subprocess.run([sys.executable, "-I", "-S", "-c", text, path], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "genii.supervise.supervisor" in loaded
    assert loaded.isdisjoint(BANNED), sorted(loaded & set(BANNED))
