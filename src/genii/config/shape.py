"""Whether a table has the keys and types that the schema names, every fault with its path. No I/O.

msgspec converts a right table at once; it stops at the first fault of a wrong one, so a wrong one is walked again here.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from genii.config.habits import HABITS
from genii.config.source import did_you_mean, quote

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from msgspec import inspect

    from genii.config.locate import Path
    from genii.config.source import Scope

__all__ = ["convert"]

Record = TypeVar("Record", bound=msgspec.Struct)
Fault = tuple["Path", str, bool]
"""Path, message, and whether the key is at fault rather than its value."""

_MOST_FAULTS = 100
"""Of one table: more is not read by anybody, and garbage can have a million."""

_ASTRONOMIC = 1_000_000
"""An upper bound of which nobody needs to be told who was below the lower one."""

_KINDS = {
    "IntType": "a whole number", "FloatType": "a number", "StrType": "a string in quotes", "BoolType": "true or false",
    "ListType": "a list", "StructType": "a table", "DictType": "a table", "LiteralType": "a string in quotes",
}  # fmt: skip
_TAKES: tuple[tuple[type, frozenset[str]], ...] = (
    (bool, frozenset({"BoolType"})),
    (int, frozenset({"IntType", "FloatType"})),
    (float, frozenset({"FloatType"})),
    (str, frozenset({"StrType", "LiteralType"})),
    (list, frozenset({"ListType"})),
    (dict, frozenset({"StructType", "DictType"})),
)


def convert(table: Mapping[str, Any], record: type[Record], scope: Scope, path: Path = ()) -> Record | None:
    """Return the table as a record; report what is wrong with it and leave those keys out.

    None where nothing is left that could be used.
    """
    try:
        return msgspec.convert(table, record)
    except msgspec.ValidationError as error:
        if scope.faults.full:
            return None
        faults = list(islice(_faults(table, _kind(record, scope), ()), _MOST_FAULTS))
        if not faults:
            scope.error(path, str(error))
            return None
    usable: Any = table
    for where, message, at_key in faults:
        usable = _without(usable, where)
        scope.error((*path, *where), message, key=at_key)
    try:
        return msgspec.convert(usable, record)
    except msgspec.ValidationError:
        return None


def _kind(record: type, scope: Scope) -> Any:
    if record not in scope.faults.kinds:
        from msgspec import inspect

        scope.faults.kinds[record] = inspect.type_info(record)
    return scope.faults.kinds[record]


def _without(table: Any, path: Path) -> Any:
    """Return the table without the key that ``path`` leads to, or the list that the path goes into."""
    if not path or path[0] not in table:
        return table
    rest = table[path[0]]
    if len(path) > 1 and isinstance(rest, dict):
        return table | {path[0]: _without(rest, path[1:])}
    return {key: value for key, value in table.items() if key != path[0]}


def _faults(value: Any, kind: inspect.Type, path: Path) -> Iterator[Fault]:
    for candidate in _members(kind):
        if _takes(candidate, value):
            yield from _inside(value, candidate, path)
            return
    kinds = dict.fromkeys(text for member in _members(kind) for text in _expected(member))
    if "a number" in kinds:
        kinds.pop("a whole number", None)
    *others, last = filter(None, kinds)
    expected = f"{', '.join(others)} or {last}" if others else last
    yield path, f"expected {expected}, not {_shown(value)}", False


def _expected(kind: Any) -> tuple[str, ...]:
    if type(kind).__name__ == "LiteralType":
        return tuple(f'"{choice}"' for choice in kind.values)
    return (_KINDS.get(type(kind).__name__, ""),)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return quote(value)
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "a table"
    return "a date or time"


def _members(kind: Any) -> list[Any]:
    while type(kind).__name__ == "Metadata":
        kind = kind.type
    if type(kind).__name__ == "UnionType":
        return [member for one in kind.types for member in _members(one)]
    return [kind]


def _takes(kind: Any, value: object) -> bool:
    name = type(kind).__name__
    if name == "AnyType":
        return True
    return any(isinstance(value, of) and name in names for of, names in _first_match(value))


def _first_match(value: object) -> Iterator[tuple[type, frozenset[str]]]:
    # bool is an int for Python, and must not be one here.
    for of, names in _TAKES:
        if isinstance(value, of):
            yield of, names
            return


def _inside(value: Any, kind: Any, path: Path) -> Iterator[Fault]:
    name = type(kind).__name__
    if name == "StructType":
        yield from _table_faults(value, kind, path)
    elif name == "DictType":
        for key, item in value.items():
            yield from _faults(item, kind.value_type, (*path, key))
    elif name == "ListType":
        for number, item in enumerate(value):
            yield from _faults(item, kind.item_type, (*path, number))
    elif name == "LiteralType" and value not in kind.values:
        choices = ", ".join(kind.values[:-1]) + f" or {kind.values[-1]}"
        yield path, f"expected {choices}, not {quote(value)}{did_you_mean(value, kind.values)}", False
    elif name in ("IntType", "FloatType"):
        yield from _range_faults(value, kind, path)


def _table_faults(table: Mapping[str, Any], kind: Any, path: Path) -> Iterator[Fault]:
    fields = {field.encode_name: field for field in kind.fields}
    for key, value in table.items():
        if key in fields:
            yield from _faults(value, fields[key].type, (*path, key))
        else:
            hint = _habit(key) or did_you_mean(key, fields) or f"; remove it (known here: {_listed(fields)})"
            yield (*path, key), f"unknown key{hint}", True
    for key, field in fields.items():
        if field.required and key not in table:
            yield path, f"the key {key!r} is missing; add it", False


def _habit(key: str) -> str:
    return f"; {HABITS[key]}" if key in HABITS else ""


def _listed(names: Mapping[str, Any]) -> str:
    return ", ".join(names) if len(names) <= 12 else f"{', '.join(list(names)[:10])} and {len(names) - 10} more"


def _range_faults(value: float, kind: Any, path: Path) -> Iterator[Fault]:
    low, high = kind.ge, kind.le
    if (low is None or value >= low) and (high is None or value <= high):
        return
    if high is None or (value < low and high > _ASTRONOMIC):
        yield path, f"must be {_number(low)} or more, not {quote(value)}", False
    else:
        yield path, f"must be between {_number(low)} and {_number(high)}, not {quote(value)}", False


def _number(value: float) -> str:
    return str(value).removesuffix(".0")
