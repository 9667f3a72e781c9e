"""The small languages inside a value: limits, sockets, addresses, cron fields, names. No I/O.

Each function takes what the file says and returns what the model wants, or raises ValueError with what to write.
"""

from __future__ import annotations

import re
from posixpath import isabs, join, normpath
from typing import Any

from genii.config.source import did_you_mean, quote
from genii.units import parse_duration, parse_signal, parse_size

__all__ = [
    "absolute",
    "address",
    "check_program_name",
    "cron",
    "http_url",
    "is_hash",
    "is_loopback",
    "limit",
    "limit_name",
    "regular_expression",
    "reload_signal",
    "socket_url",
    "worker_class",
]

_PROGRAM_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]*")
_SOCKET_URL = re.compile(r"tcp://(\[[0-9A-Fa-f:.%a-z]+\]|[^/\[\]:\s@]*):([0-9]{1,5})/?")
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.%a-z]+\]|[^/\[\]:\s@]*):([0-9]{1,5})")
_HTTP_URL = re.compile(r"http://(\[[0-9A-Fa-f:.]+\]|[^/\[\]:\s@?#]+)(?::([0-9]{1,5}))?(?:[/?][!-~]*)?")
_WORKER = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_LONGEST_UNIX_PATH = 107
"""Bytes in sun_path without its final NUL: see unix(7)."""

_SIZE_LIMITS = ("fsize", "data", "stack", "core", "rss", "memlock", "as", "msgqueue")
_COUNT_LIMITS = ("nofile", "nproc", "locks", "sigpending", "nice", "rtprio")
_LIMIT_NAMES = (*_SIZE_LIMITS, *_COUNT_LIMITS, "cpu", "rttime", "memory")


def check_program_name(name: str) -> None:
    """Refuse names that commands, files and shells would trip over."""
    if name == "all":
        raise ValueError("'all' means all programs on the command line; choose another name")
    if not _PROGRAM_NAME.fullmatch(name) or len(name) > 100:
        raise ValueError(
            f"{quote(name)} can't be a program's name; use letters, digits and _ . @ + - (not first), up to 100"
        )


def absolute(path: str, folder: str) -> str:
    """Return a path made absolute from the folder."""
    if not path:
        raise ValueError("the path is empty; write one, or remove the key")
    if path.startswith("~"):
        raise ValueError(f"~ is not expanded in {quote(path)}; write ${{HOME}} or the whole path")
    return normpath(path if isabs(path) else join(folder, path))


def limit_name(name: str) -> str:
    """Return the short name of a resource limit as getrlimit(2) has it (``memory`` is ``as``)."""
    short = name.lower().removeprefix("rlimit_")
    if short not in _LIMIT_NAMES:
        hint = did_you_mean(short, _LIMIT_NAMES) or f" (known: {', '.join(sorted(_LIMIT_NAMES))})"
        raise ValueError(f"unknown limit{hint}")
    return "as" if short == "memory" else short


def limit(name: str, value: Any) -> tuple[int, int]:
    """Return soft and hard limit, -1 for unlimited, of one value, ``[soft, hard]``, or a pair in a record."""
    if isinstance(value, list):
        if len(value) != 2:
            raise ValueError(f"expected one value or [soft, hard], not a list of {len(value)}")
        soft, hard = (_one_limit(name, one) for one in value)
    elif isinstance(value, int | str):
        soft = hard = _one_limit(name, value)
    else:
        soft, hard = _one_limit(name, value.soft), _one_limit(name, value.hard)
    if hard != -1 and (soft == -1 or soft > hard):
        raise ValueError("the soft limit is above the hard one; lower it, or raise the hard one")
    return soft, hard


