from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

import genii
from genii.errors import UsageError
from genii.testing.clock import VirtualTime

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from genii.events.snapshot import Batch
    from genii.events.ticks import Tick

NOON = datetime(2025, 6, 11, 12, 0, tzinfo=UTC).timestamp()


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def patient() -> None:
        async with asyncio.timeout(30):
            await main()

    asyncio.run(patient())


# ---------------------------------------------------------------------- timers, in virtual time


def test_every_beats_without_drift() -> None:
    app, time, beats = genii.App(), VirtualTime(), []

    @app.every(0.1)
    async def beat() -> None:
        beats.append(time.monotonic())
        await asyncio.sleep(0.005)

    time.run_app(app, 1000.05)
    assert len(beats) == 10_000
    assert beats[-1] == pytest.approx(1000.0, abs=1e-6)


def test_a_sync_handler_runs_in_a_thread_and_an_inline_one_in_the_loop() -> None:
    app = genii.App()
    threads: dict[str, threading.Thread] = {}
    app.after(1, lambda: threads.setdefault("thread", threading.current_thread()))
    app.after(1, lambda: threads.setdefault("inline", threading.current_thread()), inline=True)
    VirtualTime().run_app(app, 2)
    assert threads["thread"] is not threading.main_thread()
    assert threads["inline"] is threading.main_thread()


def test_after_calls_once() -> None:
    app, time, calls = genii.App(), VirtualTime(), []
    app.after(5, lambda: calls.append(time.monotonic()))
    time.run_app(app, 100)
    assert calls == [5.0]


def test_beats_during_a_long_run_are_counted_and_not_queued() -> None:
    app, ticks = genii.App(), []

    @app.every(1)
    async def slow(tick: Tick) -> None:
        ticks.append((tick.number, tick.missed))
        await asyncio.sleep(3.5)

    VirtualTime().run_app(app, 9.5)
    assert ticks == [(1, 0), (5, 3), (9, 3)]


def test_a_timer_pauses_and_resumes_in_its_rhythm_from_a_thread() -> None:
    app, time, beats = genii.App(), VirtualTime(), []
    timer = app.every(1, lambda: beats.append(time.monotonic()), inline=True)
    app.after(2.5, timer.pause)
    app.after(5.5, timer.resume)
    time.run_app(app, 7.5)
    assert beats == [1.0, 2.0, 6.0, 7.0]


def test_a_timer_can_be_cancelled_and_added_while_the_app_runs() -> None:
    app, time, beats = genii.App(), VirtualTime(), []
    timer = app.every(1, lambda: beats.append("old"), inline=True)

    @app.after(2.5)
    def change() -> None:
        timer.cancel()
        app.every(10, lambda: beats.append("new"), at_once=True, inline=True)

    time.run_app(app, 13)
    assert beats == ["old", "old", "new", "new"]


def test_timers_that_have_done_their_work_are_forgotten() -> None:
    app = genii.App()

    @app.every(1)
    def spawn() -> None:
        app.after(0.1, lambda: None)
        app.every(0.1, lambda: None).cancel()

    counts: list[int] = []
    VirtualTime().run_app(app, 100.5, then=lambda: counts.append(len(app.handlers())))
    assert counts == [1]


def test_ten_thousand_timers() -> None:
    app, calls = genii.App(), []
    for number in range(10_000):
        app.every(1 + number / 10_000, lambda: calls.append(1), inline=True)
    VirtualTime().run_app(app, 2.0)
    assert len(calls) >= 10_000


def test_cron_runs_by_the_calendar() -> None:
    app, time, runs = genii.App(timezone="UTC"), VirtualTime(NOON - 30), []
    app.cron("5 minutes", lambda tick: runs.append(("interval", tick.due - NOON)))
    app.cron("*/10 * * * *", lambda tick: runs.append(("fields", tick.due - NOON)), inline=True)
    app.cron("13:00", lambda: runs.append(("daily", 3600.0)), timezone="Europe/London")
    time.run_app(app, 631)
    assert sorted(runs) == [
        ("daily", 3600.0), ("fields", 0.0), ("fields", 600.0),
        ("interval", 0.0), ("interval", 300.0), ("interval", 600.0),
    ]  # fmt: skip


def test_a_clock_set_back_an_hour_runs_nothing_twice_and_one_set_forward_obeys_the_policy() -> None:
    time = VirtualTime(NOON - 10)
    app, runs = genii.App(timezone="UTC"), []
    app.cron("0 12 * * *", lambda tick: runs.append(("noon", tick.due - NOON)), inline=True)
    app.cron("0 * * * *", lambda tick: runs.append(("hourly", tick.due - NOON)), missed="run", inline=True)

    async def main() -> None:
        async with time.attached(app):
            await asyncio.sleep(60)
            assert sorted(runs) == [("hourly", 0.0), ("noon", 0.0)]
            time.set_time(time.time() - 3600)
            await asyncio.sleep(3000)
            assert len(runs) == 2
            time.set_time(NOON + 5.5 * 3600)
            await asyncio.sleep(1)
            assert runs[2:] == [("hourly", 5 * 3600.0)]

    time.run(main())


