"""What a person sees of a command on many hosts: lines as they come, the bar, and the summary."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

from genii.cli.progress import Bar
from genii.cli.terminal import Paint, printable
from genii.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

    from genii.fleet.capture import Lines
    from genii.fleet.result import Group, Result
    from genii.fleet.transport import Host

__all__ = ["Show"]

_COLOURS = ("cyan", "yellow", "green", "magenta", "blue")
_STATE_COLOURS = {"ok": "green", "skipped": "dim", "cancelled": "yellow"}
_MOST_GROUPS = 20
_WIDEST_NAME = 40


class Show:
    """Tell what happens; ``mode`` is ``stream``, ``group``, ``quiet`` or ``json``."""

    def __init__(self, hosts: Sequence[Host], mode: str) -> None:
        self._mode = mode
        self._alone = len(hosts) == 1
        self._total = len(hosts)
        self._begin = time.monotonic()
        self._bar = Bar(sys.stderr, len(hosts), shown=mode != "json" or not sys.stdout.isatty())
        self._paint = Paint(sys.stdout)
        self._width = min(_WIDEST_NAME, max(len(host.name) for host in hosts))
        self._numbers = {host.name: number for number, host in enumerate(hosts)}
        self._lines: dict[tuple[str, str], Lines] = {}
        self._clean = {"out": sys.stdout.isatty(), "err": sys.stderr.isatty()}
        self._begun: set[str] = set()
        self._results: list[Result] = []

    def started(self, host: str) -> None:
        """Count it."""
        self._begun.add(host)
        self._bar.begin()

    def output(self, host: str, stream: str, data: bytes) -> None:
        """Print what came, line by line with the host's name; of a single host as it is."""
        if self._mode != "stream":
            return
        target = sys.stdout if stream == "out" else sys.stderr
        if self._alone:
            target.buffer.write(data)
            target.flush()
            return
        from genii.fleet.capture import Lines

        if not data:
            lines = self._lines.pop((host, stream), None)
            found = list(lines.end()) if lines else []
        else:
            found = list(self._lines.setdefault((host, stream), Lines()).feed(data))
        if found:
            self._print(host, found, target, clean=self._clean[stream])

    def _print(self, host: str, lines: Sequence[str], target: TextIO, *, clean: bool) -> None:
        prefix = self._paint(f"{host:<{self._width}} |", _COLOURS[self._numbers[host] % len(_COLOURS)])
        self._bar.clear()
        target.write("".join(f"{prefix} {printable(line) if clean else line}\n" for line in lines))
        target.flush()
        self._bar.draw()

    def ended(self, result: Result) -> None:
        """Count it; print its line of JSON."""
        from dataclasses import replace

        self._bar.end(ok=result.ok or result.state == "skipped", begun=result.host in self._begun)
        if self._mode == "json":
            self._bar.clear()
            print(json.dumps(result.row(), ensure_ascii=False), flush=True)
            result = replace(result, output="", errors="")
        self._results.append(result)

    def finish(self, *, interrupted: bool = False, seconds: float | None = None) -> None:
        """Print the summary."""
        self._bar.clear()
        if self._mode == "json":
            return
        from genii.fleet.result import group_results

        paint = Paint(sys.stderr)
        if interrupted:
            print(paint("interrupted", "yellow"), file=sys.stderr)
        if self._alone and self._mode == "stream" and self._results and not interrupted:
            only = self._results[0]
            if only.error:
                print(f"{paint('genii:', 'red')} {only.error}", file=sys.stderr)
            return
        groups = group_results(self._results)
        if self._mode == "group":
            self._print_groups(groups)
        for group in groups[:_MOST_GROUPS]:
            print(self._summary(group, paint), file=sys.stderr)
        if len(groups) > _MOST_GROUPS:
            rest = sum(len(group.hosts) for group in groups[_MOST_GROUPS:])
            print(f"… and {rest} hosts with {len(groups) - _MOST_GROUPS} other results", file=sys.stderr)
        print(self._last_line(seconds), file=sys.stderr)

    def _print_groups(self, groups: Sequence[Group]) -> None:
        from genii.fleet.result import fold

        for group in groups:
            head = f"{fold(group.hosts)} ({len(group.hosts)})" if len(group.hosts) > 1 else group.hosts[0]
            print(self._paint(f"--- {head}", "bold"))
            for text in (group.first.output, group.first.errors):
                for line in text.splitlines():
                    print(printable(line) if self._clean["out"] else line)
            if group.first.error:
                print(group.first.error)
        sys.stdout.flush()

    def _summary(self, group: Group, paint: Paint) -> str:
        from genii.fleet.result import fold

        names = fold(group.hosts)
        shown = names if len(names) <= 60 else f"{names[:57]}…"
        said = _gist(group) if group.state == "ok" else group.first.reason()
        state = paint(f"{group.state:<11}", _STATE_COLOURS.get(group.state, "red"))
        return f"{state} {len(group.hosts):>5}  {shown}  {printable(said)}".rstrip()

    def _last_line(self, seconds: float | None) -> str:
        took = format_duration(seconds if seconds is not None else time.monotonic() - self._begin)
        good = sum(result.ok for result in self._results)
        return f"{good} of {self._total} hosts ok in {took}"


def _gist(group: Group) -> str:
    """Return the first line of what a group printed, and how much there is."""
    if not group.first.output_bytes:
        return ""
    lines = group.first.output.splitlines()
    more = f" (+{group.first.output_bytes - len(lines[0].encode())} bytes)" if len(lines) > 1 else ""
    return f"{lines[0][:60]}{more}" if lines else ""
