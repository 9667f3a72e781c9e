"""What a host knows of its releases: which are good, which are half-made, where back is, what may be removed.

It is told by the record that genii keeps on the host (a line of JSON for each change of state) and, for releases that
Capistrano made, by ``revisions.log``; never by the dates of directories. No I/O.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from genii.deploy.layout import is_release, logged_releases

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Entry", "History", "read_history"]


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of the record. ``state`` is begun, good, bad (with a ``reason``), rolled-back or removed."""

    release: str
    state: str
    revision: str = ""
    branch: str = ""
    by: str = ""
    host: str = ""
    """The control machine."""
    at: str = ""
    reason: str = ""

    def line(self) -> str:
        """Return it as it is written."""
        return msgspec.json.encode(self).decode()


class History(msgspec.Struct, frozen=True):
    """The releases of a host. ``states`` has each release that is there (or is told of) and its last state."""

    releases: tuple[str, ...] = ()
    """The directories that exist, oldest first."""
    current: str = ""
    states: Mapping[str, Entry] = {}

    def state(self, release: str) -> str:
        """Return good, bad, begun, rolled-back, removed or, for what nobody tells of, unknown."""
        entry = self.states.get(release)
        return entry.state if entry else "unknown"

    @property
    def good(self) -> tuple[str, ...]:
        """Return the good releases that exist, oldest first."""
        return tuple(name for name in self.releases if self.state(name) == "good")

    @property
    def unfinished(self) -> bool:
        """Say whether ``current`` leads to a release that was switched to and never found well."""
        return bool(self.current) and self.state(self.current) in ("begun", "bad")

    def half_made(self, in_use: str = "") -> tuple[str, ...]:
        """Return what an interrupted or failed deployment left and what is not in use (empty: the current release)."""
        in_use = in_use or self.current
        return tuple(
            name for name in self.releases if self.state(name) in ("begun", "bad", "removed") and name != in_use
        )

    def back(self, wanted: str = "") -> str:
        """Return the release to go back to: the one wanted, else the newest good one before the current.

        Raises:
            ValueError: there is none; the text says why.
        """
        if wanted:
            if wanted not in self.releases:
                raise ValueError(f"there is no release {wanted} (there are: {', '.join(self.releases) or 'none'})")
            if self.state(wanted) not in ("good", "rolled-back", "unknown"):
                raise ValueError(f"the release {wanted} was never finished or is bad; choose a good one")
            return wanted
        # An unfinished current release is no place to count from by its state, but by its name it still is.
        older = [name for name in self.good if name < self.current or not self.current]
        if not older:
            raise ValueError(f"there is no good release before {self.current or 'the first'}")
        return older[-1]

    def surplus(self, keep: int, new: str = "") -> tuple[str, ...]:
        """Return what to remove when ``new`` (or, empty, the current one) is in use.

        Of the good ones the newest ``keep`` stay, always with the one in use and the one to go back to; of those that
        were rolled back, the last. What nobody tells of goes when it is older than all of these, as with Capistrano.
        """
        in_use = new or self.current
        good = sorted({*self.good, new} - {""})
        kept = {*good[-keep:], in_use}
        before = [name for name in good if name < in_use]
        kept |= set(before[-1:])
        oldest = min(kept)
        unknown = [name for name in self.releases if self.state(name) == "unknown" and name < oldest]
        rolled_back = [name for name in self.releases if self.state(name) == "rolled-back" and name != in_use][:-1]
        gone = {*good, *unknown, *rolled_back, *self.half_made(in_use)} - kept
        return tuple(name for name in self.releases if name in gone)


def read_history(releases: Iterable[str], current: str, record: Iterable[str], revisions: Iterable[str]) -> History:
    """Return the history from the directories, the target of ``current``, the record and ``revisions.log``.

    A line of the record that was cut short by a crash counts for nothing. A release that is current and of which only
    Capistrano's layout tells is good: it is what runs.
    """
    states: dict[str, Entry] = {name: Entry(release=name, state="good") for name in logged_releases(revisions)}
    for line in record:
        try:
            entry = msgspec.json.decode(line, type=Entry)
        except (msgspec.MsgspecError, UnicodeError):
            continue
        states[entry.release] = _merged(states.get(entry.release), entry)
    there = tuple(sorted(filter(is_release, releases)))
    if current in there and current not in states:
        states[current] = Entry(release=current, state="good")
    return History(there, current, states)


def _merged(earlier: Entry | None, later: Entry) -> Entry:
    """Return the later state with what only the earlier line tells."""
    if earlier is None or earlier.state == "removed":
        return later
    known: dict[str, Any] = {
        name: getattr(earlier, name)
        for name in ("revision", "branch", "by", "host", "at")
        if not getattr(later, name) and getattr(earlier, name)
    }
    return msgspec.structs.replace(later, **known) if known else later
