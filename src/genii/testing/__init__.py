"""Public fakes for the tests of your own programs; nothing else in genii uses them."""

from __future__ import annotations

from genii.testing.clock import VirtualTime

__all__ = ["VirtualTime"]