def test_an_overlapping_cron_run_is_queued_on_request() -> None:
    app, starts, time = genii.App(timezone="UTC"), [], VirtualTime(NOON)

    @app.cron("1 minutes", overlap="queue")
    async def slow() -> None:
        starts.append(time.time() - NOON)
        await asyncio.sleep(90)

    time.run_app(app, 250)
    assert starts == pytest.approx([60, 150, 240], abs=0.1)


# ---------------------------------------------------------------------- errors


def test_a_handler_that_fails_is_logged_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    app, beats = genii.App(), []

    @app.every(1)
    def broken() -> None:
        beats.append(1)
        raise ValueError("out of order")

    VirtualTime().run_app(app, 3.5)
    assert len(beats) == 3
    assert "broken (every 1s) failed: out of order" in caplog.text
    assert app.handlers()[0].statistics.failures == 3


def test_a_handler_that_fails_ends_the_app_on_request(caplog: pytest.LogCaptureFixture) -> None:
    app = genii.App(on_error="stop")
    app.after(0, lambda: 1 / 0)
    assert app.run() == 1
    assert "division by zero" in caplog.text


def test_a_handler_that_blocks_holds_up_nobody() -> None:
    app, release, beats = genii.App(), threading.Event(), []
    app.after(0, release.wait)

    @app.every(0.01)
    def beat() -> None:
        beats.append(1)
        if len(beats) == 5:
            release.set()
            app.stop()

    assert app.run() == 0
    assert len(beats) >= 5


def test_what_does_not_end_in_time_is_left_behind(caplog: pytest.LogCaptureFixture) -> None:
    app, release = genii.App(stop_timeout=0.05), threading.Event()

    @app.after(0)
    def block() -> None:
        app.stop()
        release.wait()

    assert app.run() == 1
    assert "did not end within 0.05 s" in caplog.text
    release.set()


def test_stop_handlers_run_though_a_handler_hangs() -> None:
    app, release, stopped = genii.App(stop_timeout=600, threads=1), threading.Event(), threading.Event()
    app.on_stop(stopped.set)

    @app.after(0)
    def hang() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        release.wait()

    assert app.run() in (128 + signal.SIGTERM, 128 + signal.SIGINT)
    assert stopped.is_set()
    release.set()


def test_start_and_stop_handlers_run_in_order() -> None:
    app, order = genii.App(), []
    app.on_start(lambda: order.append("start"))
    app.on_stop(lambda: order.append("stop"))

    @app.on_stop
    async def stop_first() -> None:
        order.append("stop first")

    app.after(0, app.stop)
    assert app.run() == 0
    assert order == ["start", "stop first", "stop"]


def test_a_start_handler_that_fails_keeps_the_app_from_starting() -> None:
    app, beats = genii.App(listen="127.0.0.1:0"), []
    app.get("/", lambda: "x")
    app.every(0.001, lambda: beats.append(1))

    @app.on_start
    def broken() -> None:
        raise ValueError("no database")

    with pytest.raises(ValueError, match="no database"):
        app.run()
    assert beats == []


@pytest.mark.parametrize(
    ("register", "message"),
    [
        (lambda app: app.cron("61 * * * *"), "minute '61' is wrong"),
        (lambda app: app.cron("* * * * *", timezone="Mars/Phobos"), "no time zone"),
        (lambda app: app.every(0, print), "above 0"),
        (lambda app: app.after(-1, print), "number of seconds"),
        (lambda app: app.signal("USR9"), "not a signal"),
        (lambda app: app.signal("KILL", print), "no program can catch"),
        (lambda app: app.watch("x", print, ignore=["re:("]), "not a pattern"),
        (lambda app: app.get("/", print), "say where"),
        (lambda app: app.every(1, "nonsense"), "expected a function"),
        (lambda app: app.io(0, print, mode="x"), "expected 'r' or 'w'"),
        (lambda app: app.gauge("my count", len), "not a name of a metric"),
    ],
)
def test_a_wrong_registration_is_told_at_once(register: Callable[[genii.App], object], message: str) -> None:
    with pytest.raises((ValueError, TypeError, UsageError), match=message):
        register(genii.App())


# ---------------------------------------------------------------------- signals


