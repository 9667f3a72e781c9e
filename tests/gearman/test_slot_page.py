"""The page and the metrics of a slot manager."""

from __future__ import annotations

from genii.gearman.slot_page import render_metrics, render_page
from genii.supervise.report import PoolStatus, ProcessStatus

POOL = PoolStatus(program="T", minimum=1, maximum=3, slots=2, busy=1, waiting=4, paused=True)
BUSY = ProcessStatus(
    name="T:0", program="T", state="RUNNING", wanted=True, pid=11, since=50.0, busy=True, busy_since=90.0,
    job="T::<script>", jobs_left=3, jobs_done=7, memory=16 << 20,
)  # fmt: skip
STARTING = ProcessStatus(name="T:1", program="T", state="STARTING", wanted=True, since=99.0)
OTHER = ProcessStatus(name="U:0", program="U", state="RUNNING", wanted=True)


def test_the_page_shows_each_slot_of_its_pool() -> None:
    page = render_page([BUSY, STARTING, OTHER], [POOL], 100.0)
    assert "2 of 1 to 3 slots, 1 busy, 4 jobs waiting, paused" in page
    assert '<td class="busy">busy' in page
    assert '<td class="busy">10s' in page
    assert "<td>starting" in page
    assert "U:0" not in page


def test_names_can_not_become_markup() -> None:
    page = render_page([BUSY], [POOL], 100.0)
    assert "T::&lt;script&gt;" in page
    assert "<script" not in page


def test_metrics_count_what_is_known() -> None:
    lines = render_metrics([BUSY, STARTING], [POOL]).splitlines()
    assert 'genii_pool_waiting{program="T"} 4' in lines
    assert 'genii_pool_paused{program="T"} 1' in lines
    assert [line for line in lines if line.startswith("genii_process_jobs_total{")] == [
        'genii_process_jobs_total{process="T:0",program="T"} 7'
    ]
