"""Which line of the user's file an error comes from: people get that instead of a traceback of ours. No I/O."""

from __future__ import annotations

import traceback
from pathlib import PurePath

from genii.errors import GeniiError, Problem

__all__ = ["describe", "place_of", "problem_of"]


def place_of(error: BaseException, path: str) -> tuple[str, int, str]:
    """Return file, line and function where an error left the user's code: the deepest frame in the folder of ``path``.

    The line is 0 where it never was in there.
    """
    folder = PurePath(path).parent
    found = ("", 0, "")
    for frame, line in traceback.walk_tb(error.__traceback__):
        file = frame.f_code.co_filename
        if file == path or (folder in PurePath(file).parents and "site-packages" not in file):
            found = (file, line, frame.f_code.co_name)
    return found


def describe(error: BaseException) -> str:
    """Return what an error says: our own ones are written for people, of others the kind is told, too."""
    if isinstance(error, GeniiError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return "".join(traceback.format_exception_only(error)).strip()


def problem_of(error: BaseException, path: str) -> Problem:
    """Return the place and the text of an error that came up while a file was being executed."""
    if isinstance(error, SyntaxError) and error.filename:
        return Problem(error.filename, error.lineno or 0, error.offset or 0, error.msg or "invalid syntax")
    file, line, _ = place_of(error, path)
    return Problem(file or path, line, 1 if line else 0, describe(error))
