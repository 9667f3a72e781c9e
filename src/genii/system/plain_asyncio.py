"""asyncio without TLS, for programs that have no use for it: it spares 4.4 MiB and 10 ms."""

from __future__ import annotations

import sys
from types import ModuleType

__all__ = ["import_asyncio"]


def import_asyncio() -> None:
    """Import asyncio without ssl, which asyncio then takes for missing; whoever imports ssl later gets it."""
    if "asyncio" in sys.modules:
        return
    sys.modules["ssl"] = None  # type: ignore[assignment]
    sys.modules["asyncio.sslproto"] = ModuleType("asyncio.sslproto")  # of no use without it
    import asyncio  # noqa: F401 -- for its side effect

    del sys.modules["ssl"]
