"""The libraries that only the fleet needs: imported when they are used, and missed with a sentence."""

from __future__ import annotations

from typing import Any

from genii.errors import UsageError

__all__ = ["need"]


def need(module: str, purpose: str, extra: str = "fleet") -> Any:
    """Import a library that one of our extras brings.

    Raises:
        UsageError: it is not installed.
    """
    import sys
    from importlib import import_module

    if sys.modules.get("typing_extensions", sys) is None:  # the command line hides it from those who do without
        del sys.modules["typing_extensions"]
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        raise UsageError(f"{purpose} needs {module}: pip install 'genii[{extra}]'") from None
