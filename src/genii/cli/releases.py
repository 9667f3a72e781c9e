"""``genii releases``: which release is where, and the record of deployments."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any

from genii.cli.deployment import add_common, choose, run_interruptibly
from genii.cli.terminal import Paint, format_table, printable
from genii.errors import UsageError
from genii.units import format_duration

if TYPE_CHECKING:
    import argparse

    from genii.cli.deployment import Chosen
    from genii.deploy.deployer import Member
    from genii.deploy.record import DeploymentRow, Record

__all__ = ["configure", "run"]

_COLOURS = {"good": "green", "bad": "red", "failed": "red", "rolled back": "yellow", "interrupted": "red"}
_EPILOG = """\
examples:
  genii releases             on each host: the releases, which is in use, who deployed it, from which revision
  genii releases --log       the record of this machine: who deployed what, when, and how it ended
  genii releases --log 12    what each step of deployment 12 did and printed"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.epilog = _EPILOG
    parser.add_argument("name", metavar="NAME", nargs="?", default="", help="the deployment")
    parser.add_argument(
        "--log", metavar="NUMBER", nargs="?", const="", default=None, help="the record, or one deployment of it"
    )
    parser.add_argument("-n", "--limit", type=int, default=20, metavar="N", help="how many of the record")
    add_common(parser, changes=False)


def run(options: argparse.Namespace) -> int:
    """Show releases or the record; return the exit code."""
    if options.log is not None and options.name.isdigit() and not options.log:
        options.log, options.name = options.name, ""
    chosen = choose(options, options.name)
    if options.log is None:
        return run_interruptibly(_show_releases(chosen, options))
    if options.log:
        return _show_log(chosen.record(), options)
    return _show_record(chosen, options)


async def _show_releases(chosen: Chosen, options: argparse.Namespace) -> int:
    from genii.cli.action import print_json

    transport = chosen.transport()
    deployer = chosen.deployer(transport)
    try:
        await deployer.look()
    finally:
        await deployer.close()
        await transport.close()
    if options.json:
        print_json({member.name: _as_json(member) for member in deployer.members})
    else:
        _print_releases(deployer.members)
    for member in deployer.members:
        if member.error:
            print(f"{member.name}: {member.error}", file=sys.stderr)
    return 1 if any(member.error for member in deployer.members) else 0


def _rows_of(member: Member) -> list[dict[str, Any]]:
    history, rows = member.facts.history, []
    for name in reversed(history.releases):
        entry = history.states.get(name)
        rows.append(
            {
                "release": name,
                "state": history.state(name),
                "current": name == history.current,
                "revision": entry.revision if entry else "",
                "branch": entry.branch if entry else "",
                "by": entry.by if entry else "",
                "at": entry.at if entry else "",
                "reason": entry.reason if entry else "",
            }
        )
    return rows


def _as_json(member: Member) -> dict[str, Any]:
    return {"error": member.error, "current": member.facts.history.current, "releases": _rows_of(member)}


def _print_releases(members: list[Member]) -> None:
    paint = Paint(sys.stdout)
    rows = [("HOST", "", "RELEASE", "STATE", "REVISION", "BRANCH", "BY", "WHEN")]
    for member in members:
        for row in _rows_of(member):
            state = paint(row["state"], _COLOURS.get(row["state"], "dim"))
            rows.append((
                member.name, "->" if row["current"] else "", row["release"], state, row["revision"][:12],
                row["branch"], row["by"], row["at"],
            ))  # fmt: skip
    if len(rows) > 1:
        print("\n".join(format_table(rows)))
    else:
        print("no releases yet", file=sys.stderr)


def _show_record(chosen: Chosen, options: argparse.Namespace) -> int:
    import msgspec

    from genii.cli.action import print_json

    found = chosen.record().deployments(chosen.deployment.name, options.limit)
    if options.json:
        print_json(msgspec.to_builtins(found))
        return 0
    paint = Paint(sys.stdout)
    rows: list[tuple[str, ...]] = [("NUMBER", "WHEN", "WHAT", "RELEASE", "REVISION", "BY", "TOOK", "STATUS")]
    rows += [_record_row(one, paint) for one in found]
    print("\n".join(format_table(rows)))
    return 0


def _record_row(one: DeploymentRow, paint: Paint) -> tuple[str, ...]:
    when = datetime.fromtimestamp(one.started).astimezone().isoformat(" ", "seconds")
    took = format_duration(round(one.ended - one.started, 2)) if one.ended else ""
    status = paint(one.status, _COLOURS.get(one.status, "yellow")) + (f" ({one.message})" if one.message else "")
    who = f"{one.by}@{one.control}"
    return str(one.number), when, one.action, one.release, one.revision[:12], who, took, status


def _show_log(record: Record, options: argparse.Namespace) -> int:
    import msgspec

    from genii.cli.action import print_json

    one = record.deployment(int(options.log)) if options.log.isdigit() else None
    if one is None:
        raise UsageError(f"the record has no deployment {options.log} ('genii releases --log' lists them)")
    lines, after = [], 0
    while more := record.lines(one.number, after):
        lines += more
        after = more[-1].id
    if options.json:
        print_json({**msgspec.to_builtins(one), "lines": msgspec.to_builtins(lines)})
        return 0
    print("\n".join(format_table([_record_row(one, Paint(sys.stdout))])))
    for line in lines:
        at = f"{line.at - one.started:7.2f}s"
        if line.kind == "end":
            print(f"{at} {line.host} {line.step}: ended with {line.status} after {line.seconds:.2f}s")
        elif line.kind == "begin":
            print(f"{at} {line.host} {line.step}: began")
        else:
            for text in line.text.splitlines():
                print(f"{at} {line.host} {line.step}{': ' if line.step else ''}{printable(text)}")
    for host, state in one.hosts.items():
        print(f"{host}: {state}")
    return 0
