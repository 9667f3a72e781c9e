"""Signals that become calls outside of the signal context: the public name of ``genii.events.signals``."""

from __future__ import annotations

from genii.events.signals import Signals

__all__ = ["Signals"]
