"""Frozen records that are dataclasses to everybody, without the module dataclasses before somebody asks for it. No I/O.

That module brings inspect, ast, dis and tokenize along: 1.3 MiB in each process that means to be small.
"""

from __future__ import annotations

from operator import attrgetter

from genii.typed import TYPE_CHECKING, dataclass_transform

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, TypeVar

    T = TypeVar("T")

__all__ = ["record"]


@dataclass_transform(frozen_default=True)
def record(cls: type[T]) -> type[T]:
    """Make a class of annotated fields a frozen one with slots, as ``dataclass(frozen=True, slots=True)`` does.

    ``__post_init__`` is called; there is no inheritance of fields and no ``field()``.
    """
    names = tuple(cls.__annotations__)
    defaults = {name: cls.__dict__[name] for name in names if name in cls.__dict__}
    methods = {name: value for name, value in cls.__dict__.items() if name not in {*names, "__dict__", "__weakref__"}}
    shared = {
        "__slots__": names,
        "__match_args__": names,
        "__dataclass_fields__": _Fields(defaults),
        "__init__": _initializer(names, defaults),
        "__setattr__": _refuse,
        "__delattr__": _refuse,
        **_comparison(names),
        "__repr__": _describe,
        "__getstate__": _state,
        "__setstate__": _set_state,
    }
    return type(cls.__name__, cls.__bases__, {**shared, **methods, "__qualname__": cls.__qualname__})


class _Fields:
    """What the functions of the module dataclasses look at: made when it is looked at."""

    def __init__(self, defaults: Mapping[str, object]) -> None:
        self._defaults = defaults

    def __get__(self, instance: object, owner: type) -> object:
        from dataclasses import dataclass

        twin = type(owner.__name__, (), {"__annotations__": owner.__annotations__, **self._defaults})
        fields = vars(dataclass(frozen=True)(twin))["__dataclass_fields__"]
        owner.__dataclass_fields__ = fields  # type: ignore[attr-defined]
        return fields


def _initializer(names: tuple[str, ...], defaults: Mapping[str, object]) -> Any:
    def __init__(self: Any, *values: object, **named: object) -> None:  # noqa: N807 -- it becomes one
        given = dict(zip(names, values, strict=False))
        wrong = [*(name for name in named if name not in names or name in given), *values[len(names) :]]
        given = {**defaults, **given, **named}
        missing = [name for name in names if name not in given]
        if wrong or missing:
            raise TypeError(f"{type(self).__name__}() takes {', '.join(names)}; wrong: {wrong}, missing: {missing}")
        for name in names:
            object.__setattr__(self, name, given[name])
        if hasattr(self, "__post_init__"):
            self.__post_init__()

    return __init__


def _values(self: Any) -> tuple[object, ...]:
    return tuple(getattr(self, name) for name in self.__slots__)


def _refuse(self: object, name: str, *_: object) -> None:
    raise AttributeError(f"{type(self).__name__} is frozen: can't assign to {name!r}")


def _comparison(names: tuple[str, ...]) -> dict[str, object]:
    values = attrgetter(*names)  # in C: what keeps equal records once compares many of them

    def __eq__(self: object, other: object) -> bool:  # noqa: N807 -- it becomes one
        return bool(values(self) == values(other)) if type(self) is type(other) else NotImplemented

    def __hash__(self: object) -> int:  # noqa: N807
        return hash(values(self))

    return {"__eq__": __eq__, "__hash__": __hash__}


def _describe(self: Any) -> str:
    fields = ", ".join(f"{name}={value!r}" for name, value in zip(self.__slots__, _values(self), strict=True))
    return f"{type(self).__qualname__}({fields})"


def _state(self: object) -> tuple[object, ...]:
    return _values(self)


def _set_state(self: Any, values: tuple[object, ...]) -> None:
    for name, value in zip(self.__slots__, values, strict=True):
        object.__setattr__(self, name, value)
