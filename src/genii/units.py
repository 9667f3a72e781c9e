"""Durations, sizes, signals and octal modes as people write them, both ways. No I/O.

Durations are seconds as ``float``, sizes are bytes as ``int``. Every ``parse_*`` raises ``ValueError`` with a
message that says what was expected.
"""

from __future__ import annotations

from genii.typed import TYPE_CHECKING

if TYPE_CHECKING:
    import signal

__all__ = [
    "format_count",
    "format_duration",
    "format_signal",
    "format_size",
    "parse_duration",
    "parse_mode",
    "parse_signal",
    "parse_size",
]

_DURATION_UNITS = {
    "ms": 0.001, "s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0,
    "m": 60.0, "min": 60.0, "minute": 60.0, "minutes": 60.0,
    "h": 3600.0, "hour": 3600.0, "hours": 3600.0,
    "d": 86400.0, "day": 86400.0, "days": 86400.0, "w": 604800.0, "week": 604800.0, "weeks": 604800.0,
}  # fmt: skip
_SIZE_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_DURATION_PART = r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*"
_SIZE = r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?\s*"
_LARGEST_DURATION = 1e10  # some 317 years: more is a slip of the finger, and overflows the kernel's timers


def parse_duration(text: str | float) -> float:
    """Read ``"1h30m"``, ``"200ms"``, ``"5 minutes"`` or a plain number of seconds."""
    if isinstance(text, bool) or not isinstance(text, int | float | str):
        raise ValueError(f"expected a duration such as '10s', '200ms' or '1h30m', not {text!r}")
    seconds = _duration_seconds(text) if isinstance(text, str) else float(text)
    if not 0 <= seconds <= _LARGEST_DURATION:  # NaN isn't either
        raise ValueError(f"{text!r} is not a duration between 0 and 300 years")
    return seconds


def _duration_seconds(text: str) -> float:
    wanted = f"{text!r} is not a duration; write for example '10s', '200ms' or '1h30m'"
    try:
        return float(text)
    except ValueError:
        pass
    import re  # late: it is 0.4 MiB that not everybody needs

    pattern = re.compile(_DURATION_PART)
    total, position = 0.0, 0
    lowered = text.lower()
    while position < len(lowered):
        part = pattern.match(lowered, position)
        if part is None or part[2] not in _DURATION_UNITS:
            raise ValueError(wanted)
        total += float(part[1]) * _DURATION_UNITS[part[2]]
        position = part.end()
    if position == 0:
        raise ValueError(wanted)
    return total


def format_duration(seconds: float) -> str:
    """Write seconds for people: ``"350ms"``, ``"4.2s"``, ``"5m10s"``, ``"3h02m"``, ``"12d4h"``."""
    if seconds < 0:
        return "-" + format_duration(-seconds)
    if 0 < seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 60:
        return f"{seconds:.1f}".removesuffix(".0") + "s"
    whole = int(seconds)
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d{whole % 86400 // 3600}h"


def format_count(number: int, noun: str) -> str:
    """Return ``1 process`` or ``2 processes``."""
    plural = noun + ("es" if noun.endswith("s") else "s")
    return f"{number} {noun if number == 1 else plural}"


def parse_size(text: str | int) -> int:
    """Read ``"50MB"``, ``"512k"``, ``"1GiB"`` or a number of bytes; units are powers of 1024."""
    if isinstance(text, bool) or not isinstance(text, int | str):
        raise ValueError(f"expected a size such as '50MB', not {text!r}")
    if isinstance(text, int):
        size = text
    else:
        import re  # late, as above

        match = re.fullmatch(_SIZE, text, re.IGNORECASE)
        if match is None:
            raise ValueError(f"{text!r} is not a size; write for example '50MB', '512KB' or a number of bytes")
        size = int(float(match[1]) * _SIZE_UNITS[match[2].lower()])
    if not 0 <= size < 1 << 63:
        raise ValueError(f"{text!r} is not a size between 0 and 8 EiB")
    return size


def format_size(size: int) -> str:
    """Write bytes for people: ``"512B"``, ``"3.4KB"``, ``"50MB"``."""
    value = float(size)
    for unit in ("B", "KB", "MB", "GB"):
        if value < 1024:
            return f"{value:.1f}".removesuffix(".0") + unit
        value /= 1024
    return f"{value:.1f}".removesuffix(".0") + "TB"


def parse_signal(text: str | int) -> signal.Signals:
    """Read ``"TERM"``, ``"SIGTERM"``, ``"term"`` or ``15``."""
    import signal  # late: its enums take a tenth of the time of a short command

    if isinstance(text, str) and not text.strip().isdigit():
        name = text.strip().upper()
        name = name if name.startswith("SIG") else "SIG" + name
        if name in signal.Signals.__members__:
            return signal.Signals[name]
        raise ValueError(f"{text!r} is not a signal; write for example 'TERM', 'HUP' or 'USR1'")
    try:
        return signal.Signals(int(text))
    except ValueError:
        raise ValueError(f"{text!r} is not a signal number of this system") from None


def format_signal(number: int) -> str:
    """Write a signal number as its name without ``SIG``."""
    import signal

    try:
        return signal.Signals(number).name.removeprefix("SIG")
    except ValueError:
        return str(number)


def parse_mode(text: str | int) -> int:
    """Read an octal mode (``"0700"``, ``"022"``); a TOML integer such as ``0o700`` is taken as it is."""
    if isinstance(text, int) and not isinstance(text, bool):
        mode = text
    else:
        try:
            mode = int(str(text), 8)
        except ValueError:
            raise ValueError(f"{text!r} is not an octal mode; write for example '0700'") from None
    if not 0 <= mode <= 0o7777:
        raise ValueError(f"{text!r} is not an octal mode between 0 and 7777")
    return mode
