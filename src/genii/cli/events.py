"""``genii events``."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from genii.cli.action import add_json
from genii.cli.connect import connect
from genii.cli.terminal import STATE_COLOURS, Paint

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from genii.supervise.report import Event

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what happens from now on")
    add_json(parser)
    parser.epilog = """Examples:
  genii events               the last that happened
  genii events -f --json     for a program that reacts to them"""


def run(options: argparse.Namespace) -> int:
    """Print events."""
    client = connect(options)
    stream = client.events() if options.follow else iter(())
    _print_events(client.recent_events(), as_json=options.json)
    for events in stream:
        _print_events(events, as_json=options.json)
    return 0


def _print_events(events: Iterable[Event], *, as_json: bool) -> None:
    paint = Paint(sys.stdout)
    for event in events:
        if as_json:
            import msgspec

            print(msgspec.json.encode(event).decode())
            continue
        clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(event.time))
        facts = " ".join(
            f"{key}={paint(str(value), STATE_COLOURS.get(str(value), ''))}"
            for key, value in event.data.items()
            if value not in (None, "")
        )
        print(" ".join(part for part in (paint(clock, "dim"), event.kind, paint(event.name, "bold"), facts) if part))
    sys.stdout.flush()
