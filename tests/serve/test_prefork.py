"""Prefork servers as their clients and operators see them."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import signal
import socket
import threading
import time
from typing import TYPE_CHECKING, Self

import pytest
from tests.waiting import wait_until

from genii.errors import AlreadyRunning, NotRunning, UsageError
from genii.serve.prefork import prefork, stop_server
from genii.serve.scoreboard import Scoreboard
from genii.system.notify import NotifySocket
from genii.system.pidfile import PidFile

from .conftest import PATIENCE, Server, alive

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Start = Callable[..., Server]


class Load:
    """Ask again and again from some threads, and keep what went wrong."""

    def __init__(self, server: Server, threads: int = 4) -> None:
        self.server = server
        self.asked = 0
        self.failed: list[str] = []
        self.pids: set[int] = set()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(threads)]

    def _ask(self) -> None:
        while not self._stop.is_set():
            try:
                pid, answer = self.server.ask(b"load")
            except OSError as error:
                self.failed.append(repr(error))
                continue
            if answer != b"load":
                self.failed.append(f"answered {answer!r}")
            self.pids.add(pid)
            self.asked += 1

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for_more(self, count: int) -> None:
        wanted = self.asked + count
        wait_until(lambda: self.asked >= wanted, f"{count} more answers")


def test_serves_from_workers_and_ends_in_order(start: Start) -> None:
    server = start("", "workers=3")
    wait_until(lambda: len(server.workers) == 3, "three workers")
    assert server.ask(b"x" * 1000)[0] in server.workers
    assert server.end() == 0
    assert not os.path.exists(server.path)


@pytest.mark.parametrize("name", ["TERM", "INT", "QUIT"])
def test_finishes_the_request_at_work_before_it_ends(start: Start, name: str) -> None:
    server = start("", "workers=2")
    with server.connect() as connection:
        server.wait_until_busy()
        server.signal(name)
        server.wait_for("ending")
        connection.sendall(b"late")
        assert connection.recv(100).endswith(b"late")
    assert server.process.wait(PATIENCE) == 0


def test_replaces_workers_after_their_requests_without_a_lost_connection(start: Start) -> None:
    server = start("", "workers=3, max_requests=10, jitter=0")
    with Load(server) as load:
        load.wait_for_more(300)
    assert not load.failed
    assert len(load.pids) >= 300 // 10
    assert "ended with" not in server.log


def test_reload_replaces_all_workers_without_a_lost_connection(start: Start) -> None:
    server = start("", "workers=3, max_requests=50")
    with Load(server) as load:
        for number in range(5):
            before = set(server.workers)
            server.signal("HUP")
            server.wait_for("generation", number + 1)
            server.wait_until_replaced(before)
            load.wait_for_more(20)
    assert not load.failed
    assert "ended with" not in server.log


def test_reload_waits_for_nobody_but_lets_everybody_finish(start: Start) -> None:
    server = start("", "workers=1")
    with server.connect() as connection:
        server.wait_until_busy()
        (old,) = server.workers
        server.signal("HUP")
        assert server.ask()[0] != old
        connection.sendall(b"slow")
        assert connection.recv(100) == b"%d slow" % old
    wait_until(lambda: not alive(old), "the end of the old worker")


def test_rolling_reload_goes_one_by_one(start: Start) -> None:
    code = """
    def forked(manager):
        with open("count", "a") as file:
            file.write(f"{sum(row.state == 'starting' for row in manager.rows())}\\n")
    """
    server = start(code, "workers=4, rolling=True, before_fork=forked")
    wait_until(lambda: server.states().count("idle") == 4, "four workers")
    before = set(server.workers)
    server.signal("HUP")
    server.wait_until_replaced(before, 4)
    counts = (server.folder / "count").read_text().split()
    assert counts[4:] == ["1"] * 4


def test_a_reload_that_fails_changes_nothing(start: Start) -> None:
    code = """
    def broken(manager):
        raise ValueError("no such colour")
    """
    server = start(code, "workers=2, on_reload=broken")
    wait_until(lambda: len(server.workers) == 2, "two workers")
    before = server.workers
    server.signal("HUP")
    server.wait_for("no such colour")
    assert server.serves()
    assert server.workers == before


def test_a_reload_may_change_handler_and_numbers(start: Start) -> None:
    code = """
    def other(connection, peer):
        connection.recv(2000)
        connection.sendall(b"%d other" % os.getpid())
    def change(manager):
        manager.handler = other
        manager.scale(1)
    """
    server = start(code, "workers=3, on_reload=change")
    server.signal("HUP")
    wait_until(lambda: server.ask()[1] == b"other" and len(server.workers) == 1, "the other handler")


def test_a_killed_worker_is_replaced_and_only_its_request_is_lost(start: Start) -> None:
    server = start("", "workers=3")
    with Load(server) as load:
        for _ in range(5):
            victim = server.workers[0]
            os.kill(victim, signal.SIGKILL)
            server.wait_until_replaced({victim}, 3)
            load.wait_for_more(10)
    assert len(load.failed) <= 5


def test_workers_end_when_the_manager_is_killed(start: Start) -> None:
    server = start("", "workers=3")
    wait_until(lambda: len(server.workers) == 3, "three workers")
    workers = server.workers
    server.signal("KILL")
    server.process.wait()
    wait_until(lambda: not any(alive(pid) for pid in workers), "the end of the workers")


def test_a_new_version_takes_over_without_a_lost_connection(start: Start) -> None:
    server = start("", "workers=2")
    with Load(server) as load:
        load.wait_for_more(20)
        before = set(server.workers)
        server.write("def hello(manager): print('the new version', flush=True)", "workers=3, on_start=hello")
        server.signal("USR2")
        server.wait_for("the new version")
        wait_until(lambda: not before & set(server.workers) and len(server.workers) == 3, "new workers")
        load.wait_for_more(20)
    assert not load.failed
    assert server.end() == 0


def test_a_new_version_that_does_not_come_up_changes_nothing(start: Start) -> None:
    server = start("", "workers=2")
    wait_until(lambda: len(server.workers) == 2, "two workers")
    before = server.workers
    server.write("import no_such_module", "workers=3")
    server.signal("USR2")
    server.wait_for("does not come up (exit status 1)")
    assert server.serves()
    assert server.workers == before


def test_ttin_and_ttou_change_the_number(start: Start) -> None:
    server = start("", "workers=1")
    server.signal("TTIN")
    wait_until(lambda: len(server.workers) == 2, "one more")
    server.signal("TTOU")
    wait_until(lambda: len(server.workers) == 1, "one less")
    server.signal("TTOU")
    assert server.serves()
    assert len(server.workers) == 1


def test_grows_while_all_are_busy_and_shrinks_when_idle(start: Start) -> None:
    server = start("", "workers=(1, 3), idle_grace=0.2")
    held = []
    for number in range(3):
        connection = server.connect()
        held.append(connection)
        server.wait_until_replaced(set(), min(3, number + 2))
    board = Scoreboard.open(str(server.folder / "board"))
    assert board.manager[0] == server.pid
    wait_until(lambda: [row.state for row in board.rows(time.monotonic_ns())] == ["busy"] * 3, "three busy")
    assert all(row.request_age > 0 for row in board.rows(time.monotonic_ns()))
    for connection in held:
        connection.sendall(b"go")
        assert connection.recv(100)
        connection.close()
    wait_until(lambda: len(server.workers) == 1, "one worker again")
    assert server.serves()
    board.close()


def test_a_stuck_request_costs_its_worker_only(start: Start) -> None:
    code = """
    def handle(connection, peer):
        text = connection.recv(2000)
        if text == b"hang":
            time.sleep(1000)
        connection.sendall(b"%d %s" % (os.getpid(), text))
    """
    server = start(code, "workers=2, request_timeout=0.3")
    assert server.ask(b"hang") == (0, b"")
    server.wait_for("takes longer than 0.3 s")
    wait_until(lambda: len(server.workers) == 2, "a successor")
    assert server.serves()


def test_a_silent_client_is_left_and_the_worker_goes_on(start: Start) -> None:
    server = start("", "workers=1, receive_timeout=0.2")
    (worker,) = server.workers
    with server.connect() as silent:
        assert silent.recv(100) == b""
    assert server.ask()[0] == worker


@pytest.mark.parametrize(
    ("fault", "replaced"),
    [
        ("raise ValueError('oh')", False),
        ("connection.close(); connection.send(b'x')", False),
        ("sys.exit(3)", True),
        ("os._exit(4)", True),
        ("os.kill(os.getpid(), 11)", True),
        ("b'\\xff'.decode()", False),
        ("os.fork(); connection.sendall(b'0 ')", False),
        ("raise MemoryError", True),
        ("raise KeyboardInterrupt", True),
    ],
)
def test_survives_what_handlers_do(start: Start, fault: str, replaced: bool) -> None:
    code = f"""
    def handle(connection, peer):
        text = connection.recv(2000)
        if text == b"harm":
            {fault}
        else:
            connection.sendall(b"%d %s" % (os.getpid(), text))
    """
    server = start(code, "workers=1")
    (worker,) = server.workers
    assert server.ask(b"harm")[0] == 0
    if replaced:
        wait_until(lambda: server.workers and worker not in server.workers, "a successor")
    wait_until(server.serves, "an answer")
    assert (worker in server.workers) is not replaced
    assert server.end() == 0


def test_a_worker_that_leaks_descriptors_is_replaced_and_no_client_is_lost(start: Start) -> None:
    code = """
    import resource
    echo, kept = handle, []
    def handle(connection, peer):
        echo(connection, peer)
        connection.shutdown(2)
        kept.append(connection.detach())
    resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
    """
    server = start(code, "workers=1, backoff_cap=0.01")
    pids = {server.ask(b"more")[0] for _ in range(60)}
    assert len(pids) > 1
    assert "has used up its descriptors" in server.log


GROWING = """
kept = []
def handle(connection, peer):
    wanted = connection.recv(100)
    if wanted.isdigit():
        kept.append(b"x" * (int(wanted) << 20))
    connection.sendall(b"%d %s" % (os.getpid(), wanted))
