"""``genii jobs serve``: the job server, with the options that gearmand's users know."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from genii.errors import GeniiError, UsageError

if TYPE_CHECKING:
    import argparse

    from genii.gearman.serving import Program, Serving
    from genii.gearman.settings import Settings

__all__ = ["configure", "run"]

LINGER = 0.002
"""Seconds for which a busy worker may be kept waiting for its next job."""
_LEVELS = {
    "FATAL": 50, "ALERT": 50, "CRITICAL": 50, "ERROR": 40, "WARNING": 30, "NOTICE": 20, "INFO": 20, "DEBUG": 10,
}  # fmt: skip
_OTHER_QUEUES = (
    "libsqlite3",
    "mysql",
    "mysqlpool",
    "libdrizzle",
    "libpq",
    "postgres",
    "libmemcached",
    "redis",
    "tokyocabinet",
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.description = "Run a Gearman job server. Its background jobs survive a crash, unless --queue-type builtin."
    add = parser.add_argument
    add("-p", "--port", type=int, default=4730, metavar="N", help="the TCP port (default: %(default)s)")
    add("-L", "--listen", action="append", metavar="ADDRESS",
        help="host, host:port or unix:/path; may be repeated (default: 127.0.0.1)")  # fmt: skip
    add("-d", "--daemon", action="store_true", help="go into the background once it serves")
    add("-P", "--pid-file", metavar="FILE", help="write the process id there")
    add("-l", "--log-file", metavar="FILE", default="stderr", help="append messages there; 'stderr', 'none'")
    add("--verbose", default="WARNING", metavar="LEVEL", help="how much to log: " + " ".join(_LEVELS))
    add("-u", "--user", default="", help="run as this user")
    add("-b", "--backlog", type=int, default=1024, metavar="N", help="connections that may wait to be accepted")
    add("-f", "--file-descriptors", type=int, default=0, metavar="N", help="open files (default: all that are allowed)")
    add("-q", "--queue-type", default="journal", metavar="TYPE", help="journal (default), or builtin: in memory only")
    add("--journal", metavar="FOLDER", help="where the journal is (default: by user and port)")
    add("--durability", choices=("group", "each", "none"), default="group",
        help="sync jobs together, each by itself, or leave that to the kernel (default: %(default)s)")  # fmt: skip
    add("-R", "--round-robin", action="store_true", help="serve a worker its functions in turn")
    add("-j", "--job-retries", type=int, default=0, metavar="N", help="attempts before a job fails; 0: no limit")
    add(
        "-w", "--worker-wakeup", type=int, default=1, metavar="N", help="workers to wake for a job; 0: all (default: 1)"
    )
    add("--exceptions", action="store_true", help="send exceptions to every client, asked for or not")
    add("--job-handle-prefix", metavar="TEXT", help="how handles begin (default: H: and the name of the host)")
    add("--max-packet", default="256MB", metavar="SIZE", help="the largest packet to take (default: %(default)s)")
    add("--http", default="", metavar="ADDRESS", help="serve status (/, /status) and metrics (/metrics) there")
    add("--http-port", type=int, metavar="N", help="the same on this port of 127.0.0.1")
    add("--ssl", action="store_true", help="talk TLS")
    add("--ssl-certificate", metavar="FILE", help="the certificate, PEM")
    add("--ssl-key", metavar="FILE", help="its key (default: in the same file)")
    add("--ssl-ca-file", metavar="FILE", help="take only clients with a certificate signed by this authority")
    add("--check-args", action="store_true", help="check the options and end")
    for name in ("-t --threads", "-r --protocol", "--hashtable-buckets", "--keepalive-idle", "--keepalive-interval",
                 "--keepalive-count"):  # fmt: skip
        add(*name.split(), dest="ignored", metavar="N", help="accepted for gearmand's sake; has no effect")
    for name in ("--keepalive", "--syslog", "--coredump"):
        add(name, dest="ignored_flag", action="store_true", help="accepted for gearmand's sake; has no effect")


def run(options: argparse.Namespace) -> int:
    """Serve until it is stopped; return 0."""
    if not options.ssl:
        from genii.system.plain_asyncio import import_asyncio

        import_asyncio()
    serving = _serving(options)
    if options.check_args:
        return 0
    from genii.gearman.serving import Program

    program = Program(serving)
    if options.user and not options.daemon:
        program.become(options.user)
    if options.daemon:
        _serve_as_daemon(options, program)
    elif options.pid_file:
        from genii.system.pidfile import PidFile

        with PidFile(options.pid_file):
            program.run(lambda: _tell(program))
    else:
        program.run(lambda: _tell(program))
    return 0


def _tell(program: Program) -> None:
    """Say to whoever looks on that it serves, where the log doesn't."""
    if program.serving.log_level > logging.INFO:
        print(f"genii: job server at {program.addresses}; Ctrl-C ends it", file=sys.stderr, flush=True)


