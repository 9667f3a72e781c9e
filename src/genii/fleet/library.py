"""asyncssh, loaded when it is used, and only what we need of it: its import is most of what a short command lasts."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from genii.errors import UsageError
from genii.fleet.parts import need

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["load_asyncssh", "require_asyncssh"]

_FOLDERS = ("/usr/local/lib", "/usr/lib", "/usr/lib64", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu")
_MOST_LINES = 100_000
_CERTIFICATES = "asyncssh.crypto.x509"


def require_asyncssh() -> None:
    """Make sure that asyncssh is there, without loading it.

    Raises:
        UsageError: it is not installed.
    """
    import sys
    from importlib.util import find_spec

    if "asyncssh" not in sys.modules and find_spec("asyncssh") is None:
        raise UsageError("SSH needs asyncssh: pip install 'genii[fleet]'")


def load_asyncssh() -> Any:
    """Import asyncssh.

    Raises:
        UsageError: it is not installed.
    """
    import sys

    if "asyncssh" in sys.modules:
        return sys.modules["asyncssh"]
    with _without_collecting(), _without_compilers(), _without_certificates():
        library = need("asyncssh", "SSH")
    _remember_words()
    return library


@contextmanager
def _without_collecting() -> Iterator[None]:
    """Keep the garbage collector from going through modules, of which none is garbage, now and at the end."""
    import gc

    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if collects:
            gc.enable()


@contextmanager
def _without_compilers() -> Iterator[None]:
    """Let asyncssh look for liboqs (one more key exchange) where libraries are installed.

    By itself it would run compilers and linkers, which takes longer than a short command may last.
    """
    import ctypes.util

    original = ctypes.util.find_library
    ctypes.util.find_library = _find_library
    try:
        yield
    finally:
        ctypes.util.find_library = original


@contextmanager
def _without_certificates() -> Iterator[None]:
    """Spare asyncssh half of its support for X.509, a quarter of its import, where the other half is not installed.

    It needs pyOpenSSL for that and does without it, but would notice so only at the end.
    """
    import sys
    from importlib.util import find_spec

    if _CERTIFICATES in sys.modules or find_spec("OpenSSL") is not None:
        yield
        return
    sys.modules[_CERTIFICATES] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[_CERTIFICATES]


def _remember_words() -> None:
    """Have asyncssh cut each line of the SSH configuration into words once, not again for each host."""
    import shlex
    from functools import lru_cache
    from types import SimpleNamespace

    from asyncssh import config

    split = lru_cache(maxsize=_MOST_LINES)(lambda line: tuple(shlex.split(line)))
    config.shlex = SimpleNamespace(split=split)  # type: ignore[assignment, attr-defined]


def _find_library(name: str) -> str | None:
    import glob

    found = [path for folder in _FOLDERS for path in glob.glob(f"{folder}/lib{name.removeprefix('lib')}.so*")]
    return found[0] if found else None
