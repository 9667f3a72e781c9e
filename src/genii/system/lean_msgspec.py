"""msgspec without what it would only look at: 4 ms, a tenth of a MiB, and 5 where typing_extensions is installed."""

from __future__ import annotations

import sys
from types import ModuleType

__all__ = ["import_msgspec"]


def import_msgspec() -> None:
    """Import msgspec; whoever imports the module platform later gets the real one."""
    if "msgspec" in sys.modules:
        return
    sys.modules["typing_extensions"] = None  # type: ignore[assignment]  # it would know newer types by it
    real = sys.modules.get("platform")
    platform = ModuleType("platform")
    platform.system = lambda: "Linux"  # type: ignore[attr-defined]  # all that uuid asks of it
    sys.modules["platform"] = platform
    import msgspec  # noqa: F401 -- for its side effect

    if real is None:
        del sys.modules["platform"]
    else:
        sys.modules["platform"] = real
