"""What payloads and results are in the program, and as bytes on the wire. No I/O.

There is no pickle: who can submit a job could then run any code in the worker.
"""

from __future__ import annotations

from typing import Any, Protocol

from genii.errors import UsageError

__all__ = ["Codec", "codec"]


class Codec(Protocol):
    """Turn values into bytes and back; both raise ValueError or TypeError for what they can't turn."""

    def encode(self, value: Any) -> bytes:
        """Return the bytes of a value."""

    def decode(self, data: bytes) -> Any:
        """Return the value of bytes."""


class _Bytes:
    def encode(self, value: Any) -> bytes:
        if value is None:
            return b""
        if isinstance(value, str):
            return value.encode()
        if isinstance(value, bytes | bytearray | memoryview):
            return bytes(value)
        raise TypeError(f"a payload is bytes or text, not {type(value).__name__}; or choose the codec 'json'")

    def decode(self, data: bytes) -> bytes:
        return data


class _Text(_Bytes):
    def decode(self, data: bytes) -> Any:
        return data.decode()


class _Json:
    def encode(self, value: Any) -> bytes:
        import msgspec

        return msgspec.json.encode(value)

    def decode(self, data: bytes) -> Any:
        import msgspec

        return msgspec.json.decode(data) if data else None


class _Msgpack:
    def encode(self, value: Any) -> bytes:
        import msgspec

        return msgspec.msgpack.encode(value)

    def decode(self, data: bytes) -> Any:
        import msgspec

        return msgspec.msgpack.decode(data) if data else None


def codec(choice: str | Codec) -> Codec:
    """Return the codec of a name (``bytes``, ``text``, ``json``, ``msgpack``); one of your own is taken as it is.

    Raises UsageError for another name.
    """
    if not isinstance(choice, str):
        return choice
    known: dict[str, Codec] = {"bytes": _Bytes(), "text": _Text(), "json": _Json(), "msgpack": _Msgpack()}
    if choice not in known:
        raise UsageError(f"there is no codec {choice!r}; there are {', '.join(known)}")
    return known[choice]
