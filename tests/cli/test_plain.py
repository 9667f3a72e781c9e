"""Plain command lines are read as argparse reads them, or left to it."""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from genii.cli.completion import parsers
from genii.cli.options import HIDDEN, add_common, add_names, add_on
from genii.cli.parser import build_parser
from genii.cli.plain import NotPlain, PlainParser
from genii.cli.table import COMMANDS
from genii.errors import GeniiError

if TYPE_CHECKING:
    from collections.abc import Callable

WORDS = {
    name: sorted({word for action in parser._actions for word in action.option_strings})
    for name, _, parser in parsers()
}
VALUES = [
    "web",
    "5",
    "both",
    "",
    "-",
    "--",
    "-5",
    "10m",
    "a b",
    "all",
    "--lines=",
    "--lines=3",
    "-n5",
    "-wt",
    "--json=x",
]


def plain(name: str, words: list[str]) -> dict[str, object] | None:
    parser: Any = PlainParser()
    try:
        add_common(parser)
        import_module(f"genii.cli.{COMMANDS[name].module}").configure(parser)
        if COMMANDS[name].on_hosts:
            add_on(parser)
        found: dict[str, object] = vars(parser.parse(words, config=None, server=None))
    except NotPlain:
        return None
    return found


def by_argparse(name: str, words: list[str]) -> dict[str, object]:
    parser = build_parser(name, COMMANDS[name].help)
    import_module(f"genii.cli.{COMMANDS[name].module}").configure(parser)
    if COMMANDS[name].on_hosts:
        add_on(parser)
    return vars(parser.parse_command(words, argparse.Namespace(config=None, server=None)))


@st.composite
def command_lines(draw: st.DrawFn) -> tuple[str, list[str]]:
    name = draw(st.sampled_from(sorted(COMMANDS)))
    words = st.sampled_from([*WORDS[name], *VALUES])
    return name, draw(st.lists(words, max_size=5))


@given(command_lines())
@example(("status", ["-w", "web"]))
@example(("status", ["web", "-w", "db"]))
@example(("logs", ["-n", "5", "--stream=both", "web"]))
@example(("up", []))
def test_what_is_read_is_read_as_argparse_reads_it(line: tuple[str, list[str]]) -> None:
    found = plain(*line)
    if found is not None:
        assert found == by_argparse(*line)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("status", []),
        ("status", ["--json"]),
        ("status", ["-c", "genii.toml", "web", "db"]),
        ("logs", ["-f", "--lines=5", "web"]),
        ("up", ["-d", "-q"]),
        ("stop", ["--timeout", "5s", "all"]),
        ("scale", ["web=3"]),
    ],
)
def test_what_people_type_every_day_is_plain(name: str, words: list[str]) -> None:
    assert plain(name, words) == by_argparse(name, words)


@pytest.mark.parametrize("words", [["--help"], ["--jsn"], ["-wt"], ["web", "-w", "db"], ["--on", "a"], ["-c"]])
def test_all_else_is_left_to_argparse(words: list[str]) -> None:
    assert plain("status", words) is None


def test_a_mistake_is_explained_by_argparse() -> None:
    assert plain("logs", ["--stream", "neither"]) is None
    with pytest.raises(GeniiError, match="neither"):
        by_argparse("logs", ["--stream", "neither"])


def test_a_command_that_declares_more_is_not_plain() -> None:
    parser: Any = PlainParser()
    add_names(parser, required=True)
    declarations: tuple[Callable[[], object], ...] = (
        lambda: parser.add_argument("-n", type=int),
        lambda: parser.add_argument("second"),
        lambda: parser.add_argument("--more", nargs="+"),
        lambda: parser.add_subparsers,
    )
    for declare in declarations:
        with pytest.raises(NotPlain):
            declare()


def test_what_is_hidden_is_what_argparse_hides() -> None:
    assert HIDDEN == argparse.SUPPRESS
