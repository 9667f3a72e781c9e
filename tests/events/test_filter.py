from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genii.events.filter import PathFilter, read_gitignore

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("pattern", "ignored", "kept"),
    [
        ("*.tmp", ["a.tmp", "d/e/a.tmp", ".tmp"], ["a.tmpx", "tmp"]),
        ("/build", ["build"], ["d/build", "builds"]),
        ("docs/*.md", ["docs/a.md"], ["docs/d/a.md", "x/docs/a.md"]),
        ("docs/**", ["docs/a", "docs/d/a"], ["docs", "doc/a"]),
        ("**/cache", ["cache", "a/cache", "a/b/cache"], ["cache2"]),
        ("a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["ab", "x/a/b"]),
        ("a?c", ["abc", "d/abc"], ["a/c", "ac"]),
        ("[ab].txt", ["a.txt", "b.txt"], ["c.txt"]),
        ("[!ab].txt", ["c.txt"], ["a.txt"]),
        ("\\*", ["*"], ["a"]),
        ("re:[.]py[co]$", ["a.pyc", "d/a.pyo"], ["a.py"]),
        ("a[", ["a["], ["a"]),
    ],
)
def test_patterns_are_those_of_gitignore(pattern: str, ignored: list[str], kept: list[str]) -> None:
    paths = PathFilter(ignore=[pattern])
    assert [path for path in ignored if paths.accepts(path, directory=False)] == []
    assert [path for path in kept if not paths.accepts(path, directory=False)] == []


def test_a_trailing_slash_is_for_directories_only() -> None:
    paths = PathFilter(ignore=["build/"])
    assert not paths.accepts("d/build", directory=True)
    assert paths.accepts("build", directory=False)


def test_the_last_pattern_that_matches_decides() -> None:
    paths = PathFilter(ignore=["*.log", "!keep.log", "/keep.log"])
    assert not paths.accepts("keep.log", directory=False)
    assert paths.accepts("d/keep.log", directory=False)


def test_only_is_for_files_and_ignore_wins() -> None:
    paths = PathFilter(ignore=["test_*"], only=["*.py"])
    assert paths.accepts("d", directory=True)
    assert paths.accepts("d/a.py", directory=False)
    assert not paths.accepts("d/a.txt", directory=False)
    assert not paths.accepts("d/test_a.py", directory=False)


def test_reads_a_gitignore_file() -> None:
    assert read_gitignore("# comment\n\n*.log  \n!keep.log\n") == ["*.log", "!keep.log"]


@given(st.text(alphabet="ab*?[]!\\/.^-(|re:", min_size=1, max_size=12))
def test_any_pattern_is_taken_or_refused_by_value_error(pattern: str) -> None:
    try:
        paths = PathFilter(ignore=[pattern])
    except ValueError:
        return
    paths.accepts("a/b", directory=False)


@pytest.mark.compat
@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_git_agrees(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    patterns = ["*.tmp", "/build", "docs/*.md", "docs/**/x", "**/cache", "a/**/b", "a?c", "[ab].txt", "[!ab].dat", "v/"]
    paths = [f"{folder}{name}" for folder in ("", "docs/", "a/", "a/x/", "docs/d/") for name in
             ("a.tmp", "build", "a.md", "x", "cache", "b", "abc", "a.txt", "c.dat", "v")]  # fmt: skip
    for pattern in patterns:
        (tmp_path / ".gitignore").write_text(pattern + "\n")
        answer = subprocess.run(
            ["git", "-C", str(tmp_path), "check-ignore", "--no-index", "--stdin"],
            input="\n".join(paths), capture_output=True, text=True,
        )  # fmt: skip
        ours = PathFilter(ignore=[pattern])
        assert [path for path in paths if not ours.accepts(path, directory=False)] == answer.stdout.split(), pattern
