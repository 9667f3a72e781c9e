"""Differences for people."""

from __future__ import annotations

from genii.fleet.state.difference import LARGEST_SHOWN, unified


def test_a_change_is_a_unified_diff() -> None:
    assert unified("/x", b"a\nb\n", b"a\nc\n") == "--- /x\n+++ /x\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n"


def test_a_file_comes_and_goes() -> None:
    assert unified("/x", None, b"a\n") == "--- /dev/null\n+++ /x\n@@ -0,0 +1 @@\n+a\n"
    assert unified("/x", b"a\n", None) == "--- /x\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n"
    assert unified("/x", None, b"") == "--- /dev/null\n+++ /x\n"
    assert unified("/x", b"a", b"a") == ""


def test_a_missing_last_line_end_is_told() -> None:
    assert unified("/x", b"a\n", b"a").endswith("+a\n\\ No newline at end of file\n")


def test_binary_and_huge_files_are_only_named() -> None:
    assert unified("/x", b"\0", b"a") == "--- /x\n+++ /x\n# 1 bytes become 1 bytes\n"
    assert "bytes become" in unified("/x", b"a\n", b"b\n" * LARGEST_SHOWN)
