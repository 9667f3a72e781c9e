"""``genii events``."""

from __future__ import annotations

import json
import sys
import time

from genii.cli.action import add_json
from genii.cli.connect import connect
from genii.cli.reader import end_when_unread
from genii.cli.terminal import STATE_COLOURS, Paint
from genii.typed import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from genii.control.rows import EventRow

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
    if options.follow:
        end_when_unread()
    recent = client.recent_events()
    _print_events(recent, as_json=options.json)
    if options.follow:
        after = recent[-1]["serial"] if recent else -1
        for events in client.events(after=after):
            _print_events(events, as_json=options.json)
    return 0


def _print_events(events: Iterable[EventRow], *, as_json: bool) -> None:
    paint = Paint(sys.stdout)
    for event in events:
        if as_json:
            print(json.dumps(event, ensure_ascii=False))
            continue
        clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(event["time"]))
        facts = " ".join(
            f"{key}={paint(str(value), STATE_COLOURS.get(str(value), ''))}"
            for key, value in event["data"].items()
            if value not in (None, "", 0)
        )
        print(
            " ".join(part for part in (paint(clock, "dim"), event["kind"], paint(event["name"], "bold"), facts) if part)
        )
    sys.stdout.flush()
