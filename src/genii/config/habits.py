"""What people write who come from supervisord, and what it is called here. No I/O."""

from __future__ import annotations

import re

__all__ = ["HABITS", "misplaced_section"]

HABITS = {
    "autorestart": 'here it is restart = "always", "on-failure" or "never"',
    "numprocs": "here it is processes",
    "numprocs_start": "remove it: processes are counted from 0",
    "stopsignal": 'here it is stop = "INT"',
    "stopwaitsecs": 'here it is stop.timeout = "10s"',
    "stopasgroup": "here it is stop.group, which is true unless you say otherwise",
    "killasgroup": "here it is stop.group, which is true unless you say otherwise",
    "startretries": "here it is retries",
    "exitcodes": "here it is exit_codes",
    "redirect_stderr": "remove it: errors go with the output unless logs.stderr says otherwise",
    "stdout_logfile": "here it is logs",
    "stderr_logfile": "here it is logs.stderr",
    "stdout_logfile_maxbytes": "here it is logs.size",
    "stderr_logfile_maxbytes": "here it is logs.size",
    "stdout_logfile_backups": "here it is logs.backups",
    "stderr_logfile_backups": "here it is logs.backups",
    "serverurl": "remove it: genii finds its own socket",
    "programs": "groups of programs are not needed here; use depends_on for an order",
    "logfile": "here it is log",
    "loglevel": "here it is log_level",
    "childlogdir": "here it is log_dir",
    "nodaemon": "remove it: 'genii up' stays in the foreground, 'genii up -d' does not",
    "minfds": "remove it: limits.nofile of each program says it",
    "minprocs": "remove it: limits.nproc of each program says it",
    "pidfile": "remove it: it is in state_dir",
    "chmod": "here it is socket_mode",
    "chown": "here it is socket_owner",
}
"""Keys of supervisord's files that mean nothing here, and what to do about each."""

_SECTION = re.compile(r"\s*\[\s*(program|eventlistener|fcgi-program|group|rpcinterface)\s*:\s*([^\]]*?)\s*\]")


def misplaced_section(line: str) -> str:
    """Say what to write instead of a line such as ``[program:web]``; empty: it is none."""
    match = _SECTION.match(line)
    if match is None:
        return ""
    kind, name = match.groups()
    if kind != "program":
        return f"[{kind}:…] is of supervisord's files, which genii runs as they are when they are named *.conf"
    return f"write [program.{name}]: TOML has a dot there (a supervisord.conf is run as it is when it is named *.conf)"
