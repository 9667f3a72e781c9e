"""Whatever is in a file: settings, or errors that have a place and say something."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from genii.config.load import load
from genii.errors import ConfigError

VALID = (Path(__file__).parent / "cases" / "accepted-everything.toml").read_bytes()
LINES = VALID.splitlines(keepends=True)
PIECES = st.sampled_from([
    b"[", b"]", b"{", b"}", b"=", b'"', b"'", b"\n", b",", b".", b"#", b"\\", b"${", b"${X}", b"{x}", b"$$", b"\0",
    b"\xff", b"0", b"-1", b"1e400", b"nan", b"true", b'""', b"[]", b"{}", b"'x'", b"[program.x]",
    b"[[program]]", b"1979-05-27", "é".encode(), b"command", b"[defaults]", b"9" * 30, b"\\ud800", b"\\u0000",
])  # fmt: skip
VALUES = st.sampled_from([b"0", b"-1", b"1.5", b"true", b'""', b'"x"', b"[]", b"[0]", b'["x"]', b"{}", b"{ x = 1 }"])


def refused_or_read(data: bytes) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "genii.toml")
        path.write_bytes(data)
        try:
            load(str(path), {})
        except ConfigError as error:
            _check(error, data, str(path))


def _check(error: ConfigError, data: bytes, path: str) -> None:
    assert error.problems
    for problem in error.problems:
        assert problem.message
        assert "\n" not in str(problem)
        assert problem.path == path or problem.line == 0
        assert problem.line <= data.count(b"\n") + 2


@settings(deadline=None, max_examples=100)
@given(st.binary() | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_arbitrary_bytes(data: bytes) -> None:
    refused_or_read(data)


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(st.integers(0, len(VALID)), st.integers(0, 3), PIECES), min_size=1, max_size=4))
def test_a_valid_file_with_pieces_put_in_and_cut_out(changes: list[tuple[int, int, bytes]]) -> None:
    data = VALID
    for place, cut, piece in changes:
        data = data[:place] + piece + data[place + cut :]
    refused_or_read(data)


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(st.integers(0, len(LINES) - 1), VALUES), min_size=1, max_size=5))
def test_a_valid_file_with_other_values(changes: list[tuple[int, bytes]]) -> None:
    lines = list(LINES)
    for number, value in changes:
        key, equals, _ = lines[number].partition(b"=")
        if equals:
            lines[number] = key + b"= " + value + b"\n"
    refused_or_read(b"".join(lines))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.sampled_from(LINES)))
def test_lines_of_a_valid_file_in_any_order(lines: list[bytes]) -> None:
    refused_or_read(b"".join(lines))
