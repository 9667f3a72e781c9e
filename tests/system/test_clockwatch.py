from __future__ import annotations

import os
import select

import pytest

from genii.system.clockwatch import ClockWatch


def test_is_quiet_while_nobody_sets_the_clock() -> None:
    watch = ClockWatch()
    assert select.select([watch], [], [], 0) == ([], [], [])
    assert not watch.was_set()
    descriptor = watch.fileno()
    watch.close()
    watch.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
