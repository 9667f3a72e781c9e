from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from genii.gearman.protocol import Kind, request
from genii.gearman.records import Ended, Submitted, encode_batch, encode_ended, encode_packets, encode_submitted, scan

number = st.integers(0, 2**63)
submitted = st.builds(
    Submitted, number, st.integers(0, 2), st.integers(0, 2**62), st.binary(max_size=20), st.binary(max_size=64),
    st.binary(max_size=20), st.binary(max_size=200),
)  # fmt: skip
record = submitted | st.builds(Ended, number)


def encode(item: Submitted | Ended) -> bytes:
    return encode_submitted(*item) if isinstance(item, Submitted) else encode_ended([item.number])


@given(st.lists(st.lists(record, min_size=1), max_size=5), st.integers(0, 100))
def test_reads_what_was_written_and_no_reserved_space(batches: list[list[Submitted | Ended]], zeros: int) -> None:
    data = b"".join(encode_batch([encode(item) for item in batch]) for batch in batches)
    found = scan(data + bytes(zeros))
    assert found.records == [item for batch in batches for item in batch]
    assert found.end == len(data)
    assert found.damage == []


@given(st.lists(st.lists(record, min_size=1), min_size=1, max_size=4), st.data())
def test_a_cut_loses_the_last_batch_only_and_is_told(
    batches: list[list[Submitted | Ended]], data: st.DataObject
) -> None:
    whole = [encode_batch([encode(item) for item in batch]) for batch in batches]
    cut = data.draw(st.integers(1, len(whole[-1]) - 1))
    kept = b"".join(whole[:-1])
    found = scan(kept + whole[-1][:cut])
    assert found.records == [item for batch in batches[:-1] for item in batch]
    assert found.end == len(kept)
    assert found.damage == [(len(kept), len(kept) + cut)]


@given(st.lists(st.lists(record, min_size=1), min_size=3, max_size=5), st.data())
def test_damage_in_the_middle_loses_that_batch_only(
    batches: list[list[Submitted | Ended]], data: st.DataObject
) -> None:
    whole = [encode_batch([encode(item) for item in batch]) for batch in batches]
    broken = bytearray(whole[1])
    position = data.draw(st.integers(0, len(broken) - 1))
    broken[position] ^= data.draw(st.integers(1, 255))
    found = scan(whole[0] + bytes(broken) + b"".join(whole[2:]))
    assert found.records == [item for batch in (batches[0], *batches[2:]) for item in batch]
    assert found.damage == [(len(whole[0]), len(whole[0]) + len(broken))]


@given(st.binary(max_size=300))
def test_survives_garbage(data: bytes) -> None:
    found = scan(data)
    assert found.records == []


PRIORITIES = [Kind.SUBMIT_JOB_HIGH_BG, Kind.SUBMIT_JOB_BG, Kind.SUBMIT_JOB_LOW_BG]
plain = st.tuples(st.integers(0, 2), st.binary(max_size=9), st.binary(max_size=99))


@given(st.lists(record, max_size=2), st.integers(0, 2**62), st.lists(plain, max_size=4), st.lists(number, max_size=4))
def test_submits_are_kept_as_they_came_and_many_in_one_record(
    others: list[Submitted | Ended], first: int, submits: list[tuple[int, bytes, bytes]], ended: list[int]
) -> None:
    jobs = [
        Submitted(first + n, priority, 0, b"name", unique.replace(b"\0", b""), b"", payload)
        for n, (priority, unique, payload) in enumerate(submits)
    ]
    packets = (request(PRIORITIES[job.priority], job.function, job.unique, job.payload) for job in jobs)
    around = [encode(item) for item in others]
    found = scan(encode_batch([*around, encode_packets(first, b"".join(packets)), *around, encode_ended(ended)]))
    assert found.records == [*others, *jobs, *others, *map(Ended, ended)]
