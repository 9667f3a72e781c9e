"""Become a daemon: leave the terminal and the parent, who stays until told that the daemon is ready.

    parent P ── fork ── watcher W (setsid) ── fork ── daemon D

P waits for news and returns a ``Report``. W leads the new session, tells P when D dies, ends D when P dies or gives up
before D is ready, and then ends itself, unless it is asked to stay as D's *monitor*. So nothing half-started is ever
left behind, whoever is killed. See daemon(7), setsid(2), close_range(2).

Only the lightest modules are imported: a start costs about as much as the bare system calls.
"""

from __future__ import annotations

import os
import sys

from genii.system.handover import Channels, Expectation, Report, describe_error, exit_code, send
from genii.system.surroundings import Surroundings

TYPE_CHECKING = False  # typing costs more to import than all of this module
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType

    from genii.system.pidfile import PidFile
    from genii.system.surroundings import Stream

__all__ = ["Daemon", "Expectation", "Report", "Surroundings", "daemonize", "fork_daemon", "set_process_name"]


class Daemon:
    """The daemon's own side of the hand-over; as a context manager it removes the pid file at the end."""

    def __init__(self, channel: int, pid_file: PidFile | None) -> None:
        self.pid_file = pid_file
        self._channel = channel

    def ready(self, line: str = "") -> None:
        """Tell the waiting parent that the daemon serves; it prints ``line`` and ends. Later calls do nothing."""
        self._tell("ready", line)

    def fail(self, reason: str, code: int = 1) -> None:
        """Tell the waiting parent why the daemon will not run; it prints ``reason`` and ends with ``code``."""
        self._tell(f"failed {code}", reason)

    def remove_pid_file(self) -> None:
        """Remove the pid file, if there is one and this is the process that it names."""
        if self.pid_file is not None:
            self.pid_file.remove()

    def settle(self) -> None:
        """Do what a Python program needs as a daemon: streams, the pid file removed at its end."""
        _open_missing_streams()
        self._remove_pid_file_at_exit()

    def _remove_pid_file_at_exit(self) -> None:
        """Remove the pid file when the interpreter ends, or when the default action of TERM would end it.

        Children that are forked from now on neither hold the file's lock nor remove it.
        """
        if self.pid_file is None:
            return
        import _signal as signal  # as in genii.system.surroundings
        import atexit

        self.pid_file.keep_from_children()

        def end(number: int, _frame: object) -> None:
            self.remove_pid_file()
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

        atexit.register(self.remove_pid_file)
        if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
            signal.signal(signal.SIGTERM, end)

    def before_exec(self) -> None:
        """Announce that this process is about to be replaced by another program."""
        if self._channel >= 0:
            send(self._channel, "exec", "")

    def _tell(self, kind: str, text: str) -> None:
        if self._channel >= 0:
            send(self._channel, kind, text)
            os.close(self._channel)
            self._channel = -1

    def __enter__(self) -> Daemon:  # noqa: PYI034 -- Self would import typing
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, SystemExit):
            text = error.code if isinstance(error.code, str) else "the daemon ended before it was ready"
            self.fail(text, error.code if isinstance(error.code, int) else 1 if error.code else 0)
        elif error is not None:
            self.fail(f"{type(error).__name__}: {error}")
        self.remove_pid_file()


def daemonize(
    *,
    name: str = "",
    pid_file: str | os.PathLike[str] | None = None,
    directory: str | os.PathLike[str] | None = "/",
    umask: int | None = 0o022,
    stdin: Stream = None,
    stdout: Stream = None,
    stderr: Stream = None,
    keep_fds: Iterable[int] = (),
    close_fds: bool = True,
    user: str = "",
    group: str = "",
    groups: Iterable[str] | None = None,
    limits: Mapping[str, tuple[int, int]] | None = None,
    environment: Mapping[str, str] | None = None,
    ignore_signals: Iterable[str | int] = (),
    double_fork: bool = True,
    wait: bool = False,
    ready_line: str = "",
    timeout: float = 60.0,
) -> Daemon:
    """Turn this process into a daemon; returns in the daemon only, while the calling process ends with the outcome.

    ``directory`` None stays where we are. ``umask`` None keeps it. Streams are a path (opened to append, made where it
    is missing), a descriptor (``stdout=1`` leaves it as it is) or None: the null device, and for ``stderr`` wherever
    ``stdout`` goes. All other descriptors but ``keep_fds`` are closed unless ``close_fds`` is False. User and group
    are dropped fully, supplementary groups too (``groups``, or those of the user database). ``double_fork`` False
    makes the daemon the leader of its session. ``name`` is what ps(1) and top(1) show.

    The calling process stays until the daemon has its surroundings and its pid file; with ``wait`` until the daemon
    says that it serves (``Daemon.ready`` or sd_notify(3)'s ``READY=1``), with ``ready_line`` until a line of its
    output matches that regular expression. It prints the line and exits 0. When the daemon ends first, raises, or
    takes longer than ``timeout`` seconds, the caller prints reason and output to standard error and exits with the
    daemon's exit code (128+N for signal N, 124 for the timeout); nothing is left running.

    As PID 1 of a container the process stays what it is, because its end would end the container; output that would
    be discarded stays the container's.
    Raises ``UsageError`` (unknown user, missing folder) before anything is changed.
    """
    surroundings = Surroundings(
        directory=directory, umask=umask, stdin=stdin, stdout=stdout, stderr=stderr, keep_fds=keep_fds,
        close_fds=close_fds, user=user, group=group, groups=groups, limits=limits, environment=environment,
        ignore_signals=ignore_signals,
    )  # fmt: skip
    surroundings.check()
    expectation = Expectation(call=wait, notify=wait, line=ready_line, timeout=timeout)
    if ready_line:
        from genii.system.waiting import check_expectation

        check_expectation(expectation, surroundings)
    file = None
    if pid_file is not None:
        from genii.system.pidfile import PidFile

        file = PidFile(pid_file)
    # Output that goes nowhere is read for the ready line, so somebody has to go on reading it.
    monitor = bool(ready_line) and surroundings.discards_output
    outcome = fork_daemon(surroundings, expectation, pid_file=file, double_fork=double_fork, monitor=monitor, name=name)
    if isinstance(outcome, Report):
        outcome.print()
        # The exit handlers of the caller's program are the daemon's now.
        os._exit(outcome.code)
    outcome.settle()
    if expectation.awaited:
        _report_exceptions(outcome)
    else:
        outcome.ready()
    return outcome


