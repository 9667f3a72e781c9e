"""Other people's Gearman programs with our server, and our client and worker with Debian's gearmand."""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from tests.waiting import wait_until

from genii.errors import JobFailed
from genii.gearman.admin import Admin
from genii.gearman.calls import Report
from genii.gearman.client import Client
from genii.gearman.pool import read_servers
from genii.gearman.worker import RunningJob, Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Debian = Callable[[str, str], str]

pytestmark = [pytest.mark.compat, pytest.mark.timeout(120)]


@contextmanager
def running(*words: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)
        assert process.stdout is not None
        process.stdout.close()


def say(*words: str, text: str = "") -> str:
    done = subprocess.run(words, input=text.encode(), capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    return done.stdout.decode()


class Text(Worker):
    def reverse(self, data: bytes) -> bytes:
        return data[::-1]

    def fail(self, data: bytes) -> bytes:
        raise ValueError("broken")

    def tell(self, data: bytes, job: RunningJob) -> bytes:
        job.send(b"part,")
        job.progress(50, 100)
        return data


@contextmanager
def our_worker(port: int) -> Iterator[None]:
    worker = Text(f"127.0.0.1:{port}")
    thread = threading.Thread(target=worker.run, kwargs={"signals": False}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        worker.stop()
        thread.join(20)


def known(port: int, function: str) -> bool:
    with Admin(read_servers(f"127.0.0.1:{port}")[0]) as admin:
        return any(row.name == function and row.workers for row in admin.status())


def test_the_gearman_tool_as_client_and_worker(ours: int, debian: Debian, tmp_path: Path) -> None:
    tool = debian("gearman", "gearman-tools")
    at = ["-h", "127.0.0.1", "-p", str(ours)]
    with running(tool, "-w", *at, "-f", "count", "--", "wc", "-c"):
        wait_until(lambda: known(ours, "count"))
        assert say(tool, *at, "-f", "count", text="hello").strip() == "5"
        assert say(tool, *at, "-n", "-f", "count", text="a\nbbb\n").split() == ["2", "4"]
        say(tool, *at, "-b", "-f", "count", text="background")
        say(tool, *at, "-I", "-u", "unique", "-f", "count", text="high")
        with Client(f"127.0.0.1:{ours}", timeout=30) as client:
            assert client.call("count", b"123").strip() == b"3"


def test_the_gearman_tool_with_our_worker(ours: int, debian: Debian) -> None:
    tool = debian("gearman", "gearman-tools")
    at = ["-h", "127.0.0.1", "-p", str(ours)]
    with our_worker(ours):
        assert say(tool, *at, "-f", "Text::reverse", text="hello") == "olleh"
        assert say(tool, *at, "-f", "Text::tell", text="whole") == "part,whole50% Complete\n"
        failed = subprocess.run(
            [tool, *at, "-f", "Text::fail"], input=b"x", capture_output=True, timeout=60, check=False
        )
        assert failed.returncode != 0


def test_gearadmin(ours: int, debian: Debian) -> None:
    tool = debian("gearadmin", "gearman-tools")
    at = ["-h", "127.0.0.1", "-p", str(ours)]
    say(tool, *at, "--create-function", "newf")
    with Client(f"127.0.0.1:{ours}") as client:
        handle = client.submit("f", b"x", unique="key")
    status = say(tool, *at, "--status")
    assert "f\t1\t0\t0\n" in status
    assert "newf\t0\t0\t0\n" in status
    assert "f\t0\t1\t0\t0\n" in say(tool, *at, "--priority-status")
    assert f"{handle}\t0\t0\t1\n" in say(tool, *at, "--show-jobs")
    assert "key\n" in say(tool, *at, "--show-unique-jobs")
    assert int(say(tool, *at, "--getpid")) > 1
    assert say(tool, *at, "--server-version").strip()
    assert say(tool, *at, "--workers")
    say(tool, *at, "--cancel-job", handle)
    assert "f\t0\t0\t0\n" in say(tool, *at, "--status")
    say(tool, *at, "--drop-function", "newf")
    assert "newf" not in say(tool, *at, "--status")


PERL_WORKER = """
use Gearman::Worker; my $w = Gearman::Worker->new; $w->job_servers($ARGV[0]);
$w->register_function(reverse_it => sub { $_[0]->set_status(1, 2); scalar reverse $_[0]->arg });
$w->register_function(die_of_it => sub { die "no\n" });
$w->work while 1;
"""
PERL_CLIENT = """
use Gearman::Client; my $c = Gearman::Client->new; $c->job_servers($ARGV[0]);
my $r = $c->do_task("reverse_it", "hello"); print defined $r ? $$r : "undef", "\n";
my $set = $c->new_task_set; my @got;
$set->add_task("reverse_it", "$_$_-", { on_complete => sub { push @got, ${$_[0]} }, uniq => "u$_" }) for 1 .. 5;
$set->wait; print join(",", sort @got), "\n";
my $f = $c->do_task("die_of_it", "x"); print defined $f ? "result" : "undef", "\n";
print $c->dispatch_background("reverse_it", "later") ? "handle\n" : "none\n";
"""


@pytest.fixture
def perl(debian: Debian, install: Callable[..., None]) -> str:
    program = debian("perl", "perl")
    words = [program, "-MGearman::Client", "-e1"]
    if subprocess.run(words, capture_output=True, check=False).returncode != 0:
        install("libgearman-client-perl")
        if subprocess.run(words, capture_output=True, check=False).returncode != 0:
            pytest.skip("Gearman::Client is not here; install the Debian package libgearman-client-perl")
    return program


def test_perl_client_and_worker(ours: int, perl: str) -> None:
    server = f"127.0.0.1:{ours}"
    with running(perl, "-e", PERL_WORKER, server):
        wait_until(lambda: known(ours, "reverse_it"))
        lines = say(perl, "-e", PERL_CLIENT, server).split("\n")
        assert lines[:4] == ["olleh", "-11,-22,-33,-44,-55", "undef", "handle"]
        with Client(server, timeout=30) as client:
            assert client.call("reverse_it", b"abc") == b"cba"
            with pytest.raises(JobFailed):
                client.call("die_of_it", b"x")


PHP_WORKER = """
$w = new GearmanWorker(); $w->addServer("127.0.0.1", $argv[1]);
$w->addFunction("php_reverse", function ($job) { $job->sendStatus(1, 4); return strrev($job->workload()); });
$w->addFunction("php_fail", function ($job) { $job->sendFail(); });
while ($w->work()) {}
"""
PHP_CLIENT = """
$c = new GearmanClient(); $c->addServer("127.0.0.1", $argv[1]);
echo $c->doNormal("php_reverse", "hello"), "\n";
echo $c->doHigh("php_reverse", "abc", "unique1"), "\n";
$handle = $c->doBackground("php_reverse", "later"); echo strlen($handle) > 0 ? "handle" : "none", "\n";
$got = []; $c->setCompleteCallback(function ($task) use (&$got) { $got[] = $task->data(); });
for ($i = 0; $i < 5; $i++) $c->addTask("php_reverse", "$i-x");
$c->runTasks(); sort($got); echo implode(",", $got), "\n";
@$c->doNormal("php_fail", "x"); echo $c->returnCode() == GEARMAN_WORK_FAIL ? "failed" : "not", "\n";
"""


@pytest.fixture
def php(debian: Debian, install: Callable[..., None]) -> str:
    program = debian("php", "php-cli")
    words = [program, "-r", "exit(extension_loaded('gearman') ? 0 : 1);"]
    if subprocess.run(words, capture_output=True, check=False).returncode != 0:
        install("php-gearman")
        if subprocess.run(words, capture_output=True, check=False).returncode != 0:
            pytest.skip("PHP's gearman extension is not here; install the Debian package php-gearman")
    return program


def test_php_client_and_worker(ours: int, php: str) -> None:
    with running(php, "-r", PHP_WORKER, str(ours)):
        wait_until(lambda: known(ours, "php_reverse"))
        lines = say(php, "-r", PHP_CLIENT, str(ours)).split("\n")
        assert lines[:5] == ["olleh", "cba", "handle", "x-0,x-1,x-2,x-3,x-4", "failed"]
        with Client(f"127.0.0.1:{ours}", timeout=30) as client:
            assert client.call("php_reverse", b"abc") == b"cba"


PYTHON_WORKER = """
import sys, python3_gearman as gearman
worker = gearman.GearmanWorker([sys.argv[1]])
worker.register_task("py_reverse", lambda worker, job: job.data[::-1])
worker.work()
"""
PYTHON_CLIENT = """
import sys, python3_gearman as gearman
client = gearman.GearmanClient([sys.argv[1]])
print(client.submit_job("py_reverse", "hello").result)
jobs = [dict(task="py_reverse", data="%d-" % n) for n in range(5)]
print(",".join(sorted(request.result for request in client.submit_multiple_jobs(jobs))))
request = client.submit_job("py_reverse", "later", background=True, wait_until_complete=False)
print(bool(request.job.handle))
admin = gearman.GearmanAdminClient([sys.argv[1]])
print(admin.get_status()[0]["task"], admin.ping_server() > 0)
"""


@pytest.fixture
def python_gearman(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Install a Gearman package of PyPI where nothing else sees it; return the folder."""
    folder = tmp_path_factory.mktemp("python-gearman")
    words = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--target", str(folder)]
    done = subprocess.run([*words, "python3_gearman"], capture_output=True, timeout=120, check=False)
    if done.returncode != 0:
        pytest.skip(f"python3_gearman can't be installed: {done.stderr.decode()[-300:]}")
    return str(folder)


def test_python3_gearman_client_and_worker(ours: int, python_gearman: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", python_gearman)
    server = f"127.0.0.1:{ours}"
    with running(sys.executable, "-W", "ignore", "-c", PYTHON_WORKER, server):
        wait_until(lambda: known(ours, "py_reverse"))
        lines = say(sys.executable, "-W", "ignore", "-c", PYTHON_CLIENT, server).split("\n")
        assert lines[:4] == ["olleh", "-0,-1,-2,-3,-4", "True", "py_reverse True"]


def test_our_client_and_worker_with_gearmand(gearmand: Callable[..., int]) -> None:
    port = gearmand()
    with our_worker(port), Client(f"127.0.0.1:{port}", timeout=30) as client:
        wait_until(lambda: known(port, "Text::reverse"))
        assert client.call("Text::reverse", b"hello") == b"olleh"
        reports: list[Report] = []
        assert client.call("Text::tell", b"whole", on_report=reports.append) == b"whole"
        assert reports == [Report("data", b"part,"), Report("status", (50, 100))]
        with pytest.raises(JobFailed, match="ValueError: broken"):
            client.call("Text::fail", b"x")
        assert list(client.map("Text::reverse", [b"%03d" % n for n in range(200)]))[123] == b"321"
        handle = client.submit("Text::reverse", b"x", priority="high", unique="key")
        wait_until(lambda: not client.status(handle).known)
        with Admin(read_servers(f"127.0.0.1:{port}")[0]) as admin:
            assert any("Text::reverse" in row.functions for row in admin.workers())
            assert admin.jobs() == []


def test_our_client_without_exceptions_understands_gearmands_failure(gearmand: Callable[..., int]) -> None:
    port = gearmand()
    failed = pytest.raises(JobFailed, match=r"the job H:\S+:\d+ failed$")
    with our_worker(port), Client(f"127.0.0.1:{port}", timeout=30, exceptions=False) as client, failed:
        client.call("Text::fail", b"x")


def test_a_farm_of_gearmand_and_our_server(gearmand: Callable[..., int], ours: int) -> None:
    port = gearmand()
    servers = [f"127.0.0.1:{port}", f"127.0.0.1:{ours}"]
    worker = Text(servers)
    thread = threading.Thread(target=worker.run, kwargs={"signals": False}, daemon=True)
    thread.start()
    try:
        for server in servers * 2:
            with Client(server, timeout=30) as client:
                assert client.call("Text::reverse", b"ab") == b"ba"
    finally:
        worker.stop()
        thread.join(20)
