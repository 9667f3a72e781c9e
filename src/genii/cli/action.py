"""What the commands that change something have in common: ask, print a line for each process, pick the exit code."""

from __future__ import annotations

import sys

from genii.cli.connect import connect, explain_unknown
from genii.cli.terminal import Paint
from genii.errors import CheckFailed, TimedOut
from genii.typed import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from typing import Any

    from genii.control.rows import ResultRow

__all__ = ["add_json", "carry_out", "exit_code", "print_json"]


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the option for programs that read us."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def print_json(value: object) -> None:
    """Print one document: for people in lines, for programs in one."""
    import json  # late, see ``genii.control.plain_json``

    print(json.dumps(value, indent=2 if sys.stdout.isatty() else None, ensure_ascii=False), flush=True)


def carry_out(
    options: argparse.Namespace, action: str, names: Sequence[str], *, nothing: str = "", **query: Any
) -> int:
    """Ask the supervisor and tell what became of it; ``nothing`` is said where no process was concerned."""
    client = connect(options)
    with explain_unknown(client, names):
        results = client.act(action, names, **query)
    if options.json:
        print_json({"results": results})
    else:
        _print_results(results)
        if not results and nothing:
            print(nothing)
    return exit_code(results)


def _print_results(results: Sequence[ResultRow]) -> None:
    for result in results:
        stream = sys.stdout if result["ok"] else sys.stderr
        paint = Paint(stream)
        colour = ("dim" if result["code"] == "already" else "green") if result["ok"] else "red"
        print(f"{result['name']}: {paint(result['message'] or result['code'], colour)}", file=stream)
        if result["output"]:
            print(result["output"].rstrip("\n"), file=stream)


def exit_code(results: Sequence[ResultRow]) -> int:
    """Return 0 if all went well, 5 or 124 if checks or time-outs alone did not, else 1."""
    codes = {result["code"] for result in results if not result["ok"]}
    if not codes:
        return 0
    if codes == {CheckFailed.code}:
        return CheckFailed.exit_code
    return TimedOut.exit_code if codes == {TimedOut.code} else 1
