"""Put what is known of processes into the records of ``report``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from genii.supervise.environment import masked
from genii.supervise.model import State
from genii.supervise.report import ProcessDetails, ProcessStatus
from genii.system import privileges
from genii.system.procfs import resident_bytes, usage
from genii.system.worksheet import read_worksheet

if TYPE_CHECKING:
    from genii.supervise.machine import Life
    from genii.supervise.model import Logs
    from genii.supervise.process import Process
    from genii.supervise.supervisor import Supervisor

__all__ = ["details", "log_path", "status", "why"]


def why(life: Life) -> str:
    """Return the reason of a state as an appendix to a log line."""
    return f" ({life.reason})" if life.reason else ""


def status(supervisor: Supervisor, process: Process) -> ProcessStatus:
    """Return the status record of a process."""
    life = process.life
    waits = supervisor.ordering.waits_for(process)
    reason = "waits for " + ", ".join(waits) if waits else life.reason
    attempt = 0.0
    if life.state is State.BACKOFF and life.deadline is not None:
        attempt = time.time() + life.deadline - supervisor.loop.time()
    return ProcessStatus(
        name=process.name,
        program=process.template.name,
        state=life.state.name,
        wanted=life.wanted or supervisor.ordering.waiting(process),
        pid=life.pid,
        since=process.changed_at,
        started=process.started_at,
        restarts=life.restarts,
        ready=life.ready,
        healthy=process.healthy,
        exit_status=life.status,
        reason=reason,
        adopted=life.adopted,
        trigger=supervisor.triggers.describe(process.template),
        next_run=supervisor.triggers.next_run(process.template.name),
        next_attempt=attempt,
        note=process.note,
        leaving=supervisor.elastic.leaving(process),
        **_work(process),
    )


def _work(process: Process) -> dict[str, Any]:
    """Return what is known of a worker: its worksheet where it has one, else what it said last."""
    told, pid = process.work, process.life.pid
    if not pid or (told.busy is None and not process.template.worker):
        return {}
    found: dict[str, Any] = {"memory": resident_bytes(pid), "paused": told.paused}
    work = read_worksheet(pid)
    if work is not None and process.state is not State.STARTING:
        job = work.job if work.busy else ""
        return found | {
            "busy": work.busy, "busy_since": work.since, "job": job, "jobs_left": work.left, "jobs_done": work.done
        }  # fmt: skip
    if told.busy is None:
        return found
    since = time.time() - (process.services.loop.time() - told.since)
    return found | {"busy": told.busy, "busy_since": since, "job": told.job, "jobs_left": told.left}


def log_path(logs: Logs, stream: str) -> str:
    """Return the log file of a stream, that of stdout where stderr is merged into it; empty: it is not kept."""
    log = logs.stdout if stream == "stdout" or logs.stderr is None else logs.stderr
    return log.path if log.path.startswith("/") and not log.path.startswith("/dev/") else ""


def details(supervisor: Supervisor, process: Process) -> ProcessDetails:
    """Return all that is known of a process; the kernel is asked for what it uses."""
    program, logs, pid = process.program, process.logs, process.life.pid
    memory, cpu, threads, files = usage(pid) if pid else (0, 0.0, 0, 0)
    lost = supervisor.services.output.lost
    try:
        limits = privileges.read_limits(pid) if pid else {}
    except (ProcessLookupError, PermissionError):
        limits = {}
    return ProcessDetails(
        status=status(supervisor, process),
        command=program.command,
        directory=program.directory,
        user=program.user,
        environment=masked(program.environment, program.secret_variables),
        limits=limits,
        declared_limits=program.limits,
        memory=memory,
        cpu=cpu,
        threads=threads,
        files=files,
        depends_on=program.depends_on,
        sockets={spec.name: spec.url for spec in program.sockets},
        stdout=log_path(logs, "stdout"),
        stderr=log_path(logs, "stderr"),
        lost_bytes=sum(lost.get(path, 0) for path in {log_path(logs, "stdout"), log_path(logs, "stderr")}),
    )
