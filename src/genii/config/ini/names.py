"""How processes are called in supervisord's world. No I/O."""

from __future__ import annotations

__all__ = ["namespec"]


def namespec(group: str, process: str) -> str:
    """Return how a process is called: ``group:process``, or only its name where both are the same."""
    return process if group == process else f"{group}:{process}"
