from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from genii.deploy.steps import StepContext, load_steps
from genii.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

CONTEXT = StepContext(
    deployment="shop", host="h1", roles=("db",), name="20261121120000", path="/srv/shop/releases/20261121120000",
    root="/srv/shop", revision="abc", branch="main", previous="",
)  # fmt: skip


def commands(tmp_path: Path, text: str) -> dict[str, tuple[str, ...]]:
    (tmp_path / "tasks.py").write_text(f"import genii\n{text}")
    return load_steps(str(tmp_path / "tasks.py")).commands(CONTEXT)


def test_functions_say_commands(tmp_path: Path) -> None:
    text = "@genii.step('restart')\ndef one(release):\n    return f'restart {release.name} {release.roles[0]}'\n"
    assert commands(tmp_path, text) == {"restart": ("restart 20261121120000 db",)}


def test_one_for_this_deployment_goes_before_one_for_all(tmp_path: Path) -> None:
    text = (
        "@genii.step('check', deploy='shop')\ndef one(release):\n    return ['a', 'b']\n"
        "@genii.step('check')\ndef two(release):\n    return 'c'\n"
        "@genii.step('stop', deploy='other')\ndef three(release):\n    return 'd'\n"
        "@genii.step('start')\ndef four(release):\n    return None\n"
    )
    assert commands(tmp_path, text) == {"check": ("a", "b")}


def test_helpers_beside_the_file_can_be_imported(tmp_path: Path) -> None:
    (tmp_path / "helpers_of_tasks.py").write_text("COMMAND = 'true'\n")
    text = "from helpers_of_tasks import COMMAND\n@genii.step('stop')\ndef one(release):\n    return COMMAND\n"
    assert commands(tmp_path, text) == {"stop": ("true",)}


def test_no_file_and_a_file_of_other_things_have_no_steps(tmp_path: Path) -> None:
    assert load_steps(str(tmp_path / "none.py")).commands(CONTEXT) == {}
    (tmp_path / "tasks.py").write_text("raise SystemExit('not for us')\n")
    assert load_steps(str(tmp_path / "tasks.py")).commands(CONTEXT) == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("@genii.step('swich')\ndef one(release): ...\n", r"tasks\.py:2:1: .*no step that can be redefined"),
        ("genii.step(\n", r"tasks\.py:2:\d+: no Python"),
        ("x = 1\ngenii.step; 1 / 0\n", r"tasks\.py:3:1: ZeroDivisionError"),
        (
            "@genii.step('stop')\ndef one(release):\n    return 7\n",
            r"tasks\.py:2:1: one must return a command .* not 7",
        ),
        ("@genii.step('stop')\ndef one(release):\n    return release.nmae\n", r"tasks\.py:4:1: one failed: Attribute"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        commands(tmp_path, text)
