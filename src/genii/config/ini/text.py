"""The text of a file in supervisord's language: sections, options and the lines they stand on. No I/O.

It is what Python's ``RawConfigParser(strict=False, inline_comment_prefixes=(";", "#"))`` reads, see
http://supervisord.org/configuration.html and https://docs.python.org/3/library/configparser.html.
"""

from __future__ import annotations

import re
import sys

import msgspec

__all__ = ["BadLine", "Option", "Section", "Text", "parse_text"]

_HEADER = re.compile(r"\[(?P<name>.+)\]")
_OPTION = re.compile(r"(?P<name>.*?)\s*[=:]\s*(?P<value>.*)$")
_COMMENT = re.compile(r"(?:^|(?<=\s))[;#]")


class Option(msgspec.Struct):
    """The value of an option as it is written, and where."""

    value: str
    path: str
    line: int


class Section(msgspec.Struct):
    """A section: its options by lower-case name."""

    name: str
    path: str
    line: int
    options: dict[str, Option] = msgspec.field(default_factory=dict)

    @property
    def kind(self) -> str:
        """Return what stands before the colon of the name."""
        return self.name.partition(":")[0]

    @property
    def label(self) -> str:
        """Return what stands after the colon of the name; empty: there is none."""
        return self.name.partition(":")[2]


class BadLine(msgspec.Struct, frozen=True):
    """A line that is neither section, option, continuation nor comment."""

    line: int
    message: str


class Text(msgspec.Struct):
    """A whole file."""

    sections: dict[str, Section] = msgspec.field(default_factory=dict)
    bad: list[BadLine] = msgspec.field(default_factory=list)

    def merge(self, other: Text) -> None:
        """Add a file that is included: what it says again wins, and a section counts as its file's."""
        for name, section in other.sections.items():
            present = self.sections.get(name)
            if present is None:
                self.sections[name] = section
            else:
                present.options.update(section.options)
                present.path = section.path


class _Place(msgspec.Struct):
    """Where in the text the parser is."""

    section: Section | None = None
    parts: list[str] | None = None
    """The lines of the option that may be continued."""
    indent: float = 0


def parse_text(text: str, path: str) -> Text:
    """Read a file; what is wrong with its lines is in ``bad``."""
    found = Text()
    values: list[tuple[Option, list[str]]] = []
    place = _Place()
    for number, line in enumerate(text.splitlines(), 1):
        comment = _COMMENT.search(line)
        content = (line[: comment.start()] if comment else line).strip()
        if not content:
            if comment is None and place.parts is not None:
                place.parts.append("")
            elif comment is None:
                place.indent = sys.maxsize
            continue
        indent = len(line) - len(line.lstrip())
        if place.parts is not None and indent > place.indent:
            place.parts.append(content)
            continue
        place.indent = indent
        _begin(content, number, path, place, found, values)
    for option, parts in values:
        option.value = "\n".join(parts).rstrip()
    return found


def _begin(
    content: str, number: int, path: str, place: _Place, found: Text, values: list[tuple[Option, list[str]]]
) -> None:
    """Read a line that begins a section or an option."""
    header = _HEADER.match(content)
    if header is not None:
        place.section = found.sections.setdefault(header["name"], Section(header["name"], path, number))
        place.parts = None
        return
    match = _OPTION.match(content)
    if place.section is None:
        found.bad.append(BadLine(number, "stands before the first section; begin with [supervisord]"))
    elif match is None or not match["name"]:
        found.bad.append(BadLine(number, f"{content[:60]!r} is neither [section] nor option=value"))
        place.parts = None
    else:
        option = Option("", path, number)
        place.section.options[match["name"].lower()] = option
        place.parts = [match["value"]]
        values.append((option, place.parts))
