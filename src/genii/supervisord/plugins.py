"""Load what users bring themselves: ``module:callable``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genii.errors import NotAllowed

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["load_callable"]


def load_callable(spec: str) -> Callable[..., Any]:
    """Return what ``module:callable`` names.

    Raises:
        NotAllowed: it can't be imported, or is not there.
    """
    from importlib import import_module

    module, _, name = spec.partition(":")
    try:
        found: Any = import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except Exception as error:
        raise NotAllowed(f"{spec} could not be resolved: {type(error).__name__}: {error}") from None
    if not callable(found):
        raise NotAllowed(f"{spec} is not callable")
    return found  # type: ignore[no-any-return]
