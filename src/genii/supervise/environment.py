"""The environment that a process gets, and what of it may be shown. No I/O."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from genii.supervise.model import Program

__all__ = ["MARK", "OWNER", "PAUSED", "for_process", "inherited", "masked"]

MARK = "GENII_PROCESS"
"""Names the process; also how a process is recognized whose start was announced but not recorded."""
PAUSED = "GENII_PAUSED"
"""Tells a worker that is started while its program is paused."""
OWNER = "GENII_STATE_DIR"
"""Names the supervisor: several may run on one host."""

_NOT_INHERITED = frozenset(
    {
        "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "INVOCATION_ID",
        "JOURNAL_STREAM", "MAINPID", "GENII_PASSWORD", "GENII_PAUSED", "GENII_SYS_PATH", "GENII_LOADER", "GENII_TLS",
        "GENII_SUPERVISORD_OPTIONS", "PYTHONSTARTUP",
    }
)  # fmt: skip
_SECRET = re.compile(r"PASS|SECRET|TOKEN|API_?KEY|PRIVATE|CREDENTIAL|AUTH", re.IGNORECASE)
_URL_PASSWORD = re.compile(r"(\w+://[^:/@\s]+:)[^@\s]+(@)")


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what of the supervisor's own environment its programs inherit: nothing that speaks of the supervisor."""
    return {name: value for name, value in environ.items() if name not in _NOT_INHERITED}


def for_process(
    base: Mapping[str, str],
    program: Program,
    name: str,
    number: int,
    *,
    state_dir: str,
    notify: str,
    account: Mapping[str, str],
) -> dict[str, str]:
    """Return the variables of a process: inherited, the account's (``HOME``…), genii's, and the program's own last."""
    variables = {} if program.clear_environment else dict(base)
    variables.update(account)
    if program.clear_environment and "PATH" not in program.environment:
        variables["PATH"] = base.get("PATH", "/usr/local/bin:/usr/bin:/bin")
    variables[MARK] = name
    variables[OWNER] = state_dir
    variables["GENII_PROGRAM"] = program.name
    variables["GENII_PROCESS_NUM"] = str(number)
    if notify:
        variables["NOTIFY_SOCKET"] = notify
    variables.update(program.environment)
    return variables


def masked(environment: Mapping[str, str], secrets: tuple[str, ...]) -> dict[str, str]:
    """Return the variables with secrets as ``****``: those named, those that look like one, passwords in URLs."""
    return {
        name: "****" if name in secrets or _SECRET.search(name) else _URL_PASSWORD.sub(r"\1****\2", value)
        for name, value in environment.items()
    }
