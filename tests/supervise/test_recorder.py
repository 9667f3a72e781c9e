from __future__ import annotations

from typing import TYPE_CHECKING

from genii.supervise.record import Found, Memory, rewrite
from genii.supervise.recorder import Recorder

if TYPE_CHECKING:
    from pathlib import Path

BOOT = "b1"


def nothing() -> Memory:
    return Memory()


def recorder(path: Path) -> Recorder:
    return Recorder(str(path), BOOT, "1.0")


def remembered(path: Path) -> dict[str, Found]:
    return recorder(path).load().processes


def test_tells_that_there_is_no_record(tmp_path: Path) -> None:
    assert recorder(tmp_path / "record").load() == Memory(absent=True)


def test_a_start_that_is_announced_survives_the_removal_of_the_record(tmp_path: Path) -> None:
    path = tmp_path / "state" / "record"
    one = recorder(path)
    one.begin(nothing)
    path.unlink()
    path.parent.rmdir()
    one.write("intent", "web")
    assert remembered(path) == {"web": Found(intended=True)}
    one.close(remove=False)


def test_a_start_that_is_announced_survives_a_rewrite(tmp_path: Path) -> None:
    path = tmp_path / "record"
    one = recorder(path)
    one.begin(nothing)
    first, name = path.stat().st_ino, "web" * 5000
    while path.stat().st_ino == first:
        one.write("intent", name)
    assert remembered(path) == {name: Found(intended=True)}
    one.close(remove=False)


def test_the_record_of_another_version_holds_until_something_changes(tmp_path: Path) -> None:
    path = tmp_path / "record"
    before = rewrite(Memory(processes={"web": Found(7, 8, 9)}), BOOT, "0.9")
    path.write_bytes(before)
    one = recorder(path)
    one.resume(lambda: Memory(processes={"web": Found(7, 8, 9), "job": Found(70, 80, 90)}))
    assert path.read_bytes() == before
    one.write("gone", "web", 0)
    assert remembered(path) == {"job": Found(70, 80, 90)}
    one.close(remove=False)


def test_the_record_of_another_version_is_replaced_when_there_is_time(tmp_path: Path) -> None:
    path = tmp_path / "record"
    one = recorder(path)
    one.resume(lambda: Memory(processes={"job": Found(70, 80, 90)}))
    one.renew()
    assert remembered(path) == {"job": Found(70, 80, 90)}
    inode = path.stat().st_ino
    one.renew()
    assert path.stat().st_ino == inode
    one.close(remove=True)
    one.renew()
    assert not path.exists()


def test_what_can_not_be_written_is_written_later(tmp_path: Path) -> None:
    path = tmp_path / "state" / "record"
    path.parent.write_text("in the way")
    one = recorder(path)
    one.begin(nothing)
    one.write("intent", "web")
    path.parent.unlink()
    one.write("intent", "job")
    assert remembered(path) == {"job": Found(intended=True)}
    one.close(remove=False)
