"""asyncssh, loaded when it is used, and only what we need of it: its import is most of what a short command lasts."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from genii.errors import UsageError
from genii.fleet.parts import need

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["load_asyncssh", "load_reader", "require_asyncssh"]

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
    """Import asyncssh; not by two threads at once.

    Raises:
        UsageError: it is not installed.
    """
    import sys

    if "asyncssh" in sys.modules:
        return sys.modules["asyncssh"]
    load_reader()
    with _without_collecting(), _without_compilers(), _without_certificates():
        library = need("asyncssh", "SSH")
    for name, module in list(sys.modules.items()):  # what was there before the package knows nothing of it
        package, _, short = name.partition(".")
        if package == "asyncssh" and short and "." not in short and not hasattr(library, short):
            setattr(library, short, module)
    return library


def load_reader() -> Any:
    """Import what asyncssh reads configurations with and return it: an eighth of asyncssh, and without the rest.

    Hosts are dialled with what it says, and are at work while the rest is loaded.

    Raises:
        UsageError: asyncssh is not installed.
    """
    import sys
    from importlib.util import find_spec, module_from_spec

    if "asyncssh" in sys.modules or "asyncssh.config" in sys.modules:
        return need("asyncssh.config", "SSH")
    spec = find_spec("asyncssh")
    if spec is None:
        return need("asyncssh", "SSH")
    sys.modules["asyncssh"] = module_from_spec(spec)  # not executed: it would import all
    try:
        reader = need("asyncssh.config", "SSH")
    finally:
        del sys.modules["asyncssh"]
    _remember_words(reader)
    return reader


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


def _remember_words(reader: Any) -> None:
    """Have asyncssh cut each line of the SSH configuration into words once, not again for each host."""
    import shlex
    from functools import lru_cache
    from types import SimpleNamespace

    split = lru_cache(maxsize=_MOST_LINES)(lambda line: tuple(shlex.split(line)))
    reader.shlex = SimpleNamespace(split=split)


def _find_library(name: str) -> str | None:
    prefix = f"lib{name.removeprefix('lib')}.so"
    for folder in _FOLDERS:
        try:
            found = [entry for entry in os.listdir(folder) if entry.startswith(prefix)]
        except OSError:
            continue
        if found:
            return os.path.join(folder, found[0])
    return None
