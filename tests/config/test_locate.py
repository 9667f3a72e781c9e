from __future__ import annotations

import tomllib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from genii.config.locate import Locator, Path

TEXT = '''\
# a comment with [brackets] and "quotes
title = "x # no comment" # a = 1
"quoted key" = 1
'single.quoted' = 2
a . "b c" . d = [ 1, [2, "]"], # note ]
  { x = 1, y.z = 'q' },
]
long = """first "quoted"
[not.a.table]
key = 1 \\""" still""""
raw = \'\'\'it's
''\'\'\'
when = 1979-05-27 07:32:00
[ table . "dotted.name" ]  # comment
key = { inline = { deep = true }, list = [] }
[[items]]
name = 1
[items.sub]
deep = 2
[[items]]
name = 3
  [items.sub]
  deep = 4
'''


def at(text: str, place: tuple[int, int]) -> str:
    """What stands at a line and column."""
    return text.splitlines()[place[0] - 1][place[1] - 1 :]


def test_the_text_is_toml() -> None:
    tomllib.loads(TEXT)


def test_finds_values() -> None:
    locator = Locator(TEXT)
    wanted: dict[Path, str] = {
        ("title",): '"x # no comment"',
        ("quoted key",): "1",
        ("single.quoted",): "2",
        ("a", "b c", "d"): "[ 1,",
        ("a", "b c", "d", 0): "1,",
        ("a", "b c", "d", 1, 1): '"]"]',
        ("a", "b c", "d", 2, "y", "z"): "'q'",
        ("long",): '"""first',
        ("raw",): "'''it's",
        ("when",): "1979-05-27 07:32:00",
        ("table", "dotted.name", "key", "inline", "deep"): "true",
        ("items", 0, "name"): "1",
        ("items", 1, "name"): "3",
        ("items", 0, "sub", "deep"): "2",
        ("items", 1, "sub", "deep"): "4",
    }
    for path, start in wanted.items():
        assert at(TEXT, locator.value(path)).startswith(start), path


def test_finds_keys_and_headers() -> None:
    locator = Locator(TEXT)
    assert at(TEXT, locator.key(("a", "b c"))).startswith('"b c" . d')
    assert at(TEXT, locator.key(("table", "dotted.name"))).startswith('"dotted.name" ]')
    assert at(TEXT, locator.value(("table", "dotted.name"))).startswith('"dotted.name" ]')
    assert at(TEXT, locator.key(("table", "dotted.name", "key", "list"))).startswith("list = []")


def test_what_is_not_there_is_at_what_would_hold_it() -> None:
    locator = Locator(TEXT)
    assert at(TEXT, locator.value(("table", "dotted.name", "absent", "more"))).startswith('"dotted.name" ]')
    assert Locator("").value(("a",)) == (1, 1)


NAMES = st.text("ab-_", min_size=1, max_size=3) | st.sampled_from(["a b", "a.b", "é", '"', "'", ""])
SCALARS = st.integers() | st.booleans() | st.sampled_from(["x", "a # b", "]", "}", "=", '"', "a\nb", "\\", "'''"])
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3))


def quoted(text: str) -> str:
    return '"' + "".join(f"\\u{ord(letter):04x}" if letter in '"\\\n' else letter for letter in text) + '"'


def written(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{quoted(key)} = {written(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", # ] \n ".join(written(item) for item in value) + "\n]"
    return quoted(value) if isinstance(value, str) else str(value).lower()


def walk(value: Any, path: Path = ()) -> list[tuple[Path, Any]]:
    found = [(path, value)]
    for step, item in value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else ()):
        found += walk(item, (*path, step))
    return found


@given(st.dictionaries(NAMES, st.dictionaries(NAMES, VALUES, max_size=3), max_size=3))
def test_every_scalar_is_where_the_locator_says(tables: dict[str, dict[str, Any]]) -> None:
    lines = []
    for name, table in tables.items():
        lines += [f"[ {quoted(name)} ] # [x]", *(f"{quoted(key)}={written(value)}" for key, value in table.items())]
    text = "\n".join(lines)
    assert tomllib.loads(text) == tables
    locator = Locator(text)
    for path, value in walk(tables):
        if path and not isinstance(value, dict | list):
            line, column = locator.value(path)
            assert text.split("\n")[line - 1][column - 1 :].startswith(written(value))
