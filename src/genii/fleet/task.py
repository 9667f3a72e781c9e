"""What a task is: a function, the hosts it is for, what goes before, after and around it, and in which order. No I/O.

``@task`` registers nothing: it returns a ``Task``, and whoever loads a file of tasks looks for these.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, overload

from genii.errors import ConfigError, Problem, UsageError
from genii.fleet.parameters import Parameter, parameters_of
from genii.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Function = Callable[..., Any]

__all__ = ["Hooks", "Task", "in_order", "task", "tasks_in"]

F = TypeVar("F", bound="Callable[..., Any]")


@dataclass(slots=True)
class Hooks:
    """What is called beside a task; each list in the order in which it was declared."""

    begin: list[Function] = field(default_factory=list)
    before: list[Function] = field(default_factory=list)
    around: list[Function] = field(default_factory=list)
    after: list[Function] = field(default_factory=list)
    end: list[Function] = field(default_factory=list)


class Task:
    """A function that is run on hosts; calling it calls the function.

    Its hooks are added with decorators, and called in this order: ``begin`` once; then for each host ``before``,
    ``around``, the function, the rest of ``around``, ``after``; and ``end`` once. A failing ``before`` or ``around``
    keeps the function from running; ``after`` and ``end`` are called in any case.
    """

    def __init__(
        self,
        function: Function,
        *,
        name: str = "",
        desc: str = "",
        hosts: str | Sequence[str] = (),
        needs: Sequence[Task] = (),
        check: str = "",
        sudo: bool = False,
        timeout: float | str | None = None,
        limit: int | None = None,
    ) -> None:
        self.function = function
        self.name = name or function.__name__.replace("_", "-")
        self.desc = desc or (inspect.getdoc(function) or "").partition("\n")[0]
        self.hosts: tuple[str, ...] = (hosts,) if isinstance(hosts, str) else tuple(hosts)
        self.needs = tuple(needs)
        self.check = check
        self.sudo = sudo
        self.timeout = None if timeout is None else _seconds(self.name, timeout)
        self.limit = limit
        self.hooks = Hooks()
        self.parameters: tuple[Parameter, ...] = parameters_of(function)
        self.__doc__ = function.__doc__
        self.__name__ = function.__name__
        for need in self.needs:
            if not isinstance(need, Task):
                raise UsageError(f"task {self.name}: needs={need!r} is no task; name functions marked with @genii.task")
            if missing := [one.name for one in need.parameters if one.required]:
                raise UsageError(f"task {self.name} needs {need.name}, which can't run without {', '.join(missing)}")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function itself, without its hooks: a task can be used as a part of another."""
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<task {self.name}>"

    @property
    def place(self) -> tuple[str, int]:
        """The file and the line where the function stands."""
        code = getattr(inspect.unwrap(self.function), "__code__", None)
        return (code.co_filename, code.co_firstlineno) if code is not None else ("", 0)

    def begin(self, hook: F) -> F:
        """Have ``hook(hosts)`` called once, with the names of all hosts, before the first of them."""
        self.hooks.begin.append(hook)
        return hook

    def before(self, hook: F) -> F:
        """Have ``hook(host)`` called on each host before the function."""
        self.hooks.before.append(hook)
        return hook

    def around(self, hook: F) -> F:
        """Have ``hook(host)``, a generator, run to its ``yield`` before the function and to its end after it."""
        function: Any = hook
        if not (inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)):
            raise UsageError(f"{function.__name__}() can't go around {self.name}: it has no yield")
        self.hooks.around.append(hook)
        return hook

    def after(self, hook: F) -> F:
        """Have ``hook(host, error)`` called on each host after the function; the error is None if it went well."""
        self.hooks.after.append(hook)
        return hook

    def end(self, hook: F) -> F:
        """Have ``hook(outcomes)`` called once after the last host, with what became of each."""
        self.hooks.end.append(hook)
        return hook


def _seconds(name: str, timeout: float | str) -> float:
    try:
        return parse_duration(timeout)
    except ValueError as error:
        raise UsageError(f"task {name}: timeout: {error}") from None


@overload
def task(function: Function, /) -> Task: ...
@overload
def task(
    *,
    name: str = "",
    desc: str = "",
    hosts: str | Sequence[str] = (),
    needs: Sequence[Task] = (),
    check: str = "",
    sudo: bool = False,
    timeout: float | str | None = None,
    limit: int | None = None,
) -> Callable[[Function], Task]: ...
def task(function: Function | None = None, /, **settings: Any) -> Task | Callable[[Function], Task]:
    """Make a function a task; it is called with a host, and with parameters from the command line.

    ``hosts`` says where it runs, as ``--on`` does (``"web,!web07"``); a list of them is gone through in order, each
    when the one before is done. ``desc`` is what listings show (default: the first line of the docstring). ``needs``
    are tasks that run on each host before it. ``check`` is a command that must pass on a host before anything is done
    there. ``sudo`` runs all commands as root. ``timeout`` (seconds, or ``"5m"``) is for one host, ``limit`` for how
    many hosts at once.

    Raises:
        UsageError: the function can't be a task; the text says why.
    """
    if function is not None:
        return Task(function)
    return lambda found: Task(found, **settings)


def tasks_in(names: Mapping[str, object]) -> dict[str, Task]:
    """Return the tasks among the names of a module, by task name, in the order of the file.

    Raises:
        ConfigError: two tasks have one name.
    """
    found: dict[str, Task] = {}
    for value in names.values():
        if not isinstance(value, Task):
            continue
        known = found.setdefault(value.name, value)
        if known is not value:
            (path, line), (_, earlier) = value.place, known.place
            text = f"there is a task {value.name!r} in line {earlier} already; rename one"
            raise ConfigError([Problem(path, line, 1, text)])
    return found


def in_order(wanted: Task) -> list[Task]:
    """Return what runs on a host for a task: what it needs, each once, then itself."""
    order: list[Task] = []

    def visit(one: Task) -> None:
        if one not in order:
            for need in one.needs:
                visit(need)
            order.append(one)

    visit(wanted)
    return order
