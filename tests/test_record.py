"""Records behave as the frozen dataclasses that they stand for."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import subprocess
import sys

import msgspec
import pytest

from genii.record import record


@record
class Point:
    """A place."""

    x: int
    y: float = 0.5

    def __post_init__(self) -> None:
        if self.x < 0:
            raise ValueError("x")

    @property
    def double(self) -> int:
        return 2 * self.x


def test_is_made_of_positions_names_and_defaults() -> None:
    assert (Point(1).x, Point(1).y) == (1, 0.5)
    assert Point(1, 2.0) == Point(y=2.0, x=1)
    assert Point(3).double == 6
    assert Point.__doc__ == "A place."
    assert repr(Point(1)) == "Point(x=1, y=0.5)"


@pytest.mark.parametrize(
    ("values", "named"), [((), {}), ((1, 2.0, 3), {}), ((1,), {"x": 1}), ((1,), {"z": 1}), ((), {"y": 1.0})]
)
def test_refuses_arguments_that_do_not_fit(values: tuple[object, ...], named: dict[str, object]) -> None:
    with pytest.raises(TypeError, match=r"Point\(\) takes x, y"):
        Point(*values, **named)  # type: ignore[arg-type]


def test_is_checked_frozen_and_without_other_attributes() -> None:
    with pytest.raises(ValueError, match="x"):
        Point(-1)
    with pytest.raises(AttributeError, match="frozen"):
        Point(1).x = 2  # type: ignore[misc]
    with pytest.raises(AttributeError, match="frozen"):
        del Point(1).x
    assert not hasattr(Point(1), "__dict__")


def test_is_equal_by_value_within_its_class() -> None:
    assert Point(1) == Point(1) != Point(2)
    other: object = (1, 0.5)
    assert Point(1) != other
    assert len({Point(1), Point(1), Point(2)}) == 2


def test_is_a_dataclass_to_the_module_dataclasses() -> None:
    kind: object = Point
    assert dataclasses.is_dataclass(kind)
    assert [field.name for field in dataclasses.fields(Point)] == ["x", "y"]
    assert dataclasses.replace(Point(1), y=2.0) == Point(1, 2.0)
    assert dataclasses.asdict(Point(1)) == {"x": 1, "y": 0.5}
    with pytest.raises(ValueError, match="x"):
        dataclasses.replace(Point(1), x=-1)


def test_is_copied_pickled_and_encoded() -> None:
    point = Point(4, 5.0)
    assert copy.copy(point) == copy.deepcopy(point) == pickle.loads(pickle.dumps(point)) == point
    assert msgspec.json.decode(msgspec.json.encode(point), type=Point) == point


def test_a_prefork_server_loads_no_large_module_that_it_does_not_need() -> None:
    large = ("argparse", "asyncio", "dataclasses", "inspect", "logging", "random", "re", "subprocess", "typing")
    code = f"import sys, genii.serve.prefork; sys.exit(' '.join(set({large!r}) & set(sys.modules)) or None)"
    # -S: what a .pth file of an installation imports is not ours to say.
    path = f"import sys; sys.path[:0] = {[entry for entry in sys.path if entry]!r}; "
    done = subprocess.run([sys.executable, "-I", "-S", "-c", path + code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
