"""Which wheels a host's Python can load, by their names."""

from __future__ import annotations

import pytest

from genii.fleet.interpreter import INTERPRETER, Interpreter, fits, wheel_name

PYTHON = Interpreter("/usr/bin/python3", (3, 11), "x86_64", "glibc")
ALPINE = Interpreter("/usr/bin/python3", (3, 12), "aarch64", "musl")


@pytest.mark.parametrize(
    ("file", "debian", "alpine"),
    [
        ("cronsim-2.8-py3-none-any.whl", True, True),
        ("six-1.16.0-py2.py3-none-any.whl", True, True),
        ("old-1-py2-none-any.whl", False, False),
        ("msgspec-0.22.0-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", True, False),
        ("msgspec-0.22.0-cp312-cp312-manylinux_2_17_x86_64.whl", False, False),
        ("msgspec-0.22.0-cp311-cp311-manylinux_2_17_aarch64.whl", False, False),
        ("msgspec-0.22.0-cp312-cp312-musllinux_1_2_aarch64.whl", False, True),
        ("msgspec-0.22.0-cp311-cp311-macosx_11_0_arm64.whl", False, False),
        ("msgspec-0.22.0-cp311-cp311-win_amd64.whl", False, False),
        ("bcrypt-5.0.0-cp39-abi3-manylinux_2_28_x86_64.whl", True, False),
        ("bcrypt-5.0.0-cp313-abi3-manylinux_2_28_x86_64.whl", False, False),
        ("local-1.0-cp311-cp311-linux_x86_64.whl", True, False),
        ("msgspec-0.22.0-1-cp311-cp311-manylinux2014_x86_64.whl", True, False),
        ("msgspec-0.22.0.tar.gz", False, False),
    ],
)
def test_the_name_tells_whether_it_fits(file: str, debian: bool, alpine: bool) -> None:
    assert (fits(file, PYTHON), fits(file, ALPINE)) == (debian, alpine)


def test_the_name_is_written_in_one_way() -> None:
    assert wheel_name("Typing.Extensions-4.1-py3-none-any.whl") == ("typing_extensions", "4.1")
    with pytest.raises(ValueError, match="no name of a wheel"):
        wheel_name("notes.txt")


def test_the_answer_of_a_host_is_read() -> None:
    answer = b"executable=/usr/bin/python3\nversion=3.11\nmachine=x86_64\nlibc=glibc\n"
    assert INTERPRETER.read(answer) == PYTHON
    assert INTERPRETER.read(b"") == Interpreter()
    assert INTERPRETER.read(b"version=three\nexecutable=x\n") == Interpreter()
