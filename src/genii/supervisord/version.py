"""Which supervisord this behaves like. No I/O."""

from __future__ import annotations

__all__ = ["API_VERSION", "PACKAGE_VERSION"]

API_VERSION = "3.0"
"""The version of the RPC interface; clients compare it for equality."""
PACKAGE_VERSION = "4.3.0"
"""Dashboards show it, and some ask for at least 3.4 or 4."""
