"""What holds for all tests."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    import pytest

# A loaded machine must not fail a property: no time limits; the same examples each time, unless somebody searches.
settings.register_profile("calm", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=1000)
settings.load_profile(os.environ.get("GENII_HYPOTHESIS", "calm"))


def pytest_configure() -> None:
    """Take back what a shell does to jobs in its background: they, and all they start, ignore Ctrl-C."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the group of a test into its id, where ``--dist loadgroup`` looks for it.

    pytest-xdist 3.8 does so itself, but by an attribute that pytest 9.2 does not look at: without this, the tests of a
    group run in several workers at once.
    """
    if not getattr(config.option, "loadgroup", False):
        return
    for item in items:
        group = item.get_closest_marker("xdist_group")
        if group is not None and "@" not in item.nodeid.rpartition("]")[2]:
            item._id = item._id.parse(f"{item.nodeid}@{group.args[0]}")
