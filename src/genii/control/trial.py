"""The trial run of a version before a supervisor trusts it: whether it can load, read the configuration, and take over.

It runs in a process of its own (``bootstrap.py OPTIONS trial``), gets the state on standard input, and prints one line
of JSON: ``{"version": …, "formats": […], "problem": …}``; without a problem all is well.
"""

from __future__ import annotations

import os

import msgspec

from genii.control.verdict import Verdict

__all__ = ["run"]


def run(words: str) -> int:
    """Try everything that a start needs, short of starting anything; return the exit code."""
    with os.fdopen(os.dup(1), "wb") as out:
        os.dup2(2, 1)  # nothing else may get between the lines of the answer
        out.write(msgspec.json.encode(_judge(words)))
    return 0


def _judge(words: str) -> Verdict:
    from genii.supervise.handover import FORMATS
    from genii.version import __version__

    verdict = Verdict(version=__version__, formats=FORMATS)
    try:
        _try(words)
    except Exception as error:
        verdict.problem = str(error) or type(error).__name__
    return verdict


def _try(words: str) -> None:
    """Load what a supervisor loads, and read what it reads.

    Raises:
        Exception: whatever stands in the way.
    """
    import genii.control.daemon
    import genii.supervise.succession  # noqa: F401 -- as above
    from genii.control import loader
    from genii.control.options import Options
    from genii.supervise.handover import decode
    from genii.supervise.machine import rules_for
    from genii.supervise.template import for_process

    options = msgspec.json.decode(words, type=Options)
    with open(0, "rb", closefd=False) as file:
        handover = decode(file.read())
    for program in handover.settings.programs.values():
        for number, name in enumerate(program.process_names()):
            rules_for(for_process(program, number, name))
    loader.decode(loader.load_encoded(options.config))
