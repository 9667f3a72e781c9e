from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.keyrings import Keyring, keyring

from genii.cli.password import read_password
from genii.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["keyring"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text("pass word\nsecond line\n")
    path.chmod(0o600)
    return path


def test_the_first_line_of_a_file_that_others_can_not_read(file: Path) -> None:
    assert read_password(f"file:{file}") == "pass word"
    file.chmod(0o640)
    with pytest.raises(UsageError, match="others can read"):
        read_password(f"file:{file}")


def test_a_file_without_a_password(file: Path) -> None:
    file.write_text("\n")
    with pytest.raises(UsageError, match=r"first line .* is empty"):
        read_password(f"file:{file}")
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="can't be read"):
        read_password(f"file:{file}")
    with pytest.raises(UsageError, match="No such file"):
        read_password(f"file:{file}.not")


@pytest.mark.parametrize("how", ["secret", "file:", "keyring:", "env:PASSWORD", ""])
def test_what_may_be_the_password_itself_is_not_repeated(how: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_password(how)
    assert "secret" not in str(caught.value)


def test_there_may_be_none() -> None:
    assert read_password(None) is None


def ask(*before: str) -> str:
    """Return what another process finds in the keyring: this one's has been chosen for good."""
    code = f"{';'.join(before)}\nfrom genii.cli.password import read_password; from genii.errors import UsageError\n"
    code += "try: print(read_password('keyring:the fleet'))\nexcept UsageError as error: print('refused:', error)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def test_the_keyring_gives_the_password_of_a_service(keyring: Keyring) -> None:
    assert ask().startswith("refused: the keyring has no password of ")
    assert ask().split(": ")[2].startswith("keyring set 'the fleet' ")
    keyring.set("the fleet", "pass wörd")
    assert ask() == "pass wörd"


def test_a_machine_without_a_keyring_is_told(keyring: Keyring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    assert ask().startswith("refused: the keyring does not give the password: No recommended backend")
    missing = "import sys; sys.modules['keyring'] = None"
    assert ask(missing) == "refused: a password of the keyring needs keyring: pip install 'genii[keyring]'"
