"""``${VARIABLE}``, ``${VARIABLE:-default}``, ``$$`` and ``{name}`` in the strings of the file. No I/O.

What the environment or the file knows is put in now; what differs between the processes of a program
(``genii.supervise.template``) stays for later, where it is allowed. A lone ``$`` is itself: a shell may mean it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from genii.config.source import did_you_mean
from genii.supervise.template import PER_PROCESS, escape

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from genii.config.locate import Path

__all__ = ["REFERENCE", "Names", "expand", "expand_table"]

REFERENCE = re.compile(
    r"""\$(?P<dollar>\$(?:\{[^}]*\})?)
    | \$\{(?P<variable>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}
    | (?P<broken>\$\{[^}]{0,40}\}?)
    | \{(?P<doubled>\{[a-z_]+(?::\d{1,2})?\})\}
    | \{(?P<word>[a-z_]+)(?::\d{1,2})?\}""",
    re.VERBOSE,
)
"""All that genii puts something in for, and the doubled braces that it leaves alone."""

_DEEPEST = 8
"""Nothing in the file is nested as deep; what is deeper is refused by its shape."""


class Names(msgspec.Struct, frozen=True):
    """What may be named: variables, words in braces, and whether those of a process may be left for later."""

    variables: Mapping[str, str]
    words: Mapping[str, str]
    per_process: bool = False


def expand(text: str, names: Names, quoted: Callable[[str, int], str] | None = None) -> str:
    """Return the text with its references replaced.

    ``quoted(value, offset)`` may dress a value for the place in the text where it is put.
    Raises ValueError that names what is unknown.
    """
    if "\0" in text:
        raise ValueError("contains a NUL byte, which no program can be given; remove it")
    if "$" not in text and "{" not in text:
        return text

    def replaced(match: re.Match[str]) -> str:
        if match["doubled"]:
            return match[0] if names.per_process else match["doubled"]
        if match["word"] in PER_PROCESS and names.per_process:
            return match[0]
        value = _word(match["word"], names) if match["word"] else _variable(match, names)
        value = quoted(value, match.start()) if quoted else value
        return escape(value) if names.per_process else value

    return REFERENCE.sub(replaced, text)


def _word(word: str, names: Names) -> str:
    if word in names.words:
        return names.words[word]
    if word in PER_PROCESS:
        raise ValueError(f"{{{word}}} differs between processes and has no meaning here; remove it")
    known = [*names.words, *(PER_PROCESS if names.per_process else ())]
    hint = did_you_mean(word, known) or f" (known: {', '.join(known)})"
    raise ValueError(f"unknown name {{{word}}}{hint}; for the braces themselves write {{{{{word}}}}}")


def _variable(match: re.Match[str], names: Names) -> str:
    if match["dollar"]:
        return match["dollar"]
    if match["broken"]:
        raise ValueError(f"{match['broken']} is not ${{NAME}} or ${{NAME:-default}}; for a plain dollar sign write $$")
    name, default = match["variable"], match["default"]
    found = names.variables.get(name, "")
    if found or (name in names.variables and default is None):
        return found
    if default is not None:
        return default
    raise ValueError(
        f"${{{name}}} is not set{did_you_mean(name, names.variables)}; set it, write ${{{name}:-default}}, "
        f"or ${name} for a variable that exists only when the program starts"
    )


def expand_table(
    table: Any, names_for: Callable[[Path], Names | None], fault: Callable[[Path, str], None], path: Path = ()
) -> Any:
    """Return a table, list or value with all of its strings expanded; itself where nothing changes.

    ``names_for`` says what may be named at a path, None to leave what is there alone; ``fault`` is told what is wrong.
    """
    if isinstance(table, str):
        return _expand_string(table, names_for, fault, path)
    if len(path) >= _DEEPEST or not isinstance(table, dict | list):
        return table
    items = table.items() if isinstance(table, dict) else enumerate(table)
    changes = {}
    for step, value in items:
        if isinstance(value, dict | list) or (isinstance(value, str) and _has_references(value)):
            changed = expand_table(value, names_for, fault, (*path, step))
            if changed is not value:
                changes[step] = changed
    if not changes:
        return table
    if isinstance(table, dict):
        return table | changes
    return [changes.get(number, value) for number, value in enumerate(table)]


def _has_references(text: str) -> bool:
    """Say whether there may be anything to expand, or to refuse."""
    return "$" in text or "{" in text or "\0" in text


def _expand_string(
    text: str, names_for: Callable[[Path], Names | None], fault: Callable[[Path, str], None], path: Path
) -> str:
    if not _has_references(text):
        return text
    names = names_for(path)
    if names is None:
        return text
    try:
        return expand(text, names)
    except ValueError as error:
        fault(path, str(error))
        return text
