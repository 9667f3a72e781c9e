"""The API and its client together, over a real unix socket."""

from __future__ import annotations

import json
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from genii.control import rows
from genii.control.client import Client
from genii.control.declared import DeclaredProgram, DeclaredSchedule
from genii.control.query import LogLines
from genii.control.queues import JobServer, QueuedFunction, QueuedJob
from genii.errors import ConfigError, NotAllowed, NotRunning, Problem, TimedOut, UnknownProgram, UsageError
from genii.supervise import report
from genii.supervise.report import Difference
from genii.system.address import Address

if TYPE_CHECKING:
    from pathlib import Path

    import msgspec

    from genii.testing.served import ServedTarget


def raw(served: ServedTarget, data: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(served.client().address.path)
        connection.sendall(data)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
        return answer


def get(served: ServedTarget, path: str) -> tuple[int, bytes]:
    answer = raw(served, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


def test_start_status_and_stop(served: ServedTarget) -> None:
    client = served.client()
    assert [row["state"] for row in client.statuses()] == ["STOPPED"] * 3
    results = client.act("start", ["web"])
    assert [(row["name"], row["ok"], row["code"]) for row in results] == [
        ("web:0", True, "done"),
        ("web:1", True, "done"),
    ]
    assert client.act("start", ["web:1"])[0]["code"] == "already"
    assert [row["state"] for row in client.statuses(["web"])] == ["RUNNING", "RUNNING"]
    client.act("stop", ["all"])
    assert {row["state"] for row in client.statuses()} == {"STOPPED"}


def test_details_mask_secrets_and_tell_limits(served: ServedTarget) -> None:
    client = served.client()
    client.act("start", ["web:0"])
    (details,) = client.details("web:0")
    assert details["environment"] == {"TOKEN": "***", "MODE": "fast"}
    assert details["limits"] == {"nofile": [1024, 4096]}
    assert details["declared_limits"] == {"nofile": [4096, 4096]}


def test_an_unknown_name_does_nothing_and_is_a_404(served: ServedTarget) -> None:
    client = served.client()
    with pytest.raises(UnknownProgram, match="'wep'"):
        client.act("start", ["web", "wep"])
    assert {row["state"] for row in client.statuses()} == {"STOPPED"}
    assert get(served, "/api/v1/processes/n%C3%B6pe")[0] == 404


def test_a_failed_check_is_a_result_with_its_output(served: ServedTarget) -> None:
    served.do(lambda target: target.failing.add("web"))
    (first, _) = served.client().act("restart", ["web"])
    assert (first["ok"], first["code"]) == (False, "check-failed")
    assert "web.conf:3" in first["output"]


def test_a_broken_configuration_comes_back_with_all_its_places(served: ServedTarget) -> None:
    problems = [Problem("genii.toml", 3, 1, "no such key"), Problem("genii.toml", 9, 4, "not a number")]
    served.do(lambda target: setattr(target, "next_update", ConfigError(problems)))
    with pytest.raises(ConfigError) as caught:
        served.client().update()
    assert list(caught.value.problems) == problems


def test_update_tells_the_difference(served: ServedTarget) -> None:
    difference = Difference(added=("new",), changed={"web": ("command",)})
    served.do(lambda target: setattr(target, "next_update", difference))
    answer = served.client().update(dry_run=True)
    assert answer["added"] == ["new"]
    assert answer["changed"] == {"web": ["command"]}


def test_signals_are_taken_by_name_and_number(served: ServedTarget) -> None:
    client = served.client()
    client.act("start", ["jobs"])
    client.act("signal", ["jobs"], signal="USR1")
    client.act("signal", ["jobs"], signal=12)
    assert served.do(lambda target: list(target.signals)) == [("jobs", 10), ("jobs", 12)]
    with pytest.raises(UsageError, match="FOO"):
        client.act("signal", ["jobs"], signal="FOO")


def test_scale_refuses_numbers_the_wrong_way_round(served: ServedTarget) -> None:
    client = served.client()
    assert client.act("scale", ["web"], minimum=1, maximum=3)[0]["ok"]
    with pytest.raises(UsageError, match="minimum"):
        client.act("scale", ["web"], minimum=3, maximum=1)


def test_a_time_out_leaves_the_action_running(served: ServedTarget) -> None:
    served.do(lambda target: target.slow.add("jobs"))
    client = served.client()
    with pytest.raises(TimedOut, match="goes on"):
        client.act("start", ["jobs"], timeout=0.1)
    assert client.statuses(["jobs"])[0]["state"] == "STARTING"
    stream = client.events()
    next(stream)
    served.do(lambda target: target.release.set())
    seen = [event["data"]["state"] for batch in (next(stream),) for event in batch]
    assert seen == ["RUNNING"]


def test_events_stream_as_they_happen_and_old_ones_can_be_had(served: ServedTarget) -> None:
    client = served.client()
    stream = client.events()
    assert next(stream) == []  # the first heartbeat: we are subscribed
    client.act("start", ["web:0"])
    (event,) = next(stream)
    assert (event["kind"], event["name"], event["data"]) == ("process.state", "web:0", {"state": "RUNNING"})
    assert client.recent_events() == [event]
    served.do(lambda target: target.emit("program.added", "späť\n", text="a\r\nb"))
    (odd,) = next(stream)
    assert (odd["name"], odd["data"]) == ("späť\n", {"text": "a\r\nb"})
    again = client.events(after=event["serial"])
    next(again)
    assert next(again) == [odd]


def test_a_stream_of_events_ends_when_the_supervisor_does(served: ServedTarget) -> None:
    client = served.client()
    stream = client.events()
    next(stream)
    client.shutdown()
    kinds = {event["kind"] for batch in stream for event in batch}
    assert kinds <= {"process.state"}


def test_shutdown_ends_the_server_and_removes_its_socket(served: ServedTarget) -> None:
    client = served.client()
    client.shutdown()
    served.wait_ended()
    with pytest.raises(NotRunning, match="genii up"):
        client.supervisor()


def test_metrics_are_in_the_text_format(served: ServedTarget) -> None:
    served.client().act("start", ["web:0"])
    status, body = get(served, "/metrics")
    lines = body.decode().splitlines()
    assert status == 200
    assert 'genii_process_up{process="web:0",program="web"} 1' in lines
    assert 'genii_process_up{process="jobs",program="jobs"} 0' in lines
    assert "genii_events_total 1" in lines


def test_health_says_ok(served: ServedTarget) -> None:
    assert get(served, "/health") == (200, b'{"state":"running"}')


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "/api/v1/start", b"{", 400, "bad-request"),
        ("POST", "/api/v1/start", b'{"names": "web"}', 400, "bad-request"),
        ("POST", "/api/v1/start", b'{"names": ["web"], "wiat": true}', 400, "bad-request"),
        ("POST", "/api/v1/start", b"[" * 100000, 400, "bad-request"),
        ("POST", "/api/v1/start", b"{}", 400, "usage"),
        ("GET", "/api/v1/start", b"", 405, "method-not-allowed"),
        ("GET", "/nowhere", b"", 404, "not-found"),
        ("GET", "/api/v1/logs?lines=many", b"", 400, "usage"),
        ("GET", "/api/v1/logs?since=nan", b"", 400, "usage"),
        ("GET", "/api/v1/logs?stream=stdin", b"", 400, "usage"),
        ("GET", "/api/v1/events?after=x", b"", 400, "usage"),
        ("GET", "/api/v1/logs?name=web", b"", 409, "not-allowed"),
    ],
)
def test_errors_are_json_with_a_code(
    served: ServedTarget, method: str, path: str, body: bytes, status: int, code: str
) -> None:
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    answer = raw(served, head.encode() + body)
    assert int(answer.split()[1]) == status
    error = json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
    assert error["code"] == code
    assert error["message"]


