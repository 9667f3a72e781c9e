"""The control program of a daemon: ``start stop restart reload status ...`` in one small script.

The commands, options and texts are those of Perl's Daemon::Control; exit codes are those of the Linux Standard Base
("Init Script Actions").
"""

from __future__ import annotations

import os
import sys

from genii.daemon.lines import COLOURS, is_coloured, status_line
from genii.system.daemonize import Daemon, Expectation, Report, Surroundings, fork_daemon
from genii.system.pidfile import PID_FILE_VARIABLE, PidFile

TYPE_CHECKING = False  # typing costs more to import than the rest of this module
if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import NoReturn

    from genii.daemon.initfile import Service

    Program = str | os.PathLike[str] | Callable[..., object]
    LogTarget = str | os.PathLike[str] | tuple[str, str] | None
    Command = Callable[["Control"], int | None]

__all__ = ["Control"]

_NOT_INSTALLED, _NOT_CONFIGURED, _NO_PRIVILEGE, _UNKNOWN = 5, 6, 4, 4
_NOT_RUNNING, _DEAD_WITH_PID_FILE, _STOPPED, _USAGE = 7, 1, 3, 2


class Control:
    """A control program; ``run()`` does what the command line says and ends the process with the exit code.

    ``program`` is a command (looked up in PATH) or a callable that gets this object and then ``program_args``.
    Times are in seconds. Raises ``UsageError`` for settings that make no sense.
    """

    def __init__(
        self,
        *,
        name: str,
        program: Program,
        pid_file: str | os.PathLike[str],
        program_args: Sequence[str] = (),
        user: str = "",
        group: str = "",
        groups: Iterable[str] | None = None,
        uid: int | None = None,
        gid: int | None = None,
        umask: int | None = None,
        directory: str | os.PathLike[str] | None = None,
        environment: Mapping[str, str] | None = None,
        limits: Mapping[str, tuple[int, int]] | None = None,
        stdout_file: LogTarget = None,
        stderr_file: LogTarget = None,
        redirect_before_fork: bool = True,
        resource_dir: str | os.PathLike[str] | None = None,
        fork: int = 2,
        monitor: bool = False,
        respawn: bool = False,
        prereq_no_process: bool | str | re.Pattern[str] = False,
        scan_name: str | re.Pattern[str] | None = None,
        stop_signals: Sequence[str | int] = ("TERM", "TERM", "INT", "KILL"),
        kill_timeout: float = 1.0,
        kill_group: bool = False,
        reload_signal: str | int = "HUP",
        ready_line: str = "",
        ready_port: str = "",
        ready_notify: bool = False,
        ready_call: bool = False,
        ready_timeout: float = 60.0,
        quiet: bool = False,
        foreground: bool = False,
        color_map: Mapping[str, int] | None = None,
        help: str = "",  # noqa: A002 -- Daemon::Control's name
        path: str | os.PathLike[str] = "",
        lsb_start: str = "",
        lsb_stop: str = "",
        lsb_sdesc: str = "",
        lsb_desc: str = "",
        init_config: str = "",
        init_code: str = "",
        init_template: str = "",
    ) -> None:
        for option, value in {"name": name, "program": program, "pid_file": pid_file}.items():
            if not value:
                _refuse(f"{option} must be given")
        if fork not in (0, 1, 2):
            _refuse(f"fork is 0 (none), 1 (one, not detached) or 2 (a daemon), not {fork!r}")
        self.name = name
        self.program = program
        self.program_args = list(program_args)
        self.pid_file = os.path.abspath(pid_file)
        self.user = user or ("" if uid is None else str(uid))
        self.group = group or ("" if gid is None else str(gid))
        self.groups = groups
        self.umask = umask
        self.directory = directory
        self.environment = dict(environment or {})
        self.limits = dict(limits or {})
        self.stdout_file = stdout_file
        self.stderr_file = stderr_file
        self.redirect_before_fork = redirect_before_fork
        self.resource_dir = resource_dir
        self.fork = 0 if foreground or os.environ.get("GENII_FOREGROUND") else fork
        self.monitor = monitor
        self.respawn = respawn
        self.prereq_no_process = prereq_no_process
        self.scan_name = scan_name
        self.stop_signals = [_signal("stop_signals", signal) for signal in stop_signals]
        self.kill_timeout = kill_timeout
        self.kill_group = kill_group
        self.reload_signal = _signal("reload_signal", reload_signal)
        self.ready_line = ready_line
        self.ready_port = ready_port
        self.ready_notify = ready_notify
        self.ready_call = ready_call
        self.ready_timeout = ready_timeout
        self.quiet = quiet
        self.color_map = {**COLOURS, **(color_map or {})}
        self.help = help
        self.path = os.path.abspath(path or sys.argv[0])
        self.lsb_start = lsb_start
        self.lsb_stop = lsb_stop
        self.lsb_sdesc = lsb_sdesc
        self.lsb_desc = lsb_desc
        self.init_config = init_config
        self.init_code = init_code
        self.init_template = init_template
        self._daemon: Daemon | None = None
        self._file = PidFile(self.pid_file, recognize=None if scan_name is None else self._matches_scan_name)
        self._commands: dict[str, Command] = {
            "start": Control.start,
            "stop": Control.stop,
            "restart": Control.restart,
            "reload": Control.reload,
            "status": Control.status,
            "foreground": Control.run_foreground,
            "show_warnings": Control.show_warnings,
            "get_init_file": Control.get_init_file,
            "help": Control.show_help,
        }
        self._custom: dict[str, Command] = {}

    # -- for custom commands ------------------------------------------------------------------------------------

    def command(self, function: Command) -> Command:
        """Make a function a command of its name; it gets this object, and its return value is the exit code."""
        self._custom[function.__name__] = function
        return function

    def read_pid(self) -> int:
        """Return the pid of the running daemon, 0 when it does not run (a stale number is never returned)."""
        return self._file.read().pid

    def pid_running(self, pid: int = 0) -> bool:
        """Say whether the daemon runs, or whether the daemon that runs has this ``pid``."""
        running = self.read_pid()
        return running > 0 and pid in (0, running)

    def pretty_print(self, message: str, color: str = "green") -> None:
        """Print the name and, aligned and coloured, ``[message]``; nothing when ``quiet``."""
        if self.quiet:
            return
        coloured = is_coloured(terminal=sys.stdout.isatty(), environment=os.environ)
        print(status_line(self.name, message, color if coloured else "", self.color_map), flush=True)

    def signal(self, name: str | int) -> bool:
        """Send the running daemon a signal; returns False when it does not run."""
        number = _signal("signal", name)
        descriptor, _ = self._open_running()
        if descriptor < 0:
            return False
        import signal

        try:
            signal.pidfd_send_signal(descriptor, number)
        finally:
            os.close(descriptor)
        return True

    def process_running(self, pattern: str | re.Pattern[str]) -> list[int]:
        """Return the pids (of ``user``, if one is set) whose command line matches; never ours or our ancestors'."""
        import re

        from genii.system import procfs
        from genii.system.privileges import resolve

        uid = resolve(self.user).uid if self.user else None
        search = re.compile(pattern).search
        spared = _ancestors()
        found = []
        for entry in sorted(int(name) for name in os.listdir("/proc") if name.isdecimal()):
            try:
                owner = os.stat(f"/proc/{entry}").st_uid
                line = " ".join(procfs.command_line(entry))
            except (FileNotFoundError, ProcessLookupError):
                continue
            if line and entry not in spared and uid in (None, owner) and search(line):
                found.append(entry)
        return found

    def ready(self, line: str = "") -> None:
        """Tell the waiting ``start``, from a callable program, that it serves (with ``ready_call``)."""
        if self._daemon is not None:
            self._daemon.ready(line)

    def redirect_filehandles(self) -> None:
        """Send output where ``stdout_file`` and ``stderr_file`` say, from a program that waited with it."""
        stdout, stderr = self._streams()
        Surroundings(directory=None, umask=None, stdin=0, stdout=stdout, stderr=stderr, close_fds=False).apply()

    # -- the commands -------------------------------------------------------------------------------------------

    def start(self) -> int:
        """Start the daemon; already running is a success, as LSB has it."""
        return self._start(self.fork)

    def run_foreground(self) -> int:
        """Run the program here, without leaving the terminal."""
        return self._start(0)

    def stop(self) -> int:
        """Stop the daemon, by one signal after the other; not running is a success, as LSB has it."""
        descriptor, pid = self._open_running()
        if descriptor < 0:
            self._file.remove_stale()
            self.pretty_print("Not Running", "red")
            return 0
        try:
            ended = self._end(descriptor, pid)
        except PermissionError:
            self.pretty_print("Failed to Stop", "red")
            _complain(f"no permission to signal process {pid}")
            return _NO_PRIVILEGE
        finally:
            os.close(descriptor)
        if not ended:
            self.pretty_print("Failed to Stop", "red")
            return 1
        self._file.remove_stale()
        self.pretty_print("Stopped")
        return 0

    def restart(self) -> int:
        """Stop the daemon if it runs, and start it."""
        if self.pid_running():
            code = self.stop()
            if code:
                return code
        return self.start()

    def reload(self) -> int:
        """Send the reload signal."""
        if not self.signal(self.reload_signal):
            self.pretty_print("Not Running", "red")
            return _NOT_RUNNING
        self.pretty_print("Reloaded")
        return 0

    def status(self) -> int:
        """Tell whether the daemon runs: 0 it does, 3 it does not, 1 it died and left its pid file, 4 can't tell."""
        reading = self._file.read()
        if reading.state == "running":
            self.pretty_print("Running")
            return 0
        self.pretty_print("Not Running", "red")
        if reading.state == "garbage":
            _complain(f"{self.pid_file} holds something else than a pid")
            return _UNKNOWN
        return _DEAD_WITH_PID_FILE if reading.content_pid else _STOPPED

    def show_warnings(self) -> int:
        """Tell which settings are left to their defaults though they rarely should be."""
        if self.stdout_file is None:
            _complain("stdout_file is not set: output is discarded")
        if self.stderr_file is None and self.stdout_file is None:
            _complain("stderr_file is not set: errors are discarded")
        if self.fork == 1:
            _complain("fork=1 does not detach: the program stays in the caller's session")
        return 0

    def get_init_file(self, *, systemd: bool = False) -> int:
        """Print an LSB init script, or a systemd unit."""
        from genii.daemon.initfile import lsb_script, systemd_unit

        service = self._service()
        print(systemd_unit(service) if systemd else lsb_script(service, self.init_template), end="")
        return 0

    def show_help(self) -> int:
        """Print what there is to say."""
        names = "|".join({**self._commands, **self._custom})
        print(f"Syntax: {sys.argv[0]} [{names}]\n")
        for name, function in self._custom.items():
            summary = (function.__doc__ or "").strip().partition("\n")[0]
            print(f"  {name:<20} {summary}".rstrip())
        if self.help:
            print(self.help)
        return 0

    def run(self) -> NoReturn:
        """Do what the command line says, and end the process with the exit code."""
        sys.exit(self.run_command(*sys.argv[1:]))

    def run_command(self, name: str = "help", *arguments: str) -> int:
        """Do one command and return its exit code; in the daemon it does not return but raises ``SystemExit``."""
        action = name.lstrip("-").replace("-", "_") or "help"
        function = self._custom.get(action) or self._commands.get(action)
        try:
            if action == "get_init_file" and arguments == ("--systemd",):
                return self.get_init_file(systemd=True)
            if function is None or arguments:
                names = "|".join({**self._commands, **self._custom})
                what = (
                    f"undefined action {action}" if function is None else f"{action} takes no {' '.join(arguments)!r}"
                )
                _complain(f"{what}. Must be called with an action: [{names}]")
                return _USAGE
            return function(self) or 0
        except Exception as error:
            return _explain(error)

    # -- starting -----------------------------------------------------------------------------------------------

    def _start(self, fork: int) -> int:
        pattern = self._prerequisite()
        if pattern:
            others = self.process_running(pattern)
            if others:
                self.pretty_print(f"Duplicate Running? (pid {', '.join(map(str, others))})", "red")
                return 1
        if self.pid_running():
            self.pretty_print("Duplicate Running", "red")
            return 0
        try:
            self._make_folders()
            report = (self._run_here, self._fork_once, self._fork_daemon)[fork]()
        except Exception as error:
            code = _explain(error)
            self.pretty_print("Duplicate Running" if code == 0 else "Failed to Start", "red")
            return code
        if report.ok:
            self.pretty_print("Started")
            return 0
        if report.already_running:
            self.pretty_print("Duplicate Running", "red")
            return 0
        report.print()
        self.pretty_print("Failed to Start", "red")
        return _NOT_INSTALLED if report.code in (126, 127) else 1

    def _prerequisite(self) -> str | re.Pattern[str] | None:
        if self.prereq_no_process is True:
            import re

            program = getattr(self.program, "__name__", None) or os.path.basename(str(self.program))
            return rf"(?:^|[\s/]){re.escape(program)}(?:\s|$)"
        return self.prereq_no_process or None

    def _make_folders(self) -> None:
        folder = os.path.dirname(self.pid_file)
        if not os.path.isdir(folder):
            _make_folder(folder, self.user, self.group)
        if self.resource_dir is not None and not os.path.isdir(self.resource_dir):
            _make_folder(os.path.abspath(self.resource_dir), self.user, self.group)

    def _surroundings(self, *, detached: bool) -> Surroundings:
        stdout, stderr = self._streams() if detached and self.redirect_before_fork else (1, 2)
        return Surroundings(
            directory=self.directory or ("/" if detached else None),
            umask=self.umask,
            stdin=None if detached else 0,
            stdout=stdout,
            stderr=stderr,
            close_fds=detached,
            user=self.user,
            group=self.group,
            groups=self.groups,
            limits=self.limits,
            environment=self.environment,
            fresh_signals=not callable(self.program),
        )

    def _streams(self) -> tuple[str | None, str | None]:
        return _log_path(self.stdout_file), _log_path(self.stderr_file)

    def _command(self) -> list[str]:
        from genii.daemon.launch import find_command

        return [find_command(os.fspath(self.program)), *map(str, self.program_args)]  # type: ignore[arg-type]

    def _fork_daemon(self) -> Report:
        surroundings = self._surroundings(detached=True)
        expectation = Expectation(
            line=self.ready_line,
            port=self.ready_port,
            notify=self.ready_notify,
            call=self.ready_call,
            timeout=self.ready_timeout,
        )
        monitor = self.monitor or (expectation.awaited and surroundings.discards_output)
        if not callable(self.program):
            from genii.daemon.launch import launch

            command = self._command()
            return launch(
                command, surroundings, expectation, pid_file=self._file, monitor=monitor, respawn=self.respawn
            )
        surroundings.check()
        outcome = fork_daemon(
            surroundings, expectation, pid_file=self._file, monitor=monitor, respawn=self.respawn, name=self.name
        )
        if isinstance(outcome, Daemon):
            self._call(outcome, awaited=expectation.awaited)
        return outcome

    def _call(self, daemon: Daemon, *, awaited: bool) -> NoReturn:
        """Run the callable as the daemon that this process now is."""
        self._daemon = daemon
        assert callable(self.program)
        daemon.settle()
        with daemon:
            if not awaited:
                daemon.ready()
            result = self.program(self, *self.program_args)
        raise SystemExit(result if isinstance(result, int) else 0)

    def _fork_once(self) -> Report:
        """Fork without leaving the caller's session, terminal and group."""
        surroundings = self._surroundings(detached=False)
        surroundings.check()
        command = [] if callable(self.program) else self._command()
        self._file.acquire()
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            surroundings.apply()
            self._become_program(command)
        self._file.write(pid)
        self._file.forget()
        return Report(pid=pid)

    def _run_here(self) -> NoReturn:
        """Become the program in this very process; the pid file says so."""
        surroundings = self._surroundings(detached=False)
        surroundings.check()
        command = [] if callable(self.program) else self._command()
        self._file.acquire()
        self._file.write()
        surroundings.apply()
        self._become_program(command)

    def _become_program(self, command: list[str]) -> NoReturn:
        daemon = Daemon(-1, self._file)
        if callable(self.program):
            self._call(daemon, awaited=False)
        from genii.daemon.launch import execute

        os.environ[PID_FILE_VARIABLE] = self.pid_file
        execute(command, os.fspath(self.program), daemon)

    # -- stopping -----------------------------------------------------------------------------------------------

    def _open_running(self) -> tuple[int, int]:
        """Return a pidfd of the running daemon and its pid; -1 and 0 when it does not run.

        The pid file is read again after the pidfd was opened: so it can't be a stranger's that got the pid meanwhile.
        """
        pid = self.read_pid()
        if pid == 0:
            return -1, 0
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            return -1, 0
        if self.read_pid() != pid:
            os.close(descriptor)
            return -1, 0
        return descriptor, pid

    def _end(self, descriptor: int, pid: int) -> bool:
        """Send the stop signals, each with its patience; say whether the daemon ended."""
        import select
        import signal

        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        for number in self.stop_signals:
            try:
                if self.kill_group and os.getpgid(pid) == pid:
                    os.killpg(pid, number)
                else:
                    signal.pidfd_send_signal(descriptor, number)
            except ProcessLookupError:
                return True
            if poll.poll(self.kill_timeout * 1000):
                return True
        return False

    def _matches_scan_name(self, pid: int) -> bool:
        import re

        from genii.system import procfs

        assert self.scan_name is not None
        try:
            return re.search(self.scan_name, " ".join(procfs.command_line(pid))) is not None
        except ProcessLookupError:
            return False

    def _service(self) -> Service:
        from genii.daemon.initfile import Service
        from genii.units import format_signal

        stdout, stderr = self._streams()
        return Service(
            name=self.name,
            interpreter=sys.executable,
            script=self.path,
            lsb_start=self.lsb_start,
            lsb_stop=self.lsb_stop,
            short_description=self.lsb_sdesc,
            description=self.lsb_desc,
            init_config=self.init_config,
            init_code=self.init_code,
            stdout_file=stdout or "",
            stderr_file=stderr or "",
            reload_signal=format_signal(self.reload_signal),
            stop_signal=format_signal(self.stop_signals[0]) if self.stop_signals else "TERM",
            stop_seconds=self.kill_timeout * len(self.stop_signals),
            notify=self.ready_notify,
            start_seconds=self.ready_timeout,
        )