def set_process_name(name: str) -> None:
    """Set what ps(1) and top(1) show for this process: the first 15 bytes of ``name``."""
    with open("/proc/self/comm", "wb", buffering=0) as file:
        file.write(name.encode())


def _open_missing_streams() -> None:
    """Give Python the streams that it found closed when it started, and that are open now."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            number = ("stdin", "stdout", "stderr").index(name)
            stream = open(number, mode, closefd=False, errors="backslashreplace" if number == 2 else None)  # noqa: SIM115
            setattr(sys, name, stream)


def _report_exceptions(daemon: Daemon) -> None:
    """Tell the waiting parent about an exception that nobody caught."""
    print_exception = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        sys.excepthook = print_exception
        print_exception(kind, error, traceback)
        daemon.fail(f"{kind.__name__}: {error}")

    sys.excepthook = hook


def fork_daemon(
    surroundings: Surroundings,
    expectation: Expectation,
    *,
    pid_file: PidFile | None = None,
    double_fork: bool = True,
    monitor: bool = False,
    respawn: bool = False,
    name: str = "",
) -> Daemon | Report:
    """Fork a daemon; returns its ``Daemon`` there and, when it is ready or has failed, a ``Report`` here.

    ``monitor`` keeps the process between the two as long as the daemon lives: it removes the pid file, reads output
    that has nowhere to go (so that the parent can show it), and with ``respawn`` starts the daemon again
    (``fork_daemon`` then returns once more, in the next daemon; the pid file names the monitor, which passes signals
    on). ``name`` is what ps(1) shows for the daemon.
    """
    if os.getpid() == 1:
        return _stay(surroundings, pid_file, name)
    # Before the fork: what a child imports costs a multiple, because each page it touches is copied first.
    from genii.system.watcher import Watcher

    if sys.stdout is not None:
        sys.stdout.flush()
    if sys.stderr is not None:
        sys.stderr.flush()
    channels = Channels(surroundings, expectation, capture=monitor or respawn)
    watcher = os.fork()
    if watcher:
        stays = False
        try:
            from genii.system.waiting import await_ready

            report = await_ready(watcher, channels, expectation)
            stays = report.ok and (monitor or respawn)
            return report
        finally:
            channels.close_parent(watcher, stays=stays)
    try:
        role = Watcher(surroundings, channels, pid_file, double_fork=double_fork, monitor=monitor, respawn=respawn)
        role.run()  # returns in the daemon only
        if pid_file is not None and respawn:  # it is the monitor's
            pid_file.forget()
            pid_file = None
        if pid_file is not None:
            pid_file.write()  # while we still have the privileges
        if name:
            set_process_name(name)  # who changed his user may not write to his own /proc any more
        surroundings.apply(capture=channels.capture_writer, keep=(channels.daemon_writer, role.lock_descriptor))
    except BaseException as error:
        send(channels.daemon_writer, f"failed {exit_code(error)}", describe_error(error))
        os._exit(1)
    return Daemon(channels.daemon_writer, pid_file)


def _stay(surroundings: Surroundings, pid_file: PidFile | None, name: str) -> Daemon:
    """Do without forks: PID 1 is what its container lives by."""
    if pid_file is not None:
        pid_file.acquire()
        pid_file.write()
    if name:
        set_process_name(name)
    surroundings.keep_output()  # it is the container's log
    surroundings.apply(keep=() if pid_file is None else (pid_file.fileno(),))
    return Daemon(-1, pid_file)
