"""``${VARIABLE}``, ``${VARIABLE:-default}``, ``$$`` and ``{name}`` in the strings of the file. No I/O.

What the environment or the file knows is put in now; what differs between the processes of a program
(``genii.supervise.template``) stays for later, where it is allowed. A lone ``$`` is itself: a shell may mean it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from genii.config.source import did_you_mean
from genii.supervise.template import PER_PROCESS, escape, fill, placeholders

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from genii.config.locate import Path

__all__ = ["Names", "expand", "expand_table"]

_REFERENCE = re.compile(r"\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|(\$\{[^}]{0,40}\}?)")
_DEEPEST = 8
"""Nothing in the file is nested as deep; what is deeper is refused by its shape."""


@dataclass(frozen=True, slots=True)
class Names:
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
    _refuse_unknown_words(text, names)
    # Words first, on the text as written: values of variables are data and stay as they are.
    pieces: list[str] = []
    end = 0
    for match in _REFERENCE.finditer(text):
        pieces.append(_filled(text[end : match.start()], names))
        value = _variable(match, names)
        value = quoted(value, match.start()) if quoted else value
        pieces.append(escape(value) if names.per_process else value)
        end = match.end()
    pieces.append(_filled(text[end:], names))
    return "".join(pieces)


def _filled(text: str, names: Names) -> str:
    if not names.per_process:
        return fill(text, names.words)
    for word, value in names.words.items():
        # Doubled braces stay doubled until the process starts.
        text = re.sub(rf"(?<!\{{)\{{{word}\}}(?!\}})", lambda _, value=value: escape(value), text)
    return text


def _refuse_unknown_words(text: str, names: Names) -> None:
    for word in placeholders(_REFERENCE.sub("", text)):
        if word in names.words or (names.per_process and word in PER_PROCESS):
            continue
        if word in PER_PROCESS:
            raise ValueError(f"{{{word}}} differs between processes and has no meaning here; remove it")
        known = [*names.words, *(PER_PROCESS if names.per_process else ())]
        hint = did_you_mean(word, known) or f"; known: {', '.join(known)}"
        raise ValueError(f"unknown name {{{word}}}{hint} (for the braces themselves write {{{{{word}}}}})")


def _variable(match: re.Match[str], names: Names) -> str:
    if match[0] == "$$":
        return "$"
    if match[3]:
        raise ValueError(f"{match[3]} is not ${{NAME}} or ${{NAME:-default}}; for a plain dollar sign write $$")
    found = names.variables.get(match[1], "")
    if found or (match[1] in names.variables and match[2] is None):
        return found
    if match[2] is not None:
        return match[2]
    hint = did_you_mean_variable(match[1], names.variables)
    raise ValueError(
        f"${{{match[1]}}} is not set{hint}; set it, write ${{{match[1]}:-default}}, "
        f"or ${match[1]} for a variable that exists when the program starts"
    )


def did_you_mean_variable(name: str, variables: Mapping[str, str]) -> str:
    """Return a hint at a variable of nearly the same name."""
    hint = did_you_mean(name, {known.lower(): known for known in variables})
    return hint.upper().replace("DID YOU MEAN", "did you mean") if hint else ""


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
        if isinstance(value, str | dict | list):
            changed = expand_table(value, names_for, fault, (*path, step))
            if changed is not value:
                changes[step] = changed
    if not changes:
        return table
    if isinstance(table, dict):
        return table | changes
    return [changes.get(number, value) for number, value in enumerate(table)]


def _expand_string(
    text: str, names_for: Callable[[Path], Names | None], fault: Callable[[Path, str], None], path: Path
) -> str:
    if "$" not in text and "{" not in text and "\0" not in text:
        return text
    names = names_for(path)
    if names is None:
        return text
    try:
        return expand(text, names)
    except ValueError as error:
        fault(path, str(error))
        return text
