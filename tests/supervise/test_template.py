from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from genii.supervise.model import Health, Log, Logs, Probe, ProbeKind, Program, Ready
from genii.supervise.template import escape, fill, for_process, logs_for, placeholders


def test_fills_names_and_pads_numbers() -> None:
    text = "{process_num} {process_num:03} {{process_num}} {other} {} {Upper} {a b}"
    assert fill(text, {"process_num": 7}) == "7 007 {process_num} {other} {} {Upper} {a b}"


def test_lists_names_but_not_doubled_ones() -> None:
    assert list(placeholders("{a} {{b}} {c:02} {}")) == ["a", "c"]


@given(st.text() | st.text("{}ab:1"))
def test_escaped_text_comes_back(text: str) -> None:
    assert fill(escape(text), {"a": "x", "b": "y", "ab": "z"}) == text


def test_a_program_without_names_is_itself() -> None:
    logs = Logs(stdout=Log(path="/log/{process_name}.log"))
    program = Program(name="web", command=("run", "{}"), environment={"A": "{1}"}, logs=logs)
    assert for_process(program, 3, "web:3") is program


def test_each_process_gets_its_own_command_and_logs() -> None:
    program = Program(
        name="web",
        command=("run", "--port=80{process_num:02}", "{{x}}"),
        check=("check", "{process_name}"),
        directory="/srv/{process_num}",
        environment={"NAME": "{process_name}", "PLAIN": "x"},
        ready=Ready(probe=Probe(kind=ProbeKind.TCP, target="127.0.0.1:80{process_num:02}")),
        health=Health(probe=Probe(kind=ProbeKind.COMMAND, target="ask {process_name}")),
        logs=Logs(stdout=Log(path="/log/{process_name}.log"), stderr=Log(path="/log/{process_num}.err")),
    )
    mine = for_process(program, 3, "web:3")
    assert mine.command == ("run", "--port=8003", "{x}")
    assert mine.check == ("check", "web:3")
    assert mine.directory == "/srv/3"
    assert mine.environment == {"NAME": "web:3", "PLAIN": "x"}
    assert mine.ready is not None
    assert mine.ready.probe.target == "127.0.0.1:8003"
    assert mine.health is not None
    assert mine.health.probe.target == "ask web:3"
    assert logs_for(program, 3, "web:3") == Logs(stdout=Log(path="/log/web-3.log"), stderr=Log(path="/log/3.err"))


def test_process_names_follow_the_template() -> None:
    program = Program(name="web", command=("x",), processes=2, processes_max=2, process_name="web-{process_num:02}")
    assert program.process_names() == ["web-00", "web-01"]
