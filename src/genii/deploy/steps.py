"""Steps redefined in Python: ``@genii.step`` functions of ``tasks.py``.

A step function is asked for shell commands while the plan is made, host by host; it runs nothing itself, so that what
it says can be shown before it happens::

    import genii

    @genii.step("restart")
    def restart(release):
        return f"systemctl restart shop@{release.name}"
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from genii.config.deploy import REPLACEABLE
from genii.errors import ConfigError, Problem, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["StepContext", "StepFunctions", "load_steps", "step"]

_MARK = "__genii_step__"
Function = TypeVar("Function", bound="Callable[..., object]")


class StepContext(msgspec.Struct, frozen=True, kw_only=True):
    """What a step function is told: one release on one host."""

    deployment: str
    host: str
    roles: tuple[str, ...]
    name: str
    """The name of the release, YYYYMMDDHHMMSS."""
    path: str
    """Its directory on the host."""
    root: str
    """The directory that is deployed to."""
    revision: str
    branch: str
    previous: str
    """The release in use now; empty: there is none."""


def step(name: str, *, deploy: str = "") -> Callable[[Function], Function]:
    """Make a function say which shell commands a step is: it gets the release and returns a string or a list.

    ``deploy`` names the one deployment that it is for; otherwise it is for all. None leaves the step as it is.

    Raises:
        UsageError: no step of this name can be redefined.
    """
    if name not in REPLACEABLE:
        raise UsageError(f"@genii.step({name!r}): this is no step that can be redefined ({', '.join(REPLACEABLE)})")

    def mark(function: Function) -> Function:
        setattr(function, _MARK, (name, deploy))
        return function

    return mark


class StepFunctions:
    """The step functions of one file."""

    def __init__(self, functions: Mapping[tuple[str, str], Callable[[StepContext], object]], path: str = "") -> None:
        self._functions = dict(functions)
        self._path = path

    def commands(self, context: StepContext) -> dict[str, tuple[str, ...]]:
        """Return the commands of each step that is redefined for a release on a host.

        Raises:
            ConfigError: a function failed, or returned no commands.
        """
        found = {}
        for name in REPLACEABLE:
            function = self._functions.get((name, context.deployment)) or self._functions.get((name, ""))
            if function is not None and (commands := self._ask(function, context)) is not None:
                found[name] = commands
        return found

    def _ask(self, function: Callable[[StepContext], object], context: StepContext) -> tuple[str, ...] | None:
        try:
            said: Any = function(context)
        except Exception as error:
            line = error.__traceback__.tb_next.tb_lineno if error.__traceback__ and error.__traceback__.tb_next else 0
            raise self._wrong(line, f"{function.__name__} failed: {type(error).__name__}: {error}") from error
        if said is None:
            return None
        commands = (said,) if isinstance(said, str) else said
        if not isinstance(commands, list | tuple) or not all(isinstance(one, str) for one in commands):
            line = function.__code__.co_firstlineno if hasattr(function, "__code__") else 0
            raise self._wrong(line, f"{function.__name__} must return a command or a list of them, not {said!r}")
        return tuple(commands)

    def _wrong(self, line: int, message: str) -> ConfigError:
        return ConfigError([Problem(self._path, line, 1, message)])


def load_steps(path: str) -> StepFunctions:
    """Run a file and return its step functions; a file that does not exist has none.

    Raises:
        ConfigError: the file can't be run.
    """
    if not os.path.exists(path):
        return StepFunctions({})
    with open(path, encoding="utf-8") as file:
        text = file.read()
    if "genii.step" not in text and "import step" not in text:
        return StepFunctions({})
    return StepFunctions(_functions(_run(path, text)), path)


def _run(path: str, text: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "genii_tasks", "__file__": path}
    sys.path.insert(0, os.path.dirname(path))
    try:
        exec(compile(text, path, "exec"), names)  # noqa: S102 -- the user's own file, as make runs a Makefile
    except UsageError as error:
        raise ConfigError([Problem(path, _line_in(path, error), 1, str(error))]) from error
    except SyntaxError as error:
        raise ConfigError([Problem(path, error.lineno or 0, error.offset or 0, f"no Python: {error.msg}")]) from error
    except Exception as error:
        raise ConfigError([Problem(path, _line_in(path, error), 1, f"{type(error).__name__}: {error}")]) from error
    finally:
        sys.path.remove(os.path.dirname(path))
    return names


def _line_in(path: str, error: BaseException) -> int:
    trace, line = error.__traceback__, 0
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == path:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _functions(names: Mapping[str, Any]) -> dict[tuple[str, str], Callable[[StepContext], object]]:
    return {getattr(value, _MARK): value for value in names.values() if callable(value) and hasattr(value, _MARK)}
