"""The real keyring package, with a file as its back end."""

from __future__ import annotations

import getpass
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Keyring", "keyring"]


class Keyring:
    """A keyring of one test."""

    def set(self, service: str, password: str) -> None:
        """Put a password of this user into it, as people do."""
        words = [sys.executable, "-m", "keyring", "set", service, getpass.getuser()]
        subprocess.run(words, input=password, text=True, check=True, capture_output=True, timeout=60)


@pytest.fixture
def keyring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keyring:
    """A keyring in a file, for this process's children."""
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyrings.alt.file.PlaintextKeyring")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")
    return Keyring()
