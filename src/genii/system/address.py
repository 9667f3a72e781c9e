"""Addresses as people write them: ``127.0.0.1:9090``, ``[::1]:9090``, ``:9090``, ``unix:/path``. No I/O."""

from __future__ import annotations

from genii.errors import UsageError
from genii.typed import NamedTuple

__all__ = ["Address", "is_loopback", "parse_address"]


class Address(NamedTuple):
    """Where to listen or connect: a path, or host and port (host empty: all interfaces)."""

    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str, default_host: str = "") -> Address:
    """Read ``host:port``, ``[v6]:port``, ``:port``, a bare port, ``tcp://host:port`` or ``unix:/path``.

    Raises:
        UsageError: it is none of these.
    """
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        return Address(path="/" + path.lstrip("/") if path.startswith("//") else path)
    host, _, port = text.removeprefix("tcp://").removesuffix("/").rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise UsageError(f"{text!r}: an IPv6 address stands in brackets, as in '[::1]:9090'")
    if not (port.isascii() and port.isdecimal() and int(port) < 65536):
        raise UsageError(f"{text!r} is not an address; write for example '127.0.0.1:9090' or 'unix:/run/my.sock'")
    return Address(host or default_host, int(port))


def is_loopback(address: Address) -> bool:
    """Say whether only this machine can reach the address; a name that is not ``localhost`` counts as reachable."""
    if address.path or address.host in ("localhost", "::1"):
        return True
    parts = address.host.split(".")
    return len(parts) == 4 and parts[0] == "127" and all(part.isdecimal() and int(part) < 256 for part in parts)