def _log_path(target: LogTarget) -> str | None:
    """Return where output is appended; ``("w", path)`` empties the file first."""
    if target is None:
        return None
    if isinstance(target, tuple):
        mode, path = target
        if mode not in ("a", "w"):
            _refuse(f"a log is a path, ('a', path) or ('w', path), not {target!r}")
        if mode == "w":
            with open(path, "wb"):
                pass
        return os.path.abspath(path)
    return os.path.abspath(target)


def _make_folder(path: str, user: str, group: str) -> None:
    """Make a folder and its parents, all that are new for the daemon's user."""
    missing = []
    while not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    from genii.system.privileges import resolve

    identity = resolve(user, group) if user or group else None
    for folder in reversed(missing):
        os.mkdir(folder, 0o755)
        if identity is not None and os.geteuid() == 0:
            os.chown(folder, identity.uid, identity.gid)


def _ancestors() -> set[int]:
    from genii.system import procfs

    found = set()
    pid = os.getpid()
    while pid > 0:
        found.add(pid)
        pid = procfs.read_stat(pid).parent
    return found


def _signal(option: str, name: str | int) -> int:
    from genii.units import parse_signal

    try:
        return parse_signal(name)
    except ValueError as error:
        _refuse(f"{option}: {error}")


def _refuse(message: str) -> NoReturn:
    from genii.errors import UsageError

    raise UsageError(message)


def _complain(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def _explain(error: Exception) -> int:
    """Print what went wrong for a person and return the LSB exit code; what is no user's mistake is raised again."""
    from genii.errors import AlreadyRunning, CommandFailed, GeniiError, NotAllowed, UsageError
    from genii.system.handover import describe_error

    if isinstance(error, AlreadyRunning):
        return 0
    if not isinstance(error, GeniiError | OSError):
        raise error
    _complain(f"genii: {describe_error(error)}")
    if isinstance(error, UsageError):
        return _NOT_CONFIGURED
    if isinstance(error, CommandFailed):
        return _NOT_INSTALLED
    if isinstance(error, NotAllowed | PermissionError):
        return _NO_PRIVILEGE
    return 1
