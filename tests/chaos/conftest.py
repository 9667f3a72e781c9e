"""Faults at random: a few of each kind with all other tests, as many as one likes with ``make chaos``."""

from __future__ import annotations

from tests.real.conftest import site

__all__ = ["site"]