def _one_limit(name: str, value: int | str) -> int:
    if value == -1 or (isinstance(value, str) and value.strip().lower() in ("unlimited", "infinity", "-1")):
        return -1
    if name in _SIZE_LIMITS:
        return parse_size(value)
    if name == "cpu":
        return max(1, int(parse_duration(value)))
    if name == "rttime":
        return int(value) if isinstance(value, int) else int(parse_duration(value) * 1e6)
    if isinstance(value, str) and not re.fullmatch(r"[0-9]{1,18}", value.strip()):
        raise ValueError(f"{quote(value)} is not a number; write for example 100000 or 'unlimited'")
    return int(value)


def socket_url(text: str) -> str:
    """Return the canonical form of ``tcp://host:port`` or ``unix:///path``."""
    if text.startswith("unix://"):
        path = text.removeprefix("unix://")
        if not isabs(path) or path == "/":
            raise ValueError(f"{quote(text)} needs an absolute path; write unix:///path or unix://{{here}}/path")
        if len(path.encode()) > _LONGEST_UNIX_PATH:
            raise ValueError(f"the path of a unix socket has at most {_LONGEST_UNIX_PATH} bytes; choose a shorter one")
        return f"unix://{normpath(path)}"
    match = _SOCKET_URL.fullmatch(text)
    if match is None:
        raise ValueError(f"{quote(text)} is not a socket; write tcp://host:port or unix:///path")
    return f"tcp://{_host(match[1])}:{_port(match[2])}"


def address(text: str | int) -> str:
    """Return ``host:port`` of an address; a port alone is one of 127.0.0.1."""
    if isinstance(text, int) or text.isdigit():
        return f"127.0.0.1:{_port(str(text))}"
    match = _ADDRESS.fullmatch(text)
    if match is None:
        raise ValueError(f"{quote(text)} is not an address; write host:port, for example 127.0.0.1:8000")
    return f"{_host(match[1])}:{_port(match[2])}"


def _host(text: str) -> str:
    return "0.0.0.0" if text in ("", "*") else text.lower()  # noqa: S104 -- what the user wrote


def _port(text: str) -> int:
    port = int(text)
    if port > 65535:
        raise ValueError(f"{port} is not a port; write one between 1 and 65535")
    return port


def is_loopback(text: str) -> bool:
    """Say whether an address (``host:port``) is reached from this machine only."""
    host = text.rpartition(":")[0]
    return host in ("localhost", "[::1]") or re.fullmatch(r"127(?:\.[0-9]{1,3}){3}", host) is not None


def http_url(text: str) -> str:
    """Check a URL that genii itself will ask."""
    if text.startswith("https://"):
        raise ValueError("a probe speaks plain HTTP; for https use command = 'curl -fsS https://…'")
    match = _HTTP_URL.fullmatch(text)
    if match is None:
        raise ValueError(f"{quote(text)} is not a URL; write for example http://127.0.0.1:8000/health")
    _port(match[2] or "80")
    return text


def regular_expression(text: str) -> str:
    """Check a regular expression; it will be looked for in bytes, as output needn't be text."""
    try:
        re.compile(text.encode())
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"{quote(text)} is not a regular expression: {error}") from None
    return text


def cron(text: str) -> str:
    """Check when a program is to be started, as ``genii.events.cron`` reads it."""
    if not text.strip():
        raise ValueError("the schedule is empty; write five cron fields, for example '*/5 * * * *'")
    from genii.events.cron import parse

    parse(text)
    return text.strip()


def worker_class(text: str) -> str:
    """Check the name of a worker class."""
    if not _WORKER.fullmatch(text):
        raise ValueError(f"{quote(text)} is not a class; write module:Class, for example shop.workers:Thumbs")
    return text


def reload_signal(text: str) -> int:
    """Return the signal of ``reload``; 0 for ``restart``."""
    if text.strip().lower() == "restart":
        return 0
    try:
        return int(parse_signal(text))
    except ValueError:
        raise ValueError(f"{quote(text)} is neither a signal nor 'restart'; write for example 'HUP'") from None


def is_hash(password: str) -> bool:
    """Say whether a password is stored as a hash."""
    return password.startswith(("scrypt$", "{SHA}"))
