"""Templates of files: jinja2, imported when the first one is rendered. A name that is not defined is an error."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from genii.errors import ConfigError, Problem, UsageError
from genii.fleet.parts import need

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["render"]


def render(path: str, variables: Mapping[str, object]) -> str:
    """Render the template in a file of this machine; it may include others beside it.

    Raises:
        ConfigError: the template is wrong, or uses a name that it was not given; names its line.
        UsageError: jinja2 is not installed, or there is no such file.
    """
    jinja2 = need("jinja2", "a template")
    folder, name = os.path.split(os.path.abspath(path))
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,
    )
    try:
        text: str = environment.get_template(name).render(variables)
        return text
    except jinja2.TemplateNotFound as error:
        raise UsageError(f"there is no template {os.path.join(folder, error.name or name)}") from None
    except jinja2.TemplateSyntaxError as error:
        raise ConfigError([Problem(error.filename or path, error.lineno, 1, error.message or "wrong syntax")]) from None
    except jinja2.UndefinedError as error:
        raise ConfigError([Problem(path, _line(error, folder), 1, error.message or "undefined")]) from None


def _line(error: BaseException, folder: str) -> int:
    """Return the line of the template: jinja2 puts it into the traceback."""
    line = 0
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename.startswith(folder + os.sep):
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