"""


def test_a_worker_that_has_grown_is_replaced_after_its_request(start: Start) -> None:
    server = start(GROWING, "workers=1, max_memory='64MB'")
    before = server.ask(b"1")[0]
    assert server.ask(b"1")[0] == before
    assert server.ask(b"70") == (before, b"70")
    wait_until(lambda: server.workers not in ([], [before]), "another worker")
    assert server.ask(b"1")[0] != before


def test_a_request_that_wants_all_memory_costs_its_worker_only(start: Start) -> None:
    server = start(GROWING, "workers=2, max_memory='64MB'")
    with server.connect() as connection:
        connection.sendall(b"2000")
        assert connection.recv(100) == b""
    server.wait_for("MemoryError")
    assert server.ask(b"1")[1] == b"1"


def test_a_client_that_sends_byte_by_byte_loses_its_request_and_no_other(start: Start) -> None:
    code = """
    def handle(connection, peer):
        text = b""
        while not text.endswith(b"o"):
            text += connection.recv(100)
        connection.sendall(b"%d %s" % (os.getpid(), text))
    """
    server = start(code, "workers=2, request_timeout=2")
    with server.connect() as slow:
        slow.settimeout(0.05)
        answers = 0
        ended = False
        deadline = time.monotonic() + PATIENCE
        while not ended and time.monotonic() < deadline:
            try:
                slow.send(b"x")
                ended = slow.recv(1) == b""
            except TimeoutError:
                answers += server.ask()[1] == b"hello"
            except OSError:
                ended = True
    assert ended
    assert answers
    server.wait_for("takes longer than 2 s")


@pytest.mark.slow
def test_survives_ten_thousand_connections_at_once_with_a_short_queue(start: Start, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 11_000:
        pytest.skip(f"no more than {hard} descriptors are allowed here")
    other = tmp_path / "0" / "s.sock"
    server = start("", f"workers=2, backlog=5, listen=['unix:{other}', '127.0.0.1:0']")
    port = int(re.search(r"127\.0\.0\.1:(\d+)", server.log)[1])  # type: ignore[index]
    before = set(wait_until(lambda: len(server.workers) == 2 and server.workers, "two workers"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (11_000, hard))
    clients = []
    try:
        for _ in range(10_000):
            client = socket.socket()
            clients.append(client)
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", port))
    finally:
        for client in clients:
            client.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    wait_until(server.serves, "an answer after the storm")
    assert set(server.workers) == before


def test_a_broken_start_is_no_fork_bomb_and_heals(start: Start) -> None:
    code = """
    def broken(manager):
        with open("starts", "a") as file:
            file.write("x")
        if not os.path.exists("mended"):
            raise RuntimeError("not today")
    """
    server = start(code, "workers=2, after_fork=broken, backoff_cap=0.5", wait=False)
    server.wait_for("not today", 4)
    wait_until(lambda: len(server.log.split("ended with")) > 6, "more attempts")
    assert (server.folder / "starts").stat().st_size < 40
    (server.folder / "mended").touch()
    wait_until(server.serves, "an answer")


def test_goes_on_when_fork_fails(start: Start) -> None:
    code = """
    real, fails = os.fork, [3]
    def fork():
        if fails[0]:
            fails[0] -= 1
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return real()
    os.fork = fork
    """
    server = start(code, "workers=1")
    assert server.log.count("can't fork a worker") == 3


def test_hooks_are_called_where_they_belong(start: Start) -> None:
    code = """
    def say(*words):
        print("said", *words, flush=True)
    def reaped(manager, pid, status):
        say("reaped", pid, status)
    """
    arguments = """workers=1, before_fork=lambda m: say("before", os.getpid()),
        after_fork=lambda m: say("after", os.getpid()), before_exit=lambda m: say("exit", os.getpid()),
        on_child_reap=reaped"""
    server = start(code, arguments)
    (worker,) = server.workers
    server.end()
    said = [line for line in server.log.splitlines() if line.startswith("said")]
    assert said == [
        f"said before {server.pid}", f"said after {worker}", f"said exit {worker}", f"said reaped {worker} 0",
    ]  # fmt: skip


def test_other_signals_go_to_the_workers_as_mapped(start: Start) -> None:
    code = """
    import signal
    def forked(manager):
        signal.signal(signal.SIGUSR1, lambda *_: print("greetings", flush=True))
    """
    server = start(code, "workers=2, after_fork=forked, trap_signals={'WINCH': 'USR1'}")
    wait_until(lambda: len(server.workers) == 2, "two workers")
    server.signal("WINCH")
    # A worker that is right before accept(2) handles it with the next connection.
    wait_until(lambda: server.serves() and server.log.count("greetings") == 2, "greetings of both")
    server.signal("PIPE")
    server.signal("ALRM")
    assert server.serves()


def test_several_listeners_are_served_alike(start: Start, tmp_path: Path) -> None:
    other = tmp_path / "other.sock"
    server = start("", f"workers=2, listen=['unix:{tmp_path}/0/s.sock', 'unix:{other}', '127.0.0.1:0']")
    first, server.path = server.path, str(other)
    with Load(server, 2) as load:
        load.wait_for_more(50)
        server.signal("HUP")
        load.wait_for_more(50)
    assert not load.failed
    server.path = first
    assert server.serves()
    assert server.end() == 0


ASYNC = """
import asyncio
async def handle(connection, peer):
    loop = asyncio.get_running_loop()
    text = await loop.sock_recv(connection, 2000)
    if text == b"hang":
        await asyncio.sleep(1000)
    await loop.sock_sendall(connection, b"%d %s" % (os.getpid(), text))
