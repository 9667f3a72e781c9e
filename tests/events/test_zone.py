from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from genii.events.zone import load_zone

if TYPE_CHECKING:
    from pathlib import Path


def test_loads_a_zone_by_name() -> None:
    assert str(load_zone("Europe/London")) == "Europe/London"


def test_utc_needs_no_zone_database() -> None:
    assert load_zone("UTC") is UTC


@pytest.mark.parametrize("name", ["Mars/Phobos", "../../etc/passwd", "Europe", "a\0b"])
def test_an_unknown_zone_is_named(name: str) -> None:
    with pytest.raises(ValueError, match="there is no time zone"):
        load_zone(name)


def test_without_a_name_the_variable_tz_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", ":Asia/Tokyo")
    assert str(load_zone()) == "Asia/Tokyo"


def test_tz_may_name_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TZ", str(tmp_path / "missing"))
    with pytest.raises(ValueError, match="does not exist"):
        load_zone()
    (tmp_path / "broken").write_bytes(b"no zone")
    monkeypatch.setenv("TZ", str(tmp_path / "broken"))
    with pytest.raises(ValueError, match="is not a time zone"):
        load_zone()


def test_without_a_name_and_a_variable_it_is_the_zone_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TZ", raising=False)
    now = datetime.now(UTC)
    assert now.astimezone(load_zone()).utcoffset() == now.astimezone().utcoffset()
