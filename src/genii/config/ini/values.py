"""The types of options in supervisord's language: text to values. No I/O.

Each function takes the text and raises ``ValueError`` that says what was expected.
See http://supervisord.org/configuration.html.
"""

from __future__ import annotations

import signal

from genii.config.source import quote

__all__ = [
    "autorestart",
    "boolean",
    "byte_size",
    "exit_codes",
    "inet_port",
    "integer",
    "log_level",
    "name",
    "names",
    "octal",
    "signal_number",
]

_TRUE = frozenset(("yes", "true", "on", "1"))
_FALSE = frozenset(("no", "false", "off", "0"))
_SIZES = {"kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30}
_LEVELS = {"crit": "critical", "erro": "error", "warn": "warn", "info": "info", "debg": "debug", "trac": "trace",
           "blat": "blather"}  # fmt: skip
_LARGEST = (1 << 63) - 1


def integer(text: str) -> int:
    """Read a whole number."""
    try:
        number = int(text)
    except ValueError:
        raise ValueError(f"{quote(text)} is not a whole number") from None
    if abs(number) > _LARGEST:
        raise ValueError(f"{quote(text)} is too large")
    return number


def boolean(text: str) -> bool:
    """Read true, yes, on, 1 or false, no, off, 0, in any case."""
    word = text.lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise ValueError(f"{quote(text)} is neither true nor false (yes, no, on, off, 1, 0)")


def byte_size(text: str) -> int:
    """Read ``50MB``, ``10kb``, ``1GB`` or a number of bytes."""
    word = text.strip().lower()
    factor = _SIZES.get(word[-2:], 1)
    digits = word[:-2].strip() if factor > 1 else word
    try:
        size = int(digits) * factor
    except ValueError:
        raise ValueError(f"{quote(text)} is not a size; write for example 50MB, 512KB or a number of bytes") from None
    if size > _LARGEST:
        raise ValueError(f"{quote(text)} is too large")
    return size


def octal(text: str) -> int:
    """Read an octal mode such as ``022`` or ``0700``."""
    try:
        mode = int(text, 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= 0o7777:
        raise ValueError(f"{quote(text)} is not an octal mode such as 0700")
    return mode


def signal_number(text: str) -> int:
    """Read ``TERM``, ``SIGTERM``, ``term`` or ``15``."""
    word = text.strip().upper()
    try:
        return int(signal.Signals(int(word)))
    except ValueError:
        pass
    full = word if word.startswith("SIG") else f"SIG{word}"
    if full in signal.Signals.__members__:
        return int(signal.Signals[full])
    raise ValueError(f"{quote(text)} is not a signal; write for example TERM, HUP, INT, QUIT, KILL, USR1 or USR2")


def exit_codes(text: str) -> tuple[int, ...]:
    """Read exit codes, separated by commas."""
    words = [word.strip() for word in text.strip().split(",")] if text.strip() else []
    if not all(word.isdecimal() and len(word) < 4 and int(word) <= 255 for word in words):
        raise ValueError(f"{quote(text)} is not a list of exit codes (0 to 255) such as 0,2")
    return tuple(int(word) for word in words)


def autorestart(text: str) -> bool | None:
    """Read true, false, or ``unexpected``, which is None."""
    if text.lower() == "unexpected":
        return None
    try:
        return boolean(text)
    except ValueError:
        raise ValueError(f"{quote(text)} is neither true, false nor unexpected") from None


def log_level(text: str) -> str:
    """Read a level of the main log: critical, error, warn, info, debug, trace or blather."""
    word = text.lower()
    level = _LEVELS.get(word, word)
    if level not in _LEVELS.values():
        raise ValueError(f"{quote(text)} is not a log level; it is one of {', '.join(_LEVELS.values())}")
    return level


def name(text: str) -> str:
    """Read the name of a program, process or group."""
    found = text.strip()
    if not found or any(character in " :/\t\n" for character in found):
        raise ValueError(f"{quote(text)} is no name: it must not be empty nor contain a blank, ':' or '/'")
    return found


def names(text: str) -> tuple[str, ...]:
    """Read names, separated by commas."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def inet_port(text: str) -> tuple[str, int]:
    """Read ``host:port``, ``*:port``, ``:port`` or ``port``; the host is empty for all addresses."""
    host, _, port = text.strip().rpartition(":")
    if not port.isdecimal() or len(port) > 5 or not 1 <= int(port) <= 65535:
        raise ValueError(f"{quote(text)} is not an address; write HOST:PORT or *:PORT, with a port from 1 to 65535")
    host = host.lower()
    return ("" if host == "*" else host), int(port)
