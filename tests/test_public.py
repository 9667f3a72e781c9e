"""What ``import genii`` offers, at run time and to type checkers."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import genii
from genii.errors import GeniiError
from genii.events.signals import Signals
from genii.testing.clock import VirtualTime

SOURCE = Path(genii.__file__)


@pytest.mark.parametrize("name", genii.__all__)
def test_every_public_name_can_be_used(name: str) -> None:
    found = getattr(genii, name)
    assert found.__name__.rpartition(".")[2] == name if name != "__version__" else found


def test_type_checkers_see_every_public_name() -> None:
    (block,) = (node for node in ast.parse(SOURCE.read_text()).body if isinstance(node, ast.If))
    seen = {alias.asname for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert seen == set(genii.__all__)


def test_modules_are_there_without_being_imported_by_name() -> None:
    script = "import genii; print(genii.signals.Signals, genii.testing.VirtualTime, genii.patterns.crew, genii.errors)"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=50)
    assert ended.stderr == ""
    assert isinstance(genii.signals, ModuleType)
    assert genii.signals.Signals is genii.Signals is Signals
    assert genii.testing.VirtualTime is VirtualTime
    assert genii.errors.GeniiError is GeniiError


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'demonize'"):
        genii.__getattr__("demonize")
    assert dir(genii) == sorted(genii.__all__)
