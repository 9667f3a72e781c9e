"""``genii scale``."""

from __future__ import annotations

import re

from genii.cli.action import add_json, carry_out
from genii.cli.connect import connect
from genii.cli.options import complete_with
from genii.errors import UsageError
from genii.typed import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

__all__ = ["configure", "parse_scale", "run"]

_SCALE = re.compile(r"(?P<name>.+)=(?P<minimum>\d{1,6})(\.\.(?P<maximum>\d{1,6}))?")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    action = parser.add_argument(
        "scales", metavar="NAME=N|MIN..MAX", nargs="+", help="how many processes it shall have"
    )
    complete_with(action, "names")
    add_json(parser)
    parser.epilog = """It holds until 'genii update' finds another number in the file.

Examples:
  genii scale web=4
  genii scale thumbs=2..20   elastic: as many as are busy"""


def run(options: argparse.Namespace) -> int:
    """Scale programs; the first failure decides the exit code."""
    worst = 0
    wanted = [parse_scale(text) for text in options.scales]
    if len(wanted) > 1:
        # A misspelt name must do nothing at all: the supervisor knows them, one request each does not.
        connect(options).statuses([name for name, _, _ in wanted])
    for name, minimum, maximum in wanted:
        worst = carry_out(options, "scale", [name], nothing=f"{name}: no process had to be started or stopped",
                          minimum=minimum, maximum=maximum) or worst  # fmt: skip
    return worst


def parse_scale(text: str) -> tuple[str, int, int]:
    """Read ``web=4`` or ``web=2..20``.

    Raises:
        UsageError: it is neither.
    """
    match = _SCALE.fullmatch(text)
    if match is None:
        raise UsageError(f"{text!r}: write for example web=4 or web=2..20")
    minimum, maximum = int(match["minimum"]), int(match["maximum"] or match["minimum"])
    if minimum > maximum:
        raise UsageError(f"{text!r}: the smaller number comes first")
    return match["name"], minimum, maximum
