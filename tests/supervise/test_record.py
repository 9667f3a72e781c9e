"""The record that a later supervisor reads."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from genii.supervise.record import Found, Memory, encode, read, rewrite

HEAD = encode("boot", 1, "b1", "0.1")


def test_reads_back_what_was_started_and_runs() -> None:
    data = HEAD + encode("intent", "web") + encode("process", "web", 7, 123, 99, 5.5, 2) + encode("running", "web")
    assert read(data, "b1").processes == {"web": Found(7, 123, 99, 5.5, 2, running=True)}


def test_forgets_what_ended() -> None:
    data = HEAD + encode("process", "web", 7, 123, 99, 5.5, 0) + encode("gone", "web", -9)
    assert read(data, "b1").processes == {}


def test_keeps_an_announced_start_that_was_never_told() -> None:
    data = HEAD + encode("process", "web", 7, 1, 1, 1.0, 0) + encode("gone", "web", 1) + encode("intent", "web")
    assert read(data, "b1").processes == {"web": Found(intended=True)}


def test_remembers_wishes_numbers_and_runs() -> None:
    data = HEAD + encode("wanted", "web", False) + encode("scale", "jobs", 2, 5) + encode("ran", "report", 60.0)
    memory = read(data, "b1")
    assert (memory.wanted, memory.scales, memory.runs) == ({"web": False}, {"jobs": (2, 5)}, {"report": 60.0})


def test_a_record_of_another_boot_means_nothing() -> None:
    body = encode("process", "web", 7, 1, 1, 1.0, 0)
    assert read(HEAD + body, "b2") == Memory()
    assert read(encode("boot", 999, "b2", "9") + body, "b1") == Memory()


def test_a_record_of_another_format_says_only_that_something_may_run() -> None:
    body = encode("process", "web", 7, 1, 1, 1.0, 0)
    assert read(encode("boot", 999, "b1", "9") + body, "b1") == Memory(foreign=True, damaged=1)
    assert read(b"", "b1") == read(b"garbage\n" + body, "b1") == Memory(foreign=True, damaged=1)


def test_a_run_is_due_until_it_has_begun() -> None:
    due = HEAD + encode("ran", "report", 60.0) + encode("due", "report", 120.0)
    assert (read(due, "b1").due, read(due, "b1").runs) == ({"report": 120.0}, {"report": 60.0})
    begun = read(due + encode("ran", "report", 120.0), "b1")
    assert (begun.due, begun.runs) == ({}, {"report": 120.0})
    assert read(rewrite(read(due, "b1"), "b1", "9"), "b1") == read(due, "b1")


def test_leaves_out_damaged_lines_and_counts_them() -> None:
    good = encode("process", "web", 7, 1, 1, 1.0, 0)
    torn = encode("gone", "web", 0)[:-5]
    memory = read(HEAD + good + b"garbage\n" + encode("nonsense", 1) + torn, "b1")
    assert list(memory.processes) == ["web"]
    assert memory.damaged == 3


def test_a_flipped_bit_is_noticed() -> None:
    line = bytearray(encode("process", "web", 7, 1, 1, 1.0, 0))
    line[20] ^= 1
    assert read(HEAD + bytes(line), "b1").damaged == 1


NAMES = st.text(min_size=1, max_size=8)
FOUNDS = st.builds(
    Found,
    pid=st.integers(2, 1 << 22),
    start_time=st.integers(0, 1 << 40),
    digest=st.integers(0, 1 << 32),
    time=st.floats(0, 1e10),
    restarts=st.integers(0, 1000),
    running=st.booleans(),
)


@given(
    st.builds(
        Memory,
        processes=st.dictionaries(NAMES, FOUNDS, max_size=5),
        wanted=st.dictionaries(NAMES, st.booleans(), max_size=5),
        scales=st.dictionaries(NAMES, st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=5),
        runs=st.dictionaries(NAMES, st.floats(0, 1e10), max_size=5),
    )
)
def test_a_rewritten_record_says_the_same(memory: Memory) -> None:
    memory.boot = "b1"
    assert read(rewrite(memory, "b1", "0.1"), "b1") == memory


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    read(data, "b1")
    read(HEAD + data, "b1")
