"""The process between a daemon and the parent that waits for it; where asked, it stays as the daemon's monitor."""

from __future__ import annotations

import os
import sys
import time

from genii.system.handover import describe_end, describe_error, exit_code, send
from genii.system.surroundings import close_descriptors

TYPE_CHECKING = False  # typing costs more to import than the rest of this module
if TYPE_CHECKING:
    import select
    from typing import NoReturn

    from genii.system.handover import Channels
    from genii.system.pidfile import PidFile
    from genii.system.surroundings import Surroundings

__all__ = ["Watcher"]

_POLLIN = 1  # select.POLLIN, see poll(2)
_PATIENCE = 5.0  # seconds between TERM and KILL for a daemon whose start was given up
_STEADY = 10.0  # seconds after which a daemon's end counts as the first failure again


class Watcher:
    """Fork the daemon, tell the parent what becomes of it, and stay or go."""

    def __init__(
        self,
        surroundings: Surroundings,
        channels: Channels,
        pid_file: PidFile | None,
        *,
        double_fork: bool,
        monitor: bool,
        respawn: bool,
    ) -> None:
        self._surroundings = surroundings
        self._channels = channels
        self._pid_file = pid_file
        self._double_fork = double_fork
        self._monitor = monitor or respawn
        self._respawn = respawn
        self._promoted = False
        self._ending = False
        self._signal_reader = -1
        self._end_text = ""

    @property
    def lock_descriptor(self) -> int:
        """Return the locked pid file's descriptor, -1 without one; the daemon keeps it when it lives without us."""
        return -1 if self._pid_file is None else self._pid_file.fileno()

    def run(self) -> None:
        """Watch; returns in each daemon that it forks, and nowhere else."""
        os.setsid()
        self._channels.close_in_watcher()
        _reap_as_usual()
        try:
            if self._pid_file is not None:
                self._pid_file.acquire()
                if self._respawn:
                    self._pid_file.write()
        except Exception as error:
            kind = "already" if getattr(error, "code", "") == "already-running" else "failed"
            send(self._channels.watcher_writer, f"{kind} {exit_code(error)}", describe_error(error))
            os._exit(1)
        attempt = 0
        while True:
            pid = os.fork()
            if pid == 0:
                self._enter_daemon()
                return
            try:
                lifetime = self._attend(pid)
            except BaseException as error:
                print(f"genii: the monitor failed: {error!r}", file=sys.stderr, flush=True)
                os._exit(1)
            attempt = 1 if lifetime > _STEADY else attempt + 1
            self._pause(attempt)

    def _enter_daemon(self) -> None:
        if self._double_fork:
            os.setpgid(0, 0)
        else:
            os.setsid()
        if self._promoted:
            import signal

            signal.set_wakeup_fd(-1)
            for number in _passed_on():
                signal.signal(number, signal.SIG_DFL)
        else:
            self._channels.close_in_daemon()

    def _attend(self, pid: int) -> float:
        """Watch one daemon until its end; returns its lifetime in seconds if it is to be started again."""
        import select  # here, while the daemon goes its way: before the fork it would have waited for it

        started = time.monotonic()
        if self._double_fork:
            _lead_own_group(pid)
        if not self._promoted:
            self._channels.close_daemon_side()
            send(self._channels.watcher_writer, "pid", str(os.getpid() if self._respawn else pid))
        descriptor = os.pidfd_open(pid)
        poll = select.poll()
        poll.register(descriptor, _POLLIN)
        if self._promoted:
            self._register_monitor(poll)
        else:
            poll.register(self._channels.leash_reader, _POLLIN)
        while True:
            ready = {number for number, _ in poll.poll()}
            if self._signal_reader in ready:
                self._pass_on(pid)
            if self._channels.capture_reader in ready and self._promoted:
                self._swallow(poll)
            if not self._promoted and self._channels.leash_reader in ready:
                self._obey(pid, descriptor, poll)
            if descriptor in ready:
                os.close(descriptor)
                self._bury(pid)
                return time.monotonic() - started

    def _obey(self, pid: int, descriptor: int, poll: select.poll) -> None:
        """Hear from the parent: the daemon is ready, or (end of file) nobody waits any more."""
        if os.read(self._channels.leash_reader, 1) != b"r":
            self._end(pid, descriptor)
        if not self._monitor:
            os._exit(0)
        poll.unregister(self._channels.leash_reader)
        self._promote(descriptor)
        self._register_monitor(poll)

    def _end(self, pid: int, descriptor: int) -> NoReturn:
        """End a daemon that nobody waits for any more, with its process group."""
        import select
        import signal

        poll = select.poll()
        poll.register(descriptor, _POLLIN)
        _signal_group(pid, signal.SIGTERM)
        poll.poll(_PATIENCE * 1000)
        _signal_group(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        self._remove_pid_file()
        os._exit(1)

    def _bury(self, pid: int) -> None:
        """Reap the daemon; ends this process too, unless the daemon is to be started again."""
        if self._promoted:
            _, status = os.waitpid(pid, 0)
            if self._respawn and not self._ending:
                self._end_text = describe_end(status)[1]
                return
            self._remove_pid_file()
            os._exit(0)
        import signal

        _signal_group(pid, signal.SIGKILL)  # before the pid is free for others
        _, status = os.waitpid(pid, 0)
        self._remove_pid_file()
        send(self._channels.watcher_writer, "exited", str(status))
        os._exit(1)

    def _remove_pid_file(self) -> None:
        if self._pid_file is not None:
            self._pid_file.remove()

    def _promote(self, descriptor: int) -> None:
        """Become the monitor: let go of everything that is not needed, and pass signals on."""
        import signal

        self._promoted = True
        self._signal_reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in _passed_on():
            signal.signal(number, _do_nothing)
        used = {stream for stream in self._surroundings.streams if isinstance(stream, int)}
        null = os.open(os.devnull, os.O_RDWR)
        for number in {0, 1, 2} - used:
            os.dup2(null, number)
        needed = {descriptor, self._signal_reader, writer, self._channels.capture_reader, self.lock_descriptor}
        close_descriptors({0, 1, 2, *used, *needed, *self._surroundings.keep_fds})
        if not self._respawn:  # else the next daemon may have to start in this folder
            os.chdir("/")

    def _register_monitor(self, poll: select.poll) -> None:
        poll.register(self._signal_reader, _POLLIN)
        if self._channels.capture_reader >= 0:
            poll.register(self._channels.capture_reader, _POLLIN)

    def _swallow(self, poll: select.poll) -> None:
        """Read output that nobody wants, so that the daemon is never stopped by a full pipe."""
        if not os.read(self._channels.capture_reader, 65536):
            poll.unregister(self._channels.capture_reader)
            os.close(self._channels.capture_reader)
            self._channels.capture_reader = -1

    def _pass_on(self, pid: int) -> None:
        import signal

        for number in os.read(self._signal_reader, 4096):
            self._ending = self._ending or number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
            if pid:
                os.kill(pid, number)

    def _pause(self, attempt: int) -> None:
        """Wait before the daemon is started again; a signal to end ends this process instead."""
        import random
        import select

        from genii.backoff import Backoff

        delay = Backoff(initial=0.2, cap=30.0).delay(attempt, random.random())  # noqa: S311 -- no secret
        self._write_log(f"{self._end_text}, starting again in {delay:.1f} s")
        poll = select.poll()
        poll.register(self._signal_reader, _POLLIN)
        if poll.poll(delay * 1000):
            self._pass_on(0)
        if self._ending:
            self._remove_pid_file()
            os._exit(0)

    def _write_log(self, text: str) -> None:
        path = self._surroundings.stderr
        if not isinstance(path, str) or path == os.devnull:
            return
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOCTTY)
        except OSError:
            return  # the daemon's own start will complain
        try:
            os.write(descriptor, f"genii: {text}\n".encode())
        except OSError:
            return
        finally:
            os.close(descriptor)


def _passed_on() -> tuple[int, ...]:
    """Return the signals that a monitor passes on to its daemon."""
    from signal import SIGALRM, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH

    return SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGALRM, SIGWINCH


def _do_nothing(_number: int, _frame: object) -> None:
    """Let the wake-up descriptor tell."""


def _reap_as_usual() -> None:
    """Undo an ignored SIGCHLD, with which the kernel would reap our children."""
    import _signal as signal  # as in genii.system.surroundings

    if signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def _lead_own_group(pid: int) -> None:
    """Do for the daemon what it is about to do for itself, so that its group exists when we need it."""
    try:
        os.setpgid(pid, pid)
    except OSError:
        return  # it was faster, and has executed its program already or is gone


def _signal_group(pid: int, number: int) -> None:
    for send_signal in (os.killpg, os.kill):
        try:
            send_signal(pid, number)
            return
        except OSError:
            continue
