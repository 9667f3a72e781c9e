"""``genii work --min … --max …``: as many processes of a worker class as there is work for, in the foreground."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from genii.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from genii.gearman.slot_options import SlotOptions

__all__ = ["run_slots"]


def run_slots(options: argparse.Namespace) -> int:
    """Run a slot manager until TERM or INT; return 0."""
    from genii.gearman.slots import SlotManager
    from genii.system.address import parse_address

    if options.id or options.list:
        raise UsageError("--id and --list are for one worker, without --min, --max and --http")
    slots: SlotOptions = {
        "job_servers": options.server or ["127.0.0.1:4730"],
        "libs": options.lib,
        "min": 1 if options.min is None else options.min,
        "workleft": options.max_jobs,
        "warm": options.warm,
        "arguments": _arguments(options),
    }
    if options.max is not None:
        slots["max"] = options.max
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    host, port = "127.0.0.1", None
    if options.http:
        address = parse_address(options.http, default_host="127.0.0.1")
        host, port = address.host, address.port
    SlotManager({options.worker: slots}, port=port, host=host).run()
    return 0


def _arguments(options: argparse.Namespace) -> list[str]:
    words = []
    for name in ("prefix", "separator", "codec"):
        value = getattr(options, name)
        if value is not None:
            words.append(f"--{name}={value}")
    return words
