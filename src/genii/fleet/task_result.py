"""What became of a command or a wanted state on one host, as a task gets it. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["TaskResult"]


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What became of one command or wanted state on one host; true if it went well, its text is the output."""

    host: str
    command: str
    """What was run, or which state was wanted; secrets are hidden."""
    status: int = 0
    """The exit status; 128 + N after signal N."""
    stdout: str = ""
    stderr: str = ""
    wanted: bool = False
    """Whether this is about a wanted state, not a plain command."""
    changed: bool = False
    """Whether a wanted state had to be made so, or would have to (``planned``); of a plain command nobody can tell."""
    difference: str = ""
    """What changed, for people: a unified diff of a file, a line for each package, …"""
    planned: bool = False
    """Whether this is a dry run: nothing was done."""
    truncated: bool = False
    """Whether there was more output than is kept."""

    @property
    def ok(self) -> bool:
        """Whether it went well."""
        return self.status == 0

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        return self.stdout.rstrip("\n")
