from __future__ import annotations

from configparser import RawConfigParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genii.config.ini.text import parse_text

CASES = [
    "[a]\nx=1\n y\n\n z\nb: 2\n",
    "[a] ignored\nKEY = v ; comment\nk2=a;b\nk3=a #b\nk4=a#b\n; x\n# y\n",
    "[a]\nx=1\n[b]\ny=2\n[a]\nx=3\nz=4\n",
    "[a]\nx=\n  one\n  two\n",
    "[a]\ncommand=bash -c 'a ; b'\n",
    "[a]\nx=1\n\n\n[b:c d]\ny=%(z)s\n",
    "[a]\nx=1\n  ; comment\n  more\n",
]


def read_by_library(text: str) -> dict[str, dict[str, str]]:
    parser = RawConfigParser(strict=False, inline_comment_prefixes=(";", "#"), default_section="\0")
    parser.read_string(text)
    return {name: dict(parser.items(name)) for name in parser.sections()}


def read(text: str) -> dict[str, dict[str, str]]:
    sections = parse_text(text, "f").sections.values()
    return {section.name: {key: option.value for key, option in section.options.items()} for section in sections}


@pytest.mark.parametrize("text", CASES)
def test_reads_what_the_library_reads(text: str) -> None:
    assert read(text) == read_by_library(text)


LINES = st.sampled_from(
    ["[a]", "[b:c]", "x=1", "y = 2 ; c", "z: 3#4", "  more", "\tmore # c", "", "   ", "; c", "  # c", "K=v", "q="]
)


@settings(deadline=None, max_examples=300)
@given(st.lists(LINES, max_size=12))
def test_reads_any_order_of_lines_as_the_library_does(lines: list[str]) -> None:
    text = "\n".join(["[s]", *lines, ""])
    if any(line[:1].isspace() and line.strip()[:1] not in ("", ";", "#") for line in lines[:1]):
        return  # a continuation of nothing: the library calls it broken, and so do we
    found = parse_text(text, "f")
    if not found.bad:
        assert read(text) == read_by_library(text)


def test_tells_the_line_of_what_is_neither_section_nor_option() -> None:
    bad = parse_text("x=1\n[a]\nnonsense\ny=2\n", "f").bad
    assert [found.line for found in bad] == [1, 3]


def test_remembers_the_line_of_each_option() -> None:
    section = parse_text("\n[a]\n\nx=1\n", "f").sections["a"]
    assert (section.line, section.options["x"].line) == (2, 4)
