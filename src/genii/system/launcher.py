"""The launcher: a small process that forks what posix_spawn can't start.

It runs by itself (``python -I -S launcher.py``, descriptor 3 is a stream socket to the supervisor), imports next to
nothing, and therefore forks in the time that its few MiB take. Each request is answered with a pid or with the error
of the step that failed. New processes are made with ``CLONE_PARENT`` (clone(2)): children of the supervisor, not of
the launcher. It ends when the supervisor is gone or has asked for nothing for a while.
"""

from __future__ import annotations

import _socket
import array
import ctypes
import fcntl
import gc
import marshal
import os
import resource
import select
import signal
import sys

TYPE_CHECKING = False  # typing itself is not worth its import here
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

IDLE = 10.0
"""Seconds without a request after which the launcher ends."""
SOCKET = 3
CLONE_PARENT = 0x00008000
CLONE_NUMBERS = {"x86_64": 56, "aarch64": 220, "riscv64": 220, "armv7l": 120, "i686": 120, "ppc64le": 120}
_KEEP = 64
_MSG_CMSG_CLOEXEC = 0x40000000


def main() -> int:
    """Serve requests until the supervisor is gone or idle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    link = _socket.socket(fileno=SOCKET)
    os.set_inheritable(SOCKET, False)  # no program may listen in, or answer in our place
    fork = _make_fork()
    gc.freeze()  # what each child would copy, were it looked at there
    gc.disable()
    waiter = select.poll()
    waiter.register(SOCKET, select.POLLIN)
    while waiter.poll(IDLE * 1000):
        received = receive(link)
        if received is None:
            return 0
        request, descriptors = received
        answer = _launch(fork, request, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        data = marshal.dumps(answer)
        link.sendall(len(data).to_bytes(4, "big") + data)
    return 0


def _make_fork() -> Callable[[], int]:
    number = CLONE_NUMBERS[os.uname().machine]
    # PyDLL keeps the interpreter lock: the child must not have to take it from a thread that does not exist there.
    syscall = ctypes.PyDLL(None, use_errno=True).syscall

    def fork() -> int:
        pid = int(syscall(number, CLONE_PARENT | signal.SIGCHLD, 0, 0, 0, 0))
        if pid < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return pid

    return fork


def receive(link: _socket.socket) -> tuple[tuple[Any, ...], list[int]] | None:
    """Read one request: length, body, and with the first byte its descriptors."""
    ancillary_size = _socket.CMSG_SPACE(_KEEP * 4)
    head, ancillary, _, _ = link.recvmsg(4, ancillary_size, _MSG_CMSG_CLOEXEC)
    if not head:
        return None
    descriptors = array.array("i")
    for _, _, data in ancillary:
        descriptors.frombytes(data[: len(data) - len(data) % 4])
    while len(head) < 4:
        head += link.recv(4 - len(head))
    body = b""
    size = int.from_bytes(head, "big")
    while len(body) < size:
        part = link.recv(size - len(body))
        if not part:
            return None
        body += part
    return marshal.loads(body), list(descriptors)  # noqa: S302 -- from our parent, over a private socket


def _launch(fork: Callable[[], int], request: tuple[Any, ...], descriptors: list[int]) -> tuple[int, int, str]:
    """Fork one process; return (pid, 0, "") or (0, errno, step)."""
    told, tell = os.pipe2(os.O_CLOEXEC)
    try:
        pid = fork()
    except OSError as error:
        os.close(told)
        os.close(tell)
        return 0, error.errno or 0, "fork"
    if pid == 0:
        _become(request, descriptors, tell)
    os.close(tell)
    answer = os.read(told, 256)
    os.close(told)
    if answer:
        number, _, step = answer.decode().partition(" ")
        return 0, int(number), step
    return pid, 0, ""


def _become(request: tuple[Any, ...], descriptors: list[int], tell: int) -> NoReturn:
    """Turn the new process into the program; never returns."""
    path, argv, environment, directory, umask, uid, gid, groups, limits, nice, oom_score, names = request
    step = "session"
    try:
        os.setsid()
        step = "descriptors"
        tell = place(descriptors, tell)
        step = "limits"
        _set_limits(limits)
        step = "priority"
        if nice:
            os.setpriority(os.PRIO_PROCESS, 0, nice)
        if oom_score is not None:
            with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
                file.write(str(oom_score))
        step = "groups"
        if groups is not None:
            os.setgroups(groups)
        if gid >= 0:
            os.setresgid(gid, gid, gid)
        step = "user"
        if uid >= 0:
            os.setresuid(uid, uid, uid)
        step = "directory"
        if directory:
            os.chdir(directory)
        if umask >= 0:
            os.umask(umask)
        if names:
            _announce(environment, names)
        step = "execute"
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.execve(path, argv, environment)  # noqa: S606 -- what this file is for
    except OSError as error:
        os.write(tell, f"{error.errno} {step}".encode())
    except BaseException as error:
        os.write(tell, f"22 {step}: {error}".encode()[:255])
    os._exit(127)


def place(descriptors: list[int], tell: int) -> int:
    """Move the descriptors to 0, 1, 2, 3 … and return where the error pipe went, out of their way."""
    above = len(descriptors) + 3
    tell = fcntl.fcntl(tell, fcntl.F_DUPFD_CLOEXEC, above)
    moved = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, above) for descriptor in descriptors]
    for target, descriptor in enumerate(moved):
        os.dup2(descriptor, target, inheritable=True)
    return tell


def _set_limits(limits: dict[int, tuple[int, int]]) -> None:
    for number, pair in limits.items():
        resource.setrlimit(number, pair)


def _announce(environment: dict[str, str], names: list[str]) -> None:
    """Tell the program which sockets it inherited, as sd_listen_fds(3) wants it and by name."""
    environment["LISTEN_PID"] = str(os.getpid())
    environment["LISTEN_FDS"] = str(len(names))
    environment["LISTEN_FDNAMES"] = ":".join(names)


if __name__ == "__main__":
    sys.exit(main())
