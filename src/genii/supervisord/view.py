"""What supervisord's clients are shown of processes and of their configuration. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genii.supervise.model import State
from genii.supervisord.transitions import describe

if TYPE_CHECKING:
    from genii.config.ini.declaration import Group, Member, Stream
    from genii.supervise.model import Log, Program
    from genii.supervise.process import Process
    from genii.supervisord.past import Past

__all__ = ["config_info", "process_info"]

_LATEST = (1 << 31) - 1
"""The latest time that an int of XML-RPC can hold (2038)."""
_STEP = 2.0
"""Seconds by which the time of day and that of the loop differ at the most when nobody sets the clock."""


def process_info(
    process: Process, member: Member, past: Past, logs: tuple[str, str], now: float, passed: float
) -> dict[str, Any]:
    """Return what ``getProcessInfo`` tells.

    ``logs`` are the paths of stdout's and stderr's, ``now`` is the time of day and ``passed`` that of the loop.
    """
    state, life = process.state, process.life
    started = process.started_at
    if life.pid and abs(now - passed + life.started - started) > _STEP:
        started = now - passed + life.started  # the clock was set since
    why = past.spawn_error or f'unknown error (try "tail {member.name}")'
    return {
        "name": member.name,
        "group": member.group,
        "start": _time(started),
        "stop": _time(past.stopped),
        "now": _time(now),
        "state": int(state),
        "statename": state.name,
        "spawnerr": past.spawn_error,
        "exitstatus": past.exit_status if state in (State.EXITED, State.STOPPED) else 0,
        "logfile": logs[0],
        "stdout_logfile": logs[0],
        "stderr_logfile": logs[1],
        "pid": life.pid,
        "description": describe(state, life.pid, started, past.stopped, why, now),
    }


def _time(seconds: float) -> int:
    return min(int(seconds), _LATEST)


def config_info(group: Group, member: Member, program: Program, *, in_use: bool) -> dict[str, Any]:
    """Return what ``getAllConfigInfo`` tells of one process."""
    info: dict[str, Any] = {
        "autostart": program.autostart,
        "autorestart": "unexpected" if member.autorestart is None else member.autorestart,
        "directory": program.directory or "none",
        "uid": member.uid if member.uid >= 0 else "none",
        "command": member.command,
        "exitcodes": list(program.exit_codes),
        "group": group.name,
        "group_prio": group.priority,
        "inuse": in_use,
        "killasgroup": member.killasgroup,
        "name": member.name,
        "process_prio": member.priority,
        "redirect_stderr": program.logs.stderr is None,
        "startretries": program.retries,
        "startsecs": int(program.startsecs),
        "stopsignal": program.stop.signal,
        "stopwaitsecs": int(program.stop.timeout),
        "serverurl": member.serverurl or "none",
    }
    info |= _stream_info("stdout", member.stdout, program.logs.stdout, in_use=in_use)
    info |= _stream_info("stderr", member.stderr, program.logs.stderr, in_use=in_use)
    return info


def _stream_info(channel: str, stream: Stream, log: Log | None, *, in_use: bool) -> dict[str, Any]:
    log = stream.log or log
    path = log.path if log is not None and log.path else "none"
    return {
        f"{channel}_capture_maxbytes": stream.capture,
        f"{channel}_events_enabled": stream.events,
        f"{channel}_logfile": "auto" if stream.auto and not in_use else path,
        f"{channel}_logfile_backups": log.backups if log is not None else 10,
        f"{channel}_logfile_maxbytes": log.size if log is not None else 50 << 20,
        f"{channel}_syslog": stream.syslog,
    }
