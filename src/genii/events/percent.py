"""Percent-encoding of paths and queries (RFC 3986), without the weight of urllib. No I/O."""

from __future__ import annotations

__all__ = ["parse_query", "quote", "unquote"]

_ESCAPE = rb"%([0-9A-Fa-f]{2})"
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def unquote(text: str) -> str:
    """Decode percent-encoding; what is not UTF-8 becomes U+FFFD."""
    if "%" not in text:
        return text
    import re  # late: a client only quotes, and should start fast

    raw = text.encode("utf-8", "replace")
    return re.sub(_ESCAPE, lambda match: bytes((int(match[1], 16),)), raw).decode("utf-8", "replace")


def quote(text: str) -> str:
    """Percent-encode everything but the unreserved characters of RFC 3986."""
    return "".join(chr(byte) if byte in _UNRESERVED else f"%{byte:02X}" for byte in text.encode())


def parse_query(text: str) -> dict[str, list[str]]:
    """Decode a query (``a=1&a=2&b``); a ``+`` is a blank, as forms have it."""
    found: dict[str, list[str]] = {}
    for part in text.split("&"):
        if part:
            name, _, value = part.replace("+", " ").partition("=")
            found.setdefault(unquote(name), []).append(unquote(value))
    return found
