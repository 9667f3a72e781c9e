"""A command as people write it, made into the words to execute. No I/O.

A list is executed as it is. A string is split as the shell splits (quotes, backslashes) and executed directly, unless
it uses what only a shell can do: then it becomes ``/bin/sh -c``, with ``exec`` in front where it is one simple command,
so that the program itself gets genii's signals. What asks for a shell, outside of quotes (``$`` and backquotes also
in double quotes)::

    | & ; < > ( ) newline   pipes, lists, redirections          $NAME $(…) `…`   variables, substitution
    * ? [                   patterns of file names              ~ # at the start of a word
    NAME=value              before the command                  a first word such as cd, export, if, {, !

``${NAME}`` is put in by genii beforehand and is always (part of) one word, whatever its value; ``$$`` is always a plain
dollar sign. Both are quoted for the shell as the place in the text needs it.
"""

from __future__ import annotations

import re

from genii.config.expand import REFERENCE, Names, expand

__all__ = ["NO_NAMES", "shell_text", "split_command"]

NO_NAMES = Names(variables={}, words={}, per_process=True)

_SHELL_WORDS = frozenset([
    "!", ".", ":", "[[", "alias", "bg", "break", "case", "cd", "command", "continue", "do", "done", "elif",
    "else", "esac", "eval", "exec", "exit", "export", "fg", "fi", "for", "function", "getopts", "hash", "if",
    "jobs", "local", "read", "readonly", "return", "select", "set", "shift", "source", "then", "time", "times",
    "trap", "type", "ulimit", "umask", "unalias", "unset", "until", "wait", "while", "{", "}",
])  # fmt: skip
"""First words that mean something to the shell only (or something else than the program of that name)."""

_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_FIRST_WORD = re.compile(r"\S+")
_DUPLICATION = re.compile(r"[<>]&(?:[0-9]+|-)")
_PARAMETER = re.compile(r"\$[A-Za-z0-9_({@*#?!$-]")
_PIECE = re.compile(
    r"""(?P<space>[ \t\r\n]+)|(?P<plain>[^ \t\r\n'"\\]+)|\\(?P<escaped>.)"""
    r"""|'(?P<single>[^']*)'|"(?P<double>(?:[^"\\]|\\.)*)\"""",
    re.DOTALL,
)
_HELD = re.compile("\0([0-9]+)\0")


class _Syntax:
    """What a command line uses: found by walking over it once, quote by quote."""

    def __init__(self, text: str) -> None:
        self.needs_shell = False
        self.compound = False
        """More than one simple command, or one that ``exec`` can't run."""
        self.references: dict[int, tuple[str, str]] = {}
        """Genii's own references by offset: the reference and the quotes around it (``'``, ``"`` or none)."""
        self._text = text
        first = _FIRST_WORD.match(text)
        if first and (first[0] in _SHELL_WORDS or _ASSIGNMENT.match(first[0])):
            self._shell(compound=True)
        self._walk()

    def _shell(self, *, compound: bool = False) -> None:
        self.needs_shell = True
        self.compound = self.compound or compound

    def _walk(self) -> None:
        offset, quotes = 0, ""
        while offset < len(self._text):
            character = self._text[offset]
            reference = REFERENCE.match(self._text, offset) if character in "${" else None
            if reference:
                self.references[offset] = (reference[0], quotes)
                offset = reference.end()
            elif character == quotes:
                offset, quotes = offset + 1, ""
            elif quotes == "'":
                offset += 1
            elif character == "\\":
                if self._text.startswith("\n", offset + 1):
                    self._shell()
                offset += 2
            elif quotes:
                offset = self._expansion(offset)
            elif character in "'\"":
                offset, quotes = offset + 1, character
            else:
                offset = self._unquoted(offset)

    def _expansion(self, offset: int) -> int:
        if self._text[offset] == "`":
            self._shell(compound=True)
        elif _PARAMETER.match(self._text, offset):
            self._shell(compound=self._text.startswith("$(", offset))
        return offset + 1

    def _unquoted(self, offset: int) -> int:
        character = self._text[offset]
        duplication = _DUPLICATION.match(self._text, offset)
        if duplication:
            self._shell()
            return duplication.end()
        if character in "|&;()\n":
            self._shell(compound=True)
        elif character in "<>*?[" or (character in "~#" and self._text[offset - 1 : offset].strip() == ""):
            self._shell()
        return self._expansion(offset)


def split_command(text: str, names: Names = NO_NAMES) -> tuple[str, ...]:
    """Return the words to execute for a command line.

    Raises ValueError for an empty command, quotes that are not closed, and unknown names.
    """
    text = _stripped(text)
    syntax = _Syntax(text)
    if syntax.needs_shell:
        line = _for_shell(text, syntax, names)
        return ("/bin/sh", "-c", line if syntax.compound else f"exec {line}")
    # References are held out of the way, so that neither they nor their values are split.
    held = [reference for reference, _ in syntax.references.values()]
    numbers = iter(range(len(held)))
    split_safe = REFERENCE.sub(lambda _: f"\0{next(numbers)}\0", text)
    words = _split(split_safe)
    return tuple(expand(_HELD.sub(lambda match: held[int(match[1])], word), names) for word in words)


def _split(text: str) -> list[str]:
    """Return the words of a command line without shell syntax, by the quoting rules of POSIX (shlex has others)."""
    words: list[str] = []
    offset, inside = 0, False
    while offset < len(text):
        piece = _PIECE.match(text, offset)
        if piece is None:
            raise ValueError("a quotation mark is not closed (or the text ends in a backslash); close it")
        offset = piece.end()
        if piece["space"]:
            inside = False
            continue
        if not inside:
            words.append("")
            inside = True
        if piece["double"] is not None:
            words[-1] += re.sub(r'\\([\\"$`])', r"\1", piece["double"])
        else:
            words[-1] += piece["single"] or piece["escaped"] or piece["plain"] or ""
    return words


def shell_text(text: str, names: Names = NO_NAMES) -> str:
    """Return a command line for ``/bin/sh -c``, genii's own references replaced by quoted values."""
    text = _stripped(text)
    return _for_shell(text, _Syntax(text), names)


def _stripped(text: str) -> str:
    if not text.strip():
        raise ValueError("the command is empty; write what to run")
    if "\0" in text:
        raise ValueError("contains a NUL byte, which no program can be given; remove it")
    return text.strip()


def _for_shell(text: str, syntax: _Syntax, names: Names) -> str:
    def quoted(value: str, offset: int) -> str:
        quotes = syntax.references[offset][1] if offset in syntax.references else ""
        if quotes == "'":
            return value.replace("'", "'\\''")
        if quotes == '"':
            return re.sub(r'([\\"$`])', r"\\\1", value)
        import shlex  # late: most commands need no shell

        return shlex.quote(value)

    return expand(text, names, quoted)
