"""Find the worker class that a command line names."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from genii.errors import UsageError

if TYPE_CHECKING:
    from genii.gearman.worker import Worker

__all__ = ["find_worker"]


def find_worker(name: str, libs: list[str]) -> type[Worker]:
    """Import the class ``module:Class`` from ``libs``, the working directory or the import path.

    Raises:
        UsageError: there is none of that name.
    """
    from importlib import import_module

    from genii.gearman.worker import Worker

    module_name, colon, class_name = name.partition(":")
    if not colon or not module_name or not class_name:
        raise UsageError(f"{name!r}: write module:Class, such as shop.workers:Thumbs")
    sys.path[:0] = [*libs, os.getcwd()]
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise UsageError(f"there is no module {error.name!r} in {os.getcwd()} or on the import path (-I)") from None
    found = getattr(module, class_name, None)
    if not (isinstance(found, type) and issubclass(found, Worker)):
        raise UsageError(f"{name}: {class_name} is not a class that inherits from genii.Worker")
    return found