def test_a_signal_calls_its_handler() -> None:
    app, seen = genii.App(), []

    @app.signal("USR1")
    def greet(number: signal.Signals) -> None:
        seen.append(number)
        app.stop()

    app.on_start(lambda: os.kill(os.getpid(), signal.SIGUSR1))
    assert app.run() == 0
    assert seen == [signal.SIGUSR1]


def test_term_stops_the_app_with_an_honest_status() -> None:
    app, order = genii.App(), []
    app.on_stop(lambda: order.append("clean"))
    app.after(0, lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert app.run() == 128 + signal.SIGTERM
    assert order == ["clean"]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_handler_for_term_may_refuse() -> None:
    app, seen = genii.App(), []

    @app.signal("TERM")
    def refuse() -> None:
        seen.append(1)
        if len(seen) == 2:
            app.stop(7)
        else:
            os.kill(os.getpid(), signal.SIGTERM)

    app.after(0, lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert app.run() == 7
    assert seen == [1, 1]


def test_a_second_signal_ends_the_patience() -> None:
    app, release = genii.App(stop_timeout=600), threading.Event()

    @app.on_stop
    def blocked() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        release.wait()

    app.after(0, lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert app.run() == 128 + signal.SIGTERM
    release.set()


def test_two_apps_in_one_loop_do_not_meet() -> None:
    async def main() -> None:
        seen: list[str] = []
        both = asyncio.Event()

        def note(name: str) -> None:
            seen.append(name)
            if len(seen) == 2:
                both.set()

        first, second = genii.App(), genii.App()
        first.signal("USR1", lambda: note("first"), inline=True)
        second.signal("USR1", lambda: note("second"), inline=True)
        async with first, second:
            os.kill(os.getpid(), signal.SIGUSR1)
            await both.wait()
        assert sorted(seen) == ["first", "second"]

    run(main)


def test_runs_inside_a_loop_that_runs_already() -> None:
    async def main() -> None:
        app = genii.App()
        app.after(0, lambda: app.stop(3))
        assert await app.serve() == 3
        with pytest.raises(UsageError, match=r"await app\.serve"):
            app.run()

    run(main)


def test_an_app_runs_once_at_a_time_and_again_later() -> None:
    async def main() -> None:
        app = genii.App()
        app.after(0, app.stop)
        async with app:
            with pytest.raises(UsageError, match="runs already"):
                await app.serve()
        assert await app.serve() == 0

    run(main)


# ---------------------------------------------------------------------- files, children, descriptors


def test_a_changed_file_calls_its_handler(tmp_path: Path) -> None:
    app = genii.App()
    seen: list[tuple[str, str]] = []

    @app.watch(tmp_path, only=["*.txt"])
    def changed(changes: Batch) -> None:
        seen.extend((str(change.kind), os.path.basename(change.path)) for change in changes)
        app.stop()

    app.after(0, lambda: [(tmp_path / name).write_text("x") for name in ("a.log", "b.txt")])
    assert app.run() == 0
    assert seen == [("created", "b.txt")]


def test_a_watched_path_that_does_not_exist_keeps_the_app_from_starting(tmp_path: Path) -> None:
    app = genii.App()
    app.watch(tmp_path / "missing", print)
    with pytest.raises(FileNotFoundError, match="missing"):
        app.run()


def test_a_watch_added_later_that_can_not_start_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    app = genii.App(on_error="stop")
    app.after(0, lambda: app.watch(tmp_path / "missing", print))
    assert app.run() == 1
    assert "can't start" in caplog.text


@pytest.mark.parametrize(("code", "status"), [("raise SystemExit(3)", 3), ("import os; os.kill(os.getpid(), 9)", -9)])
def test_the_end_of_a_child_is_told_with_its_status(code: str, status: int) -> None:
    app, seen = genii.App(), []
    process = subprocess.Popen([sys.executable, "-c", code])

    @app.child(process)
    def ended(status: int) -> None:
        seen.append(status)
        app.stop()

    assert app.run() == 0
    assert seen == [status]
    assert process.returncode == status


def test_a_child_by_its_number_is_waited_for() -> None:
    app, seen = genii.App(), []
    pid = os.posix_spawn(sys.executable, [sys.executable, "-c", "raise SystemExit(4)"], {})

    @app.child(pid)
    def ended(status: int) -> None:
        seen.append(status)
        app.stop()

    assert app.run() == 0
    assert seen == [4]
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, 0)


def test_a_process_that_does_not_exist_is_named() -> None:
    app = genii.App()
    app.child(2**22 + 1, print)
    with pytest.raises(UsageError, match="there is no process"):
        app.run()


@pytest.mark.parametrize("inline", [False, True])
def test_a_descriptor_calls_its_handler_until_it_is_read(inline: bool) -> None:
    app, seen = genii.App(), b""
    ours, theirs = socket.socketpair()

    @app.io(ours, inline=inline)
    def ready() -> None:
        nonlocal seen
        seen += ours.recv(2)
        if seen.endswith(b"!"):
            app.stop()

    app.after(0, lambda: theirs.sendall(b"hello!"))
    assert app.run() == 0
    assert seen == b"hello!"
    ours.close()
    theirs.close()


def test_watching_again_in_a_second_run(tmp_path: Path) -> None:
    app = genii.App()
    seen: list[str] = []

    @app.watch(tmp_path)
    def changed(changes: Batch) -> None:
        seen.extend(os.path.basename(change.path) for change in changes)
        app.stop()

    app.after(0, lambda: (tmp_path / f"{len(seen)}").write_text("x"))
    assert app.run() == 0
    assert app.run() == 0
    assert seen == ["0", "1"]


def test_a_regular_file_is_refused_for_io(tmp_path: Path) -> None:
    app = genii.App()
    with (tmp_path / "a").open("w") as file:
        app.io(file, print, mode="w")
        with pytest.raises(UsageError, match="can't be waited for"):
            app.run()


# ---------------------------------------------------------------------- pages


async def fetch(app: genii.App, path: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    address = app.addresses[0]
    if address.startswith("unix:"):
        reader, writer = await asyncio.open_unix_connection(address.removeprefix("unix:"))
    else:
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    return int(status.split()[1]), dict(line.lower().split(": ", 1) for line in lines), body


def test_pages_return_plain_values() -> None:
    async def main() -> None:
        app = genii.App(listen="127.0.0.1:0")
        app.get("/text", lambda: "Current Count is 7.")
        app.get("/bytes", lambda: b"\x00\x01", inline=True)
        app.get("/json", lambda: {"count": 7})
        app.get("/nothing", lambda: None)
        app.get("/number/{number}", double)
        app.get("/name/{name}", lambda request, name: f"{request.method} {name}")
        app.get("/broken", lambda: 1 / 0, inline=True)

        @app.get("/async")
        async def waits() -> str:
            await asyncio.sleep(0)
            return "waited"

        async with app:
            assert (await fetch(app, "/text"))[::2] == (200, b"Current Count is 7.")
            assert (await fetch(app, "/text"))[1]["content-type"] == "text/plain; charset=utf-8"
            assert (await fetch(app, "/bytes"))[2] == b"\x00\x01"
            status, headers, body = await fetch(app, "/json")
            assert (status, headers["content-type"], body) == (200, "application/json", b'{"count":7}')
            assert (await fetch(app, "/nothing"))[0] == 204
            assert (await fetch(app, "/number/21"))[2] == b"42"
            assert (await fetch(app, "/number/x"))[::2] == (400, b"number is a number, not 'x'\n")
            assert (await fetch(app, "/name/a%20b"))[2] == b"GET a b"
            assert (await fetch(app, "/async"))[2] == b"waited"
            assert (await fetch(app, "/broken"))[0] == 500
            assert (await fetch(app, "/missing"))[0] == 404
            assert (await fetch(app, "/text", "POST"))[0] == 405

    run(main)


def double(number: int) -> str:
    return str(number * 2)


def test_health_and_metrics_are_there_on_request(tmp_path: Path) -> None:
    async def main() -> None:
        app = genii.App(listen=f"unix:{tmp_path}/s", health=True, metrics=True)
        app.gauge("current_count", lambda: 7)
        app.every(60, print)
        async with app:
            assert (os.stat(tmp_path / "s").st_mode & 0o777) == 0o600
            assert b'"status":"ok"' in (await fetch(app, "/health"))[2]
            body = (await fetch(app, "/metrics"))[2].decode()
            assert "# TYPE current_count gauge\ncurrent_count 7.0\n" in body
            assert 'genii_handler_runs_total{handler="print",event="every 60s"} 0.0' in body
            assert "genii_http_requests_total 2.0" in body

    run(main)


def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        app = genii.App(listen=address)
        with pytest.raises(OSError, match="in use") as caught:
            app.run()
    assert address in caught.value.__notes__[0]


def test_a_request_of_a_hundred_megabytes_is_refused() -> None:
    async def main() -> None:
        app = genii.App(listen="127.0.0.1:0")
        app.post("/", lambda request: str(len(request.body)))
        async with app:
            host, _, port = app.addresses[0].rpartition(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 104857600\r\n\r\n")
            assert b" 413 " in await reader.readline()
            writer.close()

    run(main)


def test_an_inline_handler_that_is_slow_is_told_of(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genii.events.handlers._SLOW", 0.0)
    app = genii.App()
    app.after(0, app.stop, inline=True)
    with caplog.at_level(logging.WARNING):
        app.run()
    assert "held up the program" in caplog.text