def _serve_as_daemon(options: argparse.Namespace, program: object) -> None:
    from genii.gearman.serving import Program
    from genii.system.daemonize import daemonize

    assert isinstance(program, Program)
    if options.user:
        program.give_journal(options.user)
    daemon = daemonize(
        name="genii jobs",
        pid_file=options.pid_file and str(Path(options.pid_file).absolute()),
        stderr=program.serving.log_file or None,
        keep_fds=[listener.fileno() for listener in program.sockets],
        user=options.user,
        wait=True,
    )
    with daemon:
        try:
            program.run(lambda: daemon.ready(f"serving at {program.addresses}"))
        except GeniiError as error:
            daemon.fail(str(error), error.exit_code)
            raise SystemExit(error.exit_code) from error


def _serving(options: argparse.Namespace) -> Serving:
    from genii.gearman.serving import Serving, default_journal
    from genii.system.listen import parse_address

    if not 0 <= options.port < 65536:
        raise UsageError(f"--port {options.port}: a port is between 0 and 65535")
    listen = []
    for text in options.listen or ["127.0.0.1"]:
        bare = not text.startswith(("unix:", "[")) and ":" not in text
        listen.append(parse_address(f"{text}:{options.port}" if bare else text))
    if options.verbose.upper() not in _LEVELS:
        raise UsageError(f"--verbose {options.verbose}: it is one of {' '.join(_LEVELS)}")
    if options.ssl and not options.ssl_certificate:
        raise UsageError("--ssl needs --ssl-certificate FILE")
    journal = None
    if _durable(options.queue_type):
        journal = Path(options.journal).absolute() if options.journal else default_journal(options.port)
    http = options.http or (f"127.0.0.1:{options.http_port}" if options.http_port is not None else "")
    return Serving(
        listen=tuple(listen),
        settings=_settings(options),
        journal=journal,
        durability=options.durability,
        http=http,
        log_file=_log_file(options),
        log_level=_LEVELS[options.verbose.upper()],
        backlog=options.backlog,
        descriptors=options.file_descriptors,
        certificate=Path(options.ssl_certificate) if options.ssl else None,
        key=Path(options.ssl_key) if options.ssl_key else None,
        authority=Path(options.ssl_ca_file) if options.ssl_ca_file else None,
    )


def _log_file(options: argparse.Namespace) -> str:
    if options.log_file == "none":
        return "/dev/null"
    if options.log_file == "stderr":
        return ""
    return str(Path(options.log_file).absolute())


def _durable(queue_type: str) -> bool:
    kind = queue_type.lower()
    if kind == "journal":
        return True
    if kind == "builtin":
        return False
    if kind in _OTHER_QUEUES:
        raise UsageError(f"--queue-type {queue_type}: genii keeps jobs in its own journal; leave the option out")
    raise UsageError(f"--queue-type {queue_type}: it is 'journal' or 'builtin'")


def _settings(options: argparse.Namespace) -> Settings:
    import socket

    from genii.gearman.settings import Settings
    from genii.units import parse_size
    from genii.version import __version__

    try:
        size = parse_size(options.max_packet)
    except ValueError as error:
        raise UsageError(f"--max-packet: {error}") from None
    prefix = options.job_handle_prefix or f"H:{socket.gethostname()}"
    if any(character in prefix for character in " \t\r\n\0") or len(prefix.encode()) > 43:
        raise UsageError("--job-handle-prefix: up to 43 bytes without blanks")
    if options.job_retries < 0 or options.worker_wakeup < 0:
        raise UsageError("--job-retries and --worker-wakeup are 0 or more")
    return Settings(
        prefix=prefix.encode(),
        attempts=options.job_retries,
        round_robin=options.round_robin,
        wakeup=options.worker_wakeup,
        linger=LINGER,
        exceptions=options.exceptions,
        max_body=size,
        version=__version__,
        verbosity=options.verbose.upper(),
    )
