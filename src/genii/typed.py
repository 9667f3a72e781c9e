"""What classes need of the module typing when they are made, without that module. No I/O.

With what it imports (re, contextlib, functools) typing takes 1 MiB, which a prefork server pays in memory and in the
time of each fork. To type checkers these are the names of typing itself.
"""

from __future__ import annotations

from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple, dataclass_transform
else:
    _OWN = {"__annotations__", "__module__", "__qualname__", "__classcell__"}

    class _Maker(type):
        """Makes a named tuple of a class of annotated fields."""

        def __new__(mcs, name, bases, namespace):
            if not bases:
                return super().__new__(mcs, name, bases, namespace)
            fields = namespace.get("__annotations__", {})
            defaults = [namespace[field] for field in fields if field in namespace]
            made = namedtuple(name, fields, defaults=defaults, module=namespace["__module__"])  # noqa: PYI024
            made.__annotations__ = made.__new__.__annotations__ = fields
            made.__qualname__ = namespace["__qualname__"]
            for key, value in namespace.items():
                if key not in fields and key not in _OWN:
                    setattr(made, key, value)
            return made

    class NamedTuple(metaclass=_Maker):
        """``class Point(NamedTuple): x: int; y: int = 0``, as with typing."""

    def dataclass_transform(**_):
        """Do nothing: it speaks to type checkers."""
        return lambda function: function


__all__ = ["TYPE_CHECKING", "NamedTuple", "dataclass_transform"]
