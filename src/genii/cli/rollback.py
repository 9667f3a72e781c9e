"""``genii rollback``: take hosts back to the release before, or to one that is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genii.cli.deployment import add_common, carry_out, choose
from genii.errors import UsageError

if TYPE_CHECKING:
    import argparse

__all__ = ["configure", "run"]

_EPILOG = """\
examples:
  genii rollback                        to the good release before the current one
  genii rollback shop 20261121083000    to this one ('genii releases' shows what there is)

Without a release, each host goes back to the newest good one before its own; what was never finished, or was not well,
is no place to go back to. The release that is left stays on the host."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = _EPILOG
    parser.add_argument(
        "words", metavar="NAME|RELEASE", nargs="*", help="the deployment, and the release to go back to"
    )
    add_common(parser, changes=True)


def run(options: argparse.Namespace) -> int:
    """Roll back; return the exit code."""
    from genii.deploy.layout import is_release

    releases = [word for word in options.words if is_release(word)]
    names = [word for word in options.words if not is_release(word)]
    if len(releases) > 1 or len(names) > 1:
        raise UsageError(f"one deployment and one release: {' '.join(options.words)}")
    chosen = choose(options, names[0] if names else "")
    wanted = releases[0] if releases else ""
    return carry_out(chosen, options, "rollback", lambda deployer, named: deployer.rollback(wanted, named))
