"""Time zones by name, and the one that this machine is in."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import tzinfo

__all__ = ["load_zone"]


def load_zone(name: str = "") -> tzinfo:
    """Load a zone of the tz database; without a name that of ``TZ`` or /etc/localtime, see tzset(3).

    Raises:
        ValueError: there is no such zone here.
    """
    from datetime import UTC

    wanted = name or os.environ.get("TZ", "").removeprefix(":")
    if wanted.upper() in ("UTC", "GMT"):
        return UTC
    if wanted.startswith("/") or not wanted:
        return _load_file(wanted or "/etc/localtime", required=bool(wanted))
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(wanted)
    except (KeyError, ValueError, OSError):
        raise ValueError(
            f"there is no time zone {wanted!r} here; expected a name such as 'Europe/London' (Debian: package tzdata)"
        ) from None


def _load_file(path: str, *, required: bool) -> tzinfo:
    from datetime import UTC
    from zoneinfo import ZoneInfo

    try:
        with open(path, "rb") as file:
            return ZoneInfo.from_file(file, key=path)
    except FileNotFoundError:
        if required:
            raise ValueError(f"TZ names the file {path}, which does not exist") from None
        return UTC  # what localtime(3) does without /etc/localtime
    except (ValueError, OSError) as error:
        raise ValueError(f"{path} is not a time zone: {error}") from None
