"""Where things are below the directory that is deployed to: Capistrano's layout, and our own ``.genii`` beside it.

``releases/YYYYMMDDHHMMSS``, ``current`` (an absolute symbolic link, as Capistrano makes it), ``shared``, ``repo``,
``revisions.log``. No I/O.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from posixpath import basename, normpath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Layout", "deployed_line", "is_release", "logged_releases", "name_release", "rolled_back_line"]

_RELEASE = re.compile(r"\d{14}")
_DEPLOYED = re.compile(r"deployed as release (\d{14}) by ")
_FORMAT = "%Y%m%d%H%M%S"


class Layout:
    """The paths of one deployment on a host."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.releases = f"{root}/releases"
        self.current = f"{root}/current"
        self.shared = f"{root}/shared"
        self.repo = f"{root}/repo"
        self.revisions = f"{root}/revisions.log"
        self.log = f"{root}/shared/log/deploy.jsonl"
        self.private = f"{root}/.genii"
        self.lock = f"{root}/.genii/lock"
        self.record = f"{root}/.genii/releases.jsonl"
        self.tree = f"{root}/.genii/tree"
        self.tree_mark = f"{root}/.genii/tree.id"
        self.trash = f"{root}/.genii/trash"

    def release(self, name: str) -> str:
        """Return the directory of a release."""
        return f"{self.releases}/{name}"

    def release_of(self, target: str) -> str:
        """Return the release that a link's target names; empty if it leads somewhere else."""
        path = normpath(target if target.startswith("/") else f"{self.root}/{target}")
        return basename(path) if path == self.release(basename(path)) else ""


def is_release(name: str) -> bool:
    """Say whether a name is a release's, as Capistrano gives them."""
    return _RELEASE.fullmatch(name) is not None


def name_release(now: float, existing: Iterable[str]) -> str:
    """Return the name of a new release: the time in UTC, later than all that exist anywhere.

    Clocks differ, and two deployments may fall into one second; order and uniqueness hold all the same.
    """
    moment = datetime.fromtimestamp(int(now), UTC)
    newest = max(filter(is_release, existing), default="")
    if newest >= moment.strftime(_FORMAT):
        try:
            moment = datetime.strptime(newest, _FORMAT).replace(tzinfo=UTC) + timedelta(seconds=1)
        except ValueError:  # fourteen digits that are no date: count on
            return f"{int(newest) + 1:014}"
    return moment.strftime(_FORMAT)


def deployed_line(branch: str, revision: str, release: str, user: str) -> str:
    """Return a line of ``revisions.log`` as Capistrano 3 writes it."""
    return f"Branch {branch} (at {revision}) deployed as release {release} by {user}"


def rolled_back_line(release: str, user: str) -> str:
    """Return a line of ``revisions.log`` as Capistrano 3 writes it after a roll-back."""
    return f"{user} rolled back to release {release}"


def logged_releases(lines: Iterable[str]) -> list[str]:
    """Return the releases that ``revisions.log`` calls deployed, in its order; Capistrano writes that last of all."""
    return [match[1] for line in lines if (match := _DEPLOYED.search(line))]
