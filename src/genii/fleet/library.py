"""asyncssh, loaded when it is used."""

from __future__ import annotations

from typing import Any

from genii.fleet.parts import need

__all__ = ["load_asyncssh"]

_FOLDERS = ("/usr/local/lib", "/usr/lib", "/usr/lib64", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu")


def load_asyncssh() -> Any:
    """Import asyncssh.

    It looks for liboqs (one more key exchange) by running compilers and linkers, which takes longer than a short
    command may last; while it is imported, the places where libraries are installed are looked through instead.

    Raises:
        UsageError: it is not installed.
    """
    import sys

    if "asyncssh" in sys.modules:
        return sys.modules["asyncssh"]
    import ctypes.util

    original = ctypes.util.find_library
    ctypes.util.find_library = _find_library
    try:
        return need("asyncssh", "SSH")
    finally:
        ctypes.util.find_library = original


def _find_library(name: str) -> str | None:
    import glob

    found = [path for folder in _FOLDERS for path in glob.glob(f"{folder}/lib{name.removeprefix('lib')}.so*")]
    return found[0] if found else None
