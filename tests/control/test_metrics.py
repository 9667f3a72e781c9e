from __future__ import annotations

import re

from genii.control.metrics import render_metrics
from genii.supervise.report import ProcessStatus, SupervisorStatus

SUPERVISOR = SupervisorStatus(pid=1, version="1", started=12.5, config='/a"b\\c', state="running")


def test_every_line_is_of_the_format() -> None:
    rows = [
        ProcessStatus(
            name="web:0", program="web", state="RUNNING", wanted=True, restarts=3, healthy=False, started=9.25
        ),
        ProcessStatus(name="odd", program="odd", state="FATAL", wanted=True),
    ]
    text = render_metrics(SUPERVISOR, rows, {"genii_spawns_total": 4.0, "genii_lag_seconds": 0.5})
    sample = re.compile(r'[a-z_]+(\{[a-z]+="(?:[^"\\]|\\.)*"(,[a-z]+="(?:[^"\\]|\\.)*")*\})? -?[0-9.e+-]+')
    for line in text.splitlines():
        assert line.startswith("# ") or sample.fullmatch(line), line
    assert 'genii_process_restarts_total{process="web:0",program="web"} 3' in text
    assert 'genii_process_healthy{process="web:0",program="web"} 0' in text
    assert 'process="odd",program="odd",state="FATAL"} 1' in text
    assert 'config="/a\\"b\\\\c"' in text
    assert 'genii_process_healthy{process="odd"' not in text
    assert "# TYPE genii_spawns_total counter" in text
