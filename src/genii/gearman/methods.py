"""Which methods of a worker class are jobs, under which names, and how they are called. No I/O."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, NamedTuple

from genii.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Ability", "ability", "is_job_name", "methods"]


class Ability(NamedTuple):
    """A function that a worker offers."""

    name: str
    function: Callable[..., Any]
    is_async: bool
    wants_job: bool
    """Whether it takes the running job as its second argument."""
    timeout: float
    """Seconds after which the server gives the job to another worker; 0: never."""


def is_job_name(name: str) -> bool:
    """Say whether a method of this name becomes a job: not if it begins with ``_`` or is all in capitals."""
    return not name.startswith("_") and not name.isupper()


def ability(name: str, function: Callable[..., Any], timeout: float = 0.0) -> Ability:
    """Describe a function for registration.

    Raises UsageError for a name or a signature that can't be one of a job.
    """
    if not name or "\0" in name or len(name.encode()) > 512:
        raise UsageError(f"{name!r} can't be the name of a job: it has 1 to 512 bytes, none of them NUL")
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # some built-in functions have no signature
        parameters = []
        positional = 1
    else:
        kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        required = [p for p in parameters if p.kind in kinds and p.default is inspect.Parameter.empty]
        positional = len(required) or min(1, len(parameters))
    if positional not in (1, 2):
        raise UsageError(f"the job {name} takes {positional} arguments; it gets its payload, and its job if it wants")
    return Ability(name, function, inspect.iscoroutinefunction(function), positional == 2, timeout)


def methods(instance: object, base: type, prefix: str) -> list[tuple[str, Callable[..., Any]]]:
    """Return the public methods of an object that classes below ``base`` define, with the names of their jobs.

    Raises UsageError when one has the name of a method of ``base``, which it would replace.
    """
    found: dict[str, Callable[..., Any]] = {}
    for cls in type(instance).__mro__:
        if cls is base or cls is object:
            continue
        if issubclass(base, cls):
            continue
        for name, value in vars(cls).items():
            if not is_job_name(name) or isinstance(value, property) or name in found:
                continue
            bound = getattr(instance, name)
            if not inspect.isroutine(bound):
                continue
            if hasattr(base, name):
                raise UsageError(f"{cls.__name__}.{name} can't be a job: {base.__name__} has a method of that name")
            found[name] = bound
    return [(prefix + name, found[name]) for name in sorted(found)]
