"""The parameters of a task: from a function's signature, and from the words of a command line to values. No I/O."""

from __future__ import annotations

import inspect
import pathlib
import types
import typing
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

from genii.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Parameter", "bind", "parameters_of"]

_TRUE = frozenset({"1", "yes", "true", "on"})
_FALSE = frozenset({"0", "no", "false", "off"})
_SIMPLE: dict[Any, str] = {str: "text", int: "whole number", float: "number", bool: "yes or no", pathlib.Path: "path"}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a task, as the command line knows it."""

    name: str
    """With ``_``, as in Python."""
    convert: Callable[[str], Any]
    """From a word to a value; raises ValueError."""
    kind: str
    """What is expected, for people."""
    required: bool = False
    default: Any = None
    many: bool = False
    """Whether it is a list: its option can be given more than once."""
    flag: bool = False
    """Whether it is a switch: ``--name`` and ``--no-name``."""
    choices: tuple[str, ...] = ()

    @property
    def option(self) -> str:
        """Return the name of the option."""
        return "--" + self.name.replace("_", "-")


def parameters_of(function: Callable[..., Any]) -> tuple[Parameter, ...]:
    """Return the parameters of a task's function after the first, which is the host.

    Raises:
        UsageError: a parameter can't be given on a command line.
    """
    signature = inspect.signature(function)
    names = list(signature.parameters.values())
    if not names or names[0].kind in (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD):
        raise UsageError(f"{function.__name__}() takes no host: its first parameter is the host")
    rest = names[1:] if names[0].kind is not inspect.Parameter.VAR_POSITIONAL else names
    hints = _hints(function)
    return tuple(_parameter(function.__name__, one, hints.get(one.name)) for one in rest)


def _hints(function: Callable[..., Any]) -> Mapping[str, Any]:
    """Return the annotations, each on its own: that of the host may name what is imported for type checkers only."""
    found = {}
    # What a file imports for type checkers only is not there when it runs; these are the names that it may well be.
    scope = {**vars(typing), "Path": pathlib.Path, "pathlib": pathlib, **getattr(function, "__globals__", {})}
    for name, hint in inspect.get_annotations(function).items():
        if not isinstance(hint, str):
            found[name] = hint
            continue
        holder = types.SimpleNamespace(__annotations__={name: hint})
        try:
            found[name] = typing.get_type_hints(holder, globalns=scope)[name]
        except (NameError, TypeError, AttributeError, SyntaxError):
            found[name] = hint
    return found


def _parameter(function: str, one: inspect.Parameter, hint: Any) -> Parameter:
    if one.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
        raise UsageError(f"{function}(): a task can't have *{one.name}; name its parameters, or take a list[str]")
    required = one.default is inspect.Parameter.empty
    default = None if required else one.default
    if hint is None:
        hint = type(default) if type(default) in _SIMPLE else str
    hint = _without_none(hint)
    many = get_origin(hint) in (list, tuple, set, frozenset) or hint in (list, tuple, set, frozenset)
    item = (get_args(hint) or (str,))[0] if many else hint
    try:
        convert, kind, choices = _converter(item)
    except TypeError:
        raise UsageError(
            f"{function}(): {one.name} has the type {hint!r}, which no word of a command line can be; "
            "use str, int, float, bool, Path, Literal, an Enum, or a list of them"
        ) from None
    collect = get_origin(hint) or hint
    if many and not required and default is None:
        default = collect()
    return Parameter(one.name, convert, kind, required, default, many, item is bool and not many, choices)


def _without_none(hint: Any) -> Any:
    if get_origin(hint) in (Union, types.UnionType):
        others = [one for one in get_args(hint) if one is not type(None)]
        if len(others) == 1:
            return others[0]
    return hint


def _converter(item: Any) -> tuple[Callable[[str], Any], str, tuple[str, ...]]:
    """Return how to read a word, what it is called, and what it can be; raises TypeError."""
    if item is bool:
        return _truth, _SIMPLE[bool], ()
    if item in _SIMPLE:
        return item, _SIMPLE[item], ()
    if get_origin(item) is Literal:
        values = {str(one): one for one in get_args(item)}
        return values.__getitem__, " or ".join(values), tuple(values)
    if isinstance(item, type) and issubclass(item, Enum):
        members = {one.name: one for one in item}
        return members.__getitem__, " or ".join(members), tuple(members)
    raise TypeError(item)


def _truth(word: str) -> bool:
    lowered = word.lower()
    if lowered not in _TRUE | _FALSE:
        raise ValueError(word)
    return lowered in _TRUE


def bind(parameters: tuple[Parameter, ...], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values for a call: words are converted, what is not given has its default.

    ``given`` maps names to a word, to a list of words, or to a truth value for a switch.

    Raises:
        UsageError: a word is not of the type, or a required parameter is missing.
    """
    values: dict[str, Any] = {}
    for parameter in parameters:
        word = given.get(parameter.name)
        if word is None:
            if parameter.required:
                raise UsageError(f"{parameter.option} is missing: {parameter.kind}")
            values[parameter.name] = parameter.default
        elif isinstance(word, bool):
            values[parameter.name] = word
        elif parameter.many:
            values[parameter.name] = [_value(parameter, one) for one in word]
        else:
            values[parameter.name] = _value(parameter, word)
    return values


def _value(parameter: Parameter, word: str) -> Any:
    if parameter.choices and word not in parameter.choices:
        raise UsageError(f"{parameter.option}: expected {parameter.kind}, not {word!r}")
    try:
        return parameter.convert(word)
    except ValueError:
        raise UsageError(f"{parameter.option}: expected a {parameter.kind}, not {word!r}") from None
