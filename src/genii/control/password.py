"""Passwords of the control API: ``scrypt$n$r$p$salt$key`` (base64), ``{SHA}…`` (hex or base64), plain. No I/O."""

from __future__ import annotations

from base64 import b64decode, b64encode

__all__ = ["costly", "hash_password", "verify"]

_COST, _BLOCKS, _PARALLEL = 1 << 14, 8, 1
_MEMORY = 64 << 20


def costly(stored: str) -> bool:
    """Say whether a check takes tens of milliseconds of work, on purpose."""
    return stored.startswith("scrypt$")


def hash_password(password: str, salt: bytes) -> str:
    """Write a password as it should stand in a file; ``salt`` is 16 random bytes."""
    key = _scrypt(password.encode(), salt, _COST, _BLOCKS, _PARALLEL)
    return f"scrypt${_COST}${_BLOCKS}${_PARALLEL}${b64encode(salt).decode()}${b64encode(key).decode()}"


def verify(stored: str, given: str) -> bool:
    """Say whether ``given`` is the password; takes the same time whatever part of it is wrong.

    Raises:
        ValueError: ``stored`` is a hash that is not well formed.
    """
    # What hmac.compare_digest is; hmac would load OpenSSL (4 MiB), which plain passwords don't need.
    from _operator import _compare_digest as compare_digest

    raw = given.encode("utf-8", "surrogateescape")
    if stored.startswith("scrypt$"):
        cost, blocks, parallel, salt, key = _scrypt_parts(stored)
        return compare_digest(_scrypt(raw, salt, cost, blocks, parallel, len(key)), key)
    if stored.startswith("{SHA}"):
        import hashlib

        text = stored.removeprefix("{SHA}")
        wanted = bytes.fromhex(text) if len(text) == 40 else b64decode(text, validate=True)
        return compare_digest(hashlib.sha1(raw, usedforsecurity=False).digest(), wanted)
    return compare_digest(raw, stored.encode())


def _scrypt_parts(stored: str) -> tuple[int, int, int, bytes, bytes]:
    try:
        _, cost, blocks, parallel, salt, key = stored.split("$")
        return int(cost), int(blocks), int(parallel), b64decode(salt, validate=True), b64decode(key, validate=True)
    except ValueError as error:
        raise ValueError("a scrypt password is written scrypt$n$r$p$salt$key, salt and key in base64") from error


def _scrypt(password: bytes, salt: bytes, cost: int, blocks: int, parallel: int, length: int = 32) -> bytes:
    import hashlib

    return hashlib.scrypt(password, salt=salt, n=cost, r=blocks, p=parallel, maxmem=_MEMORY, dklen=length)
