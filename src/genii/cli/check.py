"""``genii check [FILE]``: tell what is wrong with a configuration; never starts anything."""

from __future__ import annotations

import os
import sys

from genii.typed import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from genii.config.load import Examination

__all__ = ["configure", "run"]

_EPILOG = """\
examples:
  genii check                     the file that 'genii up' would use
  genii check deploy/genii.toml   another one
  vim -q <(genii check 2>&1)      jump from error to error

exit codes: 0 right (there may be warnings), 2 wrong"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.description = "Read a configuration and all that it includes; tell every error as FILE:LINE:COLUMN: MESSAGE."
    parser.epilog = _EPILOG
    parser.add_argument("file", metavar="FILE", nargs="?", help="the configuration (default: the one that is found)")
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")


def run(options: argparse.Namespace) -> int:
    """Check the file; return the exit code."""
    from genii.config.advice import advise
    from genii.config.find import find
    from genii.config.load import examine

    path = options.file or getattr(options, "config", None) or find(os.getcwd(), os.environ)
    examination = examine(path, os.environ)
    wrong = bool(examination.problems)
    if not wrong and examination.scopes:
        advise(examination, os.environ)
    (_print_json if options.json else _print_lines)(examination, path)
    return 2 if wrong else 0


def _print_lines(examination: Examination, path: str) -> None:
    here = os.getcwd() + os.sep
    for problem in examination.problems:
        print(str(problem).removeprefix(here), file=sys.stderr)
    for problem in examination.warnings:
        where = f"{problem.path}:{problem.line}:{problem.column}".removeprefix(here)
        print(f"{where}: warning: {problem.message}", file=sys.stderr)
    if not examination.problems and examination.settings is not None:
        count = len(examination.settings.programs)
        programs = "1 program" if count == 1 else f"{count} programs"
        note = "" if count else " (add [program.NAME] with a command)"
        print(f"{os.path.relpath(path) if not os.path.isabs(path) else path.removeprefix(here)}: ok, {programs}{note}")


def _print_json(examination: Examination, path: str) -> None:
    import msgspec

    def listed(severity: str) -> list[dict[str, object]]:
        found = examination.problems if severity == "error" else examination.warnings
        return [
            {
                "path": one.path,
                "line": one.line,
                "column": one.column,
                "severity": severity,
                "message": one.message,
            }
            for one in found
        ]

    report = {
        "file": os.path.abspath(path),
        "ok": not examination.problems,
        "programs": len(examination.settings.programs) if examination.settings is not None else 0,
        "files": list(examination.settings.files) if examination.settings is not None else [],
        "problems": [*listed("error"), *listed("warning")],
    }
    text = msgspec.json.encode(report)
    print((msgspec.json.format(text, indent=2) if sys.stdout.isatty() else text).decode())
