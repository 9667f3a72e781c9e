"""Messages of a prefork server, for the logger ``genii.prefork``.

The module logging, and threading with it, have hooks that run in every forked process: a hundred pages that are copied
for each worker. So it is not imported before somebody would see a message: a program that has not imported it has no
handlers either, and gets warnings and errors only, as logging does it.
"""

from __future__ import annotations

import sys

from genii.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

__all__ = ["debug", "error", "exception", "info", "warning"]

_NAME = "genii.prefork"
_CALLER = 3  # frames up from logging's own


def debug(text: str, *arguments: object) -> None:
    """Tell what only a programmer wants to know."""
    _tell("debug", text, arguments, wanted=False)


def info(text: str, *arguments: object) -> None:
    """Tell what happens in the ordinary course."""
    _tell("info", text, arguments, wanted=False)


def warning(text: str, *arguments: object) -> None:
    """Tell what ought not to happen."""
    _tell("warning", text, arguments)


def error(text: str, *arguments: object, cause: BaseException | None = None) -> None:
    """Tell what went wrong, with the traceback of its cause if there is one."""
    _tell("error", text, arguments, exc_info=cause)


def exception(text: str, *arguments: object) -> None:
    """Tell what went wrong, with the traceback of the exception that is being handled."""
    _tell("error", text, arguments, exc_info=True)


def _tell(level: str, text: str, arguments: tuple[object, ...], *, wanted: bool = True, exc_info: Any = None) -> None:
    if not wanted and "logging" not in sys.modules:
        return
    import logging

    getattr(logging.getLogger(_NAME), level)(text, *arguments, exc_info=exc_info, stacklevel=_CALLER)
