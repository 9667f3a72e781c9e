"""What ``genii attach`` refuses; tests/real/test_attach.py has what it does."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from genii.testing.served import ServedTarget

    Genii = Callable[..., tuple[int, str, str]]


def test_several_processes_are_told_by_name(genii: Genii, served: ServedTarget) -> None:
    assert genii("attach", "web") == (2, "", "genii: web has 2 processes; name one of web:0, web:1\n")


def test_a_misspelt_name_is_guessed(genii: Genii, served: ServedTarget) -> None:
    assert genii("attach", "jbos") == (4, "", "genii: no program is named 'jbos'; did you mean 'jobs'?\n")


def test_without_a_supervisor_it_exits_3_and_says_what_to_do(genii: Genii, site: Path) -> None:
    status, _, err = genii("attach", "web")
    assert status == 3
    assert "genii up" in err
