"""What ``genii up`` tells the supervisor that it executes: one argument, JSON. No I/O."""

from __future__ import annotations

import msgspec

__all__ = ["Options"]


class Options(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a supervisor is to run; what another version would say besides is left out."""

    config: str
    """Path of the configuration."""
    names: tuple[str, ...] = ()
    """Programs to start; none: those that start by themselves."""
    foreground: bool = True
    """Whether it stays where it was started: its messages then go to standard error."""
    show: bool = True
    """Whether lines of programs are shown on standard output, in the foreground."""
    color: bool = False
    echo: bool = False
    """Whether the supervisor's own log is shown on standard output (``genii supervisord -n``)."""
    report: int = -1
    """Descriptor on which ``genii up -d`` waits: ``STATUS message`` when the supervisor is up, or why it isn't."""
    exit_on_fatal: tuple[str, ...] = ()
    """Programs whose failure ends the supervisor with their exit code."""
    wait: bool = True
    """Whether the report waits until the programs run."""
    front: str = ""
    """The module that serves the dashboard, loaded when it is first asked for; empty: there is none."""
