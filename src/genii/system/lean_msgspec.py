"""msgspec without what it would only look at: 4 ms, a tenth of a MiB, and 5 where typing_extensions is installed."""

from __future__ import annotations

import sys
from types import ModuleType

from genii.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

__all__ = ["import_msgspec"]


class _Platform(ModuleType):
    """All of the module platform that uuid, which msgspec imports, asks for."""

    @staticmethod
    def system() -> str:
        return "Linux"


def import_msgspec() -> None:
    """Import msgspec; whoever imports the module platform later gets the real one."""
    if "msgspec" in sys.modules:
        return
    modules: dict[str, Any] = sys.modules
    modules["typing_extensions"] = None  # msgspec would know newer types by it
    real = modules.get("platform")
    modules["platform"] = real or _Platform("platform")
    import msgspec  # noqa: F401 -- for its side effect

    if real is None:
        del modules["platform"]
