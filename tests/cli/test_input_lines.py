"""Lines of standard input: from pipes and files, and no longer waited for than wanted."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genii.cli.input_lines import InputLines

if TYPE_CHECKING:
    from pathlib import Path


async def all_of(lines: InputLines) -> list[str]:
    found = []
    while (line := await lines.next()) is not None:
        found.append(line)
    return found


@given(st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]))), st.booleans())
def test_lines_come_as_they_were_written(lines: list[str], ended: bool) -> None:
    data = "".join(f"{line}\n" for line in lines).encode()
    if not ended and lines and lines[-1]:
        data = data[:-1]
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb"), os.fdopen(writer, "wb") as pipe:
        pipe.write(data[:60_000])
        pipe.close()
        assert asyncio.run(all_of(InputLines(reader))) == lines


def test_a_file_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "commands"
    path.write_bytes(b"one\r\n\n\xff three")
    with path.open("rb") as file:
        assert asyncio.run(all_of(InputLines(file.fileno()))) == ["one", "", "\udcff three"]


def test_nobody_has_to_type_on_before_it_can_be_left() -> None:
    async def main() -> None:
        reading = asyncio.create_task(InputLines(reader).next())
        await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading

    reader, writer = os.pipe()
    with os.fdopen(reader, "rb"), os.fdopen(writer, "wb"):
        asyncio.run(main())
