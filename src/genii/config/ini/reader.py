"""Read the options of one section: expand, convert, and say with its place what is wrong. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from genii.config.ini.expand import expand
from genii.config.source import did_you_mean
from genii.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from genii.config.ini.text import Option, Section
    from genii.config.source import Faults

__all__ = ["Outside", "Reader"]

T = TypeVar("T")


class Outside(Protocol):
    """What a configuration asks of the machine it is read on."""

    host: str
    """The name of this host."""
    directory: str
    """The working directory."""
    temporary: str
    """Where temporary files go."""
    environ: Mapping[str, str]

    def is_directory(self, path: str) -> bool:
        """Say whether there is a directory at ``path``."""

    def expand_home(self, path: str) -> str:
        """Return a path with ``~`` and ``~user`` replaced."""

    def user(self, text: str) -> tuple[int, int]:
        """Return the numbers of a user, given by name or number, and of its group; raises ValueError."""

    def group(self, text: str) -> int:
        """Return the number of a group, given by name or number; raises ValueError."""


class Reader:
    """One section whose options are read one by one; ``finish`` warns of those that nobody asked for."""

    def __init__(self, section: Section, faults: Faults, names: Mapping[str, str | int]) -> None:
        self.section = section
        self.names = names
        self._faults = faults
        self._asked: set[str] = set()

    def option(self, key: str) -> Option | None:
        """Return an option as it is written."""
        self._asked.add(key)
        return self.section.options.get(key)

    def has(self, key: str) -> bool:
        """Say whether an option is written."""
        return self.option(key) is not None

    def text(self, key: str, default: str = "", names: Mapping[str, str | int] | None = None) -> str:
        """Return the expanded text of an option."""
        return self.get(key, str, default, names)

    def get(self, key: str, parse: Callable[[str], T], default: T, names: Mapping[str, str | int] | None = None) -> T:
        """Return the value of an option; what is wrong with it is reported, and the default stands in."""
        option = self.option(key)
        if option is None:
            return default
        try:
            return parse(expand(option.value, self.names if names is None else names))
        except ValueError as error:
            self.error(str(error), key)
            return default

    def error(self, message: str, key: str = "") -> None:
        """Report what is wrong with an option, or with the section."""
        self._faults.add(self._problem(message, key))

    def warn(self, message: str, key: str = "") -> None:
        """Report what is doubtful."""
        self._faults.warn(self._problem(message, key))

    def _problem(self, message: str, key: str) -> Problem:
        option = self.section.options.get(key)
        text = f"[{self.section.name}] {key + ': ' if key else ''}{message}"
        if option is None:
            return Problem(self.section.path, self.section.line, 1, text)
        return Problem(option.path, option.line, 1, text)

    def finish(self, known: tuple[str, ...] = ()) -> None:
        """Warn of options that mean nothing: supervisord ignores them without a word, and so a typo."""
        for key in self.section.options:
            if key not in self._asked and key not in known:
                hint = did_you_mean(key, {*self._asked, *known})
                self.warn(f"is no option of this section and is ignored{hint}", key)