"""


def test_async_handlers_serve_many_at_once(start: Start) -> None:
    server = start(ASYNC, "workers=1, event_loop='asyncio'")
    held = [server.connect() for _ in range(20)]
    for connection in reversed(held):
        connection.sendall(b"hi")
        assert connection.recv(100).endswith(b" hi")
        connection.close()


def test_async_workers_are_replaced_without_a_lost_connection(start: Start) -> None:
    server = start(ASYNC, "workers=2, max_requests=20, event_loop='asyncio'")
    with Load(server) as load:
        for number in range(3):
            server.signal("HUP")
            server.wait_for("generation", number + 1)
            load.wait_for_more(60)
    assert not load.failed
    assert server.end() == 0
    assert "ended with" not in server.log
    assert "killed" not in server.log


def test_an_async_request_that_takes_too_long_is_cancelled_alone(start: Start) -> None:
    server = start(ASYNC, "workers=1, request_timeout=0.2, event_loop='asyncio'")
    (worker,) = server.workers
    assert server.ask(b"hang") == (0, b"")
    assert server.ask()[0] == worker


def test_daemon_says_when_it_runs_already_and_is_stopped(tmp_path: Path, start: Start) -> None:
    pid_file = tmp_path / "d.pid"
    arguments = f"workers=1, daemon=True, pid_file='{pid_file}', log_file='{tmp_path}/d.log'"
    launcher = start("", arguments, wait=False)
    assert launcher.process.wait(PATIENCE) == 0, launcher.log
    assert launcher.ask()[1] == b"hello"
    try:
        second = start("", arguments, wait=False)
        assert second.process.wait(PATIENCE) == 1
        assert "already running as process" in second.log
        pid = int(pid_file.read_text())
        os.kill(pid, signal.SIGUSR2)
        wait_until(lambda: (tmp_path / "d.log").read_text().count("serves") == 2, "a new version")
        assert launcher.ask()[1] == b"hello"
        assert int(pid_file.read_text()) == pid
    finally:
        assert stop_server(pid_file)
    assert not pid_file.exists()
    with pytest.raises(NotRunning):
        stop_server(pid_file)


def test_daemon_whose_address_is_taken_fails_loudly(tmp_path: Path, start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = start("", f"listen='127.0.0.1:{port}', daemon=True, pid_file='{tmp_path}/d.pid'", wait=False)
        assert server.process.wait(PATIENCE) == 1
        assert f"can't listen at 127.0.0.1:{port}: Address already in use" in server.log
    assert not (tmp_path / "d.pid").exists()


def test_uses_inherited_sockets_and_tells_readiness_and_load(start: Start, tmp_path: Path) -> None:
    path = str(tmp_path / "inherited.sock")
    with socket.socket(socket.AF_UNIX) as listener, NotifySocket(str(tmp_path / "notify")) as notify:
        listener.bind(path)
        listener.listen()
        number = listener.fileno()

        def pass_on() -> None:
            os.dup2(number, 3)
            os.environ["LISTEN_PID"] = str(os.getpid())

        code = "os.environ['LISTEN_PID'] = str(os.getpid())  # what the one who starts us says"
        server = start(
            code, "workers=1, listen='127.0.0.1:1'", wait=False, preexec_fn=pass_on, pass_fds=(3,),
            env={**os.environ, "LISTEN_FDS": "1", "NOTIFY_SOCKET": notify.address},
        )  # fmt: skip
        server.path = path
        wait_until(server.serves, "an answer")
        said: list[str] = []

        def heard(text: str) -> bool:
            said.extend(f"{key}={value}" for _, fields in notify.messages() for key, value in fields.items())
            return text in said

        wait_until(lambda: heard("READY=1"), "READY=1")
        with server.connect() as connection:
            wait_until(lambda: heard("BUSY=1"), "BUSY=1")
            connection.sendall(b"go")
            wait_until(lambda: heard("BUSY=0"), "BUSY=0")
        assert server.end() == 0
        assert heard("STOPPING=1")
    assert os.path.exists(path)  # it is not ours


@pytest.mark.parametrize(
    "wrong",
    [
        {"workers": 0},
        {"workers": (3, 2)},
        {"max_requests": -1},
        {"jitter": 1.0},
        {"concurrency": 0},
        {"event_loop": "curio"},
        {"request_timeout": -1.0},
        {"trap_signals": {"NONSENSE": "TERM"}},
        {"trap_signals": {"USR2": "TERM"}},
        {"listen": "nowhere"},
        {"listen": ()},
        {"handler": "no_colon"},
        {"handler": "no_such_module:handle"},
        {"handler": "os:no_such_name"},
        {"handler": 5},
    ],
)
def test_refuses_arguments_that_make_no_sense(wrong: dict[str, object]) -> None:
    arguments = {"handler": print, "listen": "127.0.0.1:0", **wrong}
    with pytest.raises(UsageError):
        prefork(**arguments)  # type: ignore[arg-type]


def test_a_second_server_with_the_pid_file_is_refused(tmp_path: Path) -> None:
    with PidFile(tmp_path / "x.pid"), pytest.raises(AlreadyRunning):
        prefork(print, listen="127.0.0.1:0", pid_file=tmp_path / "x.pid")


@pytest.mark.slow
def test_a_storm_loses_only_the_requests_of_killed_workers(start: Start) -> None:
    server = start("", "workers=5, max_requests=100")
    with Load(server, 8) as load:
        for number in range(20):
            server.signal("HUP")
            server.wait_for("generation", number + 1)
            load.wait_for_more(100)
        for number in range(5):
            server.signal("USR2")
            server.wait_for(f"manager {server.pid} serves", number + 2)
            load.wait_for_more(100)
        assert not load.failed
        for _ in range(50):
            victim = wait_until(lambda: server.workers, "workers")[0]
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
            load.wait_for_more(20)
    assert len(load.failed) <= 50
    wait_until(lambda: len(server.workers) == 5, "five workers")
    assert server.end() == 0
