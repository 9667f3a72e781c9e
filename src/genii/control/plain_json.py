"""Read and write JSON as the module json does, without the modules that it brings along. No I/O.

json.decoder imports re, and with it enum and functools: a sixth of a ``genii status``. The work is done by ``_json``,
which CPython's own json is built on; where there is none, json itself does it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["dumps", "loads"]


class _Habits:
    """What the scanner asks a ``json.JSONDecoder``, as that has it by default."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float


def loads(data: bytes | str) -> Any:
    """Return the value that a JSON text (UTF-8) stands for.

    Raises:
        ValueError: it is no JSON.
        RecursionError: it is nested too deep.
    """
    text = data if isinstance(data, str) else data.decode()
    try:
        from _json import make_scanner
    except ImportError:
        import json

        return json.loads(text)
    text = text.strip(" \t\n\r")
    try:
        habits: Any = _Habits
        value, end = make_scanner(habits)(text, 0)
    except StopIteration:
        end = -1
    if end != len(text):
        raise ValueError("this is no JSON")
    return value


def dumps(value: object) -> str:
    """Return the JSON text of what consists of dictionaries with names as keys, lists, texts, numbers, truths and None.

    Raises:
        TypeError: it has something else in it.
    """
    match value:
        case None | bool():
            return {None: "null", True: "true", False: "false"}[value]
        case int():
            return int.__repr__(value)
        case float() if value - value == 0:  # neither infinite nor NaN, for which JSON has no words
            return float.__repr__(value)
        case str():
            return _quoted(value)
        case list() | tuple():
            return f"[{', '.join(map(dumps, value))}]"
        case dict():
            return f"{{{', '.join(f'{_quoted(name)}: {dumps(item)}' for name, item in value.items())}}}"
    raise TypeError(f"{value!r} can't be written as JSON")


def _quoted(text: str) -> str:
    try:
        from _json import encode_basestring_ascii as quote
    except ImportError:
        from json.encoder import encode_basestring_ascii as quote
    return quote(text)