def test_logs_come_with_their_process_and_can_be_followed(served: ServedTarget, tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    log.write_text("one\ntwo\nthree\n")
    served.do(lambda target: target.logs.update({("web:0", "stdout"): str(log), ("web:0", "stderr"): str(log)}))
    client = served.client()
    assert list(client.recent_logs(["web"], 2, 0.0)) == [{"name": "web:0", "stream": "both", "lines": ["two", "three"]}]
    stream = client.follow_logs(["web:0"], 1, 0.0)
    assert next(stream)["lines"] == ["three"]
    with log.open("a") as file:
        file.write("four\nfi")
    assert next(stream)["lines"] == ["four"]
    with log.open("a") as file:
        file.write("ve\n")
    assert next(stream)["lines"] == ["five"]


def test_nobody_listening_is_told_with_the_socket_and_the_remedy(tmp_path: Path) -> None:
    path = str(tmp_path / "none.sock")
    with pytest.raises(NotRunning, match=rf"{path}.*genii up"):
        Client(Address(path=path)).supervisor()
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(path)
    with pytest.raises(NotRunning):
        Client(Address(path=path)).supervisor()


def test_a_supervisor_that_does_not_answer_is_given_up(tmp_path: Path) -> None:
    path = str(tmp_path / "mute.sock")
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(path)
        mute.listen()
        with pytest.raises(TimedOut, match="within 200ms"):
            Client(Address(path=path), timeout=0.2).supervisor()


@pytest.mark.parametrize(
    "answer", [b"", b"220 mail ready\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", b"\xff" * 70000]
)
def test_something_else_at_the_socket_is_no_traceback(tmp_path: Path, answer: bytes) -> None:
    from genii.errors import PeerError

    path = str(tmp_path / "odd.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def reply() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        thread = threading.Thread(target=reply)
        thread.start()
        with pytest.raises(PeerError):
            Client(Address(path=path), timeout=20).supervisor()
        thread.join()


def test_strangers_on_the_unix_socket_are_refused(served: ServedTarget) -> None:
    from genii.control.auth import guard_unix
    from genii.events.message import HttpError, Peer, Request, Response

    guarded = guard_unix(lambda request: Response.text("in"))
    with pytest.raises(HttpError, match="only root"):
        guarded(Request("GET", "/", {}, peer=Peer("", uid=4242)))
    assert isinstance(guarded(Request("GET", "/", {}, peer=Peer("", uid=0))), Response)


def test_a_path_too_long_for_a_socket_address_is_told(tmp_path: Path) -> None:
    with pytest.raises((NotRunning, NotAllowed)):
        Client(Address(path=str(tmp_path / ("x" * 200)))).supervisor()


@pytest.mark.parametrize(
    ("row", "record"),
    [
        (rows.StatusRow, report.ProcessStatus),
        (rows.DetailsRow, report.ProcessDetails),
        (rows.SupervisorRow, report.SupervisorStatus),
        (rows.ResultRow, report.ActionResult),
        (rows.EventRow, report.Event),
        (rows.DifferenceRow, report.Difference),
        (rows.LogRow, LogLines),
        (rows.PoolRow, report.PoolStatus),
        (rows.ProgramRow, DeclaredProgram),
        (rows.ScheduleRow, DeclaredSchedule),
        (rows.ServerRow, JobServer),
        (rows.FunctionRow, QueuedFunction),
        (rows.QueuedJobRow, QueuedJob),
    ],
)
def test_the_rows_of_the_client_have_the_keys_of_the_reports(row: type, record: type[msgspec.Struct]) -> None:
    assert tuple(row.__annotations__) == record.__struct_fields__


def log_of(served: ServedTarget, tmp_path: Path, data: bytes) -> Path:
    log = tmp_path / "web.log"
    log.write_bytes(data)
    served.do(lambda target: target.logs.update({("web:0", "stdout"): str(log), ("web:0", "stderr"): str(log)}))
    return log


def test_lines_can_be_searched_and_saved(served: ServedTarget, tmp_path: Path) -> None:
    log_of(served, tmp_path, b"one\ntwo \xff\nthree\n")
    status, body = get(served, "/api/v1/logs?name=web:0&contains=t&lines=-1")
    assert (status, json.loads(body.split(b"\r\n")[1])["lines"]) == (200, ["two \ufffd", "three"])
    answer = raw(served, b"GET /api/v1/logs?name=web:0&text=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert b'attachment; filename="web_0.log"' in answer
    assert b"one\ntwo \xef\xbf\xbd\nthree\n" in answer


def test_a_name_can_put_nothing_into_a_header(served: ServedTarget) -> None:
    status, body = get(served, "/api/v1/logs?text=1&name=%22%0D%0ASet-Cookie:%20a")
    assert status == 404
    assert b"unknown-program" in body


def test_what_nobody_could_read_is_left_out_and_told(served: ServedTarget, tmp_path: Path) -> None:
    log = log_of(served, tmp_path, b"begin\n")
    stream = served.client().follow_logs(["web:0"], 1, 0.0, paced=True)
    assert next(stream)["lines"] == ["begin"]
    flood = b"".join(b"line %07d %s\n" % (number, b"x" * 80) for number in range(40_000))
    with log.open("ab") as file:
        file.write(flood)
        file.write(b"end\n")
    shown, skipped, last = 0, 0, ""
    while last != "end":
        row = next(stream)
        shown += sum(len(line) + 1 for line in row["lines"])
        skipped += row.get("skipped", 0)
        last = row["lines"][-1] if row["lines"] else last
    assert skipped > len(flood) // 2
    assert shown + skipped == len(flood) + len("end\n")


def test_what_is_declared_and_pending_can_be_asked(served: ServedTarget) -> None:
    programs = json.loads(get(served, "/api/v1/programs")[1])["programs"]
    assert [program["name"] for program in programs] == ["web", "jobs"]
    served.do(lambda target: setattr(target, "next_update", Difference(added=("new",))))
    status, body = get(served, "/api/v1/difference")
    assert (status, json.loads(body)["difference"]["added"]) == (200, ["new"])
    served.do(lambda target: setattr(target, "next_update", ConfigError([Problem("a.toml", 3, 1, "wrong")])))
    status, body = get(served, "/api/v1/difference")
    assert (status, json.loads(body)["error"]["problems"][0]["line"]) == (422, 3)


def test_history_knows_only_what_somebody_looked_at(served: ServedTarget) -> None:
    status, body = get(served, "/api/v1/history?name=web")
    assert (status, json.loads(body)) == (200, {"series": {"web:0": [[], [], []], "web:1": [[], [], []]}})
    assert get(served, "/api/v1/history?name=wep")[0] == 404
    assert get(served, "/api/v1/history?points=x")[0] == 400
