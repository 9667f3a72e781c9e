"""The ``%(name)s`` expressions and the ``KEY="value"`` lists of supervisord's language. No I/O."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from genii.config.source import did_you_mean, quote

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["environment", "expand", "exported"]

_LONGEST = 1 << 20


def expand(text: str, names: Mapping[str, str | int]) -> str:
    """Replace ``%(name)s`` and its like; ``%%`` is a percent sign.

    Raises ValueError for an unknown name or a broken expression.
    """
    if "%" not in text:
        return text
    try:
        expanded = text % names
    except KeyError as error:
        wanted = str(error.args[0])
        if wanted.startswith("ENV_"):
            hint = f"set {wanted[4:]} in the environment, or in environment= of [supervisord]"
        else:
            hint = f"there are {', '.join(name for name in sorted(names) if not name.startswith('ENV_'))} and ENV_NAME"
        raise ValueError(f"%({wanted}) has no value{did_you_mean(wanted, names)}; {hint}") from None
    except (TypeError, ValueError, OverflowError, MemoryError) as error:
        raise ValueError(f"{quote(text)} is not well formed ({error}); write %% for a percent sign") from None
    if len(expanded) > _LONGEST:
        raise ValueError(f"{quote(text)} grows beyond {_LONGEST >> 20} MiB")
    return expanded


def exported(environ: Mapping[str, str]) -> dict[str, str]:
    """Return environment variables under the names that expressions have for them."""
    return {f"ENV_{name}": value for name, value in environ.items()}


def environment(text: str) -> dict[str, str]:
    r"""Read ``KEY="value",KEY2=value``; in quotes, ``\\"`` is a quotation mark.

    Raises ValueError for a missing value, comma or closing quote.
    """
    lexer = shlex.shlex(text, posix=True)
    lexer.wordchars += "/.+-():"
    try:
        tokens = list(lexer)
    except ValueError:
        raise ValueError(f"a quotation mark is not closed in {quote(text)}") from None
    found: dict[str, str] = {}
    for start in range(0, len(tokens), 4):
        group = tokens[start : start + 4]
        if len(group) < 3 or group[1] != "=":
            raise ValueError(f'{quote(text)} is no list of variables; write KEY="value",KEY2="value2"')
        if len(group) == 4 and group[3] != ",":
            raise ValueError(f"a comma is missing after {group[0]}={quote(group[2])}, or the value needs quotes")
        found[group[0]] = group[2]
    return found
