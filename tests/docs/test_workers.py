"""docs/workers.md against what it describes."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from genii.config.load import load
from genii.config.schema import ScalingTable
from genii.gearman.slot_options import SlotOptions, read_slots

if TYPE_CHECKING:
    import pytest

TEXT = (Path(__file__).parents[2] / "docs" / "workers.md").read_text()


def test_the_configuration_is_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    block = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)[0]
    assert tomllib.loads(block)
    (tmp_path / "genii.toml").write_text(block)
    monkeypatch.chdir(tmp_path)
    settings = load(str(tmp_path / "genii.toml"))
    thumbs = settings.programs["thumbs"]
    assert (thumbs.processes, thumbs.processes_max, thumbs.depends_on) == (2, 5, ("jobs",))
    assert "--max-jobs" in thumbs.command


def test_every_key_and_option_is_described() -> None:
    words = set(re.findall(r"`([a-z_]+)`", TEXT))
    assert set(ScalingTable.__struct_fields__) <= words
    assert set(SlotOptions.__annotations__) <= words


def test_the_slot_manager_takes_what_is_shown() -> None:
    example = next(block for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL) if "SlotManager" in block)
    slots = re.search(r"slots=(\{.*?\n    \}),", example, re.DOTALL)
    assert slots is not None
    programs = read_slots(eval(slots[1]), "python", 1)
    assert {name: (one.processes, one.processes_max) for name, one in programs.items()} == {
        "Thumbs": (2, 5),
        "Mails": (1, 20),
    }
