"""The stand-in for typing.NamedTuple makes what the real one makes."""

from __future__ import annotations

import pickle
import typing

import msgspec
import pytest

from genii.typed import NamedTuple


class Light(NamedTuple):
    """What it is."""

    name: str
    number: int = 7

    @property
    def double(self) -> int:
        return 2 * self.number

    @classmethod
    def empty(cls) -> Light:
        return cls("")


class Real(typing.NamedTuple):
    name: str
    number: int = 7


def test_has_fields_defaults_and_methods() -> None:
    light = Light("a")
    assert light == ("a", 7)
    assert (light.double, Light.empty().name, Light.__doc__) == (14, "", "What it is.")
    assert repr(light) == "Light(name='a', number=7)"
    assert light._replace(number=1)._asdict() == {"name": "a", "number": 1}


@pytest.mark.parametrize("attribute", ["_fields", "_field_defaults", "__module__", "__match_args__"])
def test_describes_itself_as_the_real_one(attribute: str) -> None:
    assert getattr(Light, attribute) == getattr(Real, attribute)


def test_is_a_plain_class_of_tuples() -> None:
    assert Light.__bases__ == (tuple,)
    assert isinstance(Light("a"), tuple)
    with pytest.raises(AttributeError):
        Light("a").name = "b"  # type: ignore[misc]
    with pytest.raises(TypeError):
        Light()  # type: ignore[call-arg]


def test_is_pickled_and_encoded() -> None:
    light = Light("a", 3)
    assert pickle.loads(pickle.dumps(light)) == light
    assert msgspec.json.decode(msgspec.json.encode(light), type=Light) == light
    assert typing.get_type_hints(Light) == {"name": str, "number": int}
