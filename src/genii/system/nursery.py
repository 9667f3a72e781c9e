"""A nursery: a process that has loaded what its children need, and forks one whenever it is asked to.

Its parent gives it a stream socket as descriptor 0. It says ``ready`` when it has loaded all, or why it can't serve.
A request is answered with the pid of a new process that is a child of the parent, not of the nursery (clone(2) with
``CLONE_PARENT``), in a session of its own. The child waits for a byte on the fourth descriptor of its request before it
does anything: its parent has then written down that it exists. The nursery ends with its parent.
"""

from __future__ import annotations

import _socket
import ctypes
import gc
import marshal
import os
import signal

from genii.system.launcher import CLONE_NUMBERS, CLONE_PARENT, place, receive

__all__ = ["obstacle", "serve"]

_CLONE_CHILD_CLEARTID = 0x00200000
_CLONE_CHILD_SETTID = 0x01000000
_PR_GET_TID_ADDRESS = 40


def obstacle() -> str:
    """Say why this process can't be forked safely; empty: it can."""
    if len(os.listdir("/proc/self/task")) > 1:
        return "its module starts threads when it is imported"
    if os.uname().machine not in CLONE_NUMBERS:
        return f"it is not known how to fork on {os.uname().machine}"
    return ""


def serve() -> None:
    """Answer requests; returns in each child, never in the nursery itself. To be called without other threads."""
    link = _socket.socket(fileno=0)
    link.setblocking(True)
    why = obstacle()
    _send(link, why or "ready")
    if why:
        os._exit(0)
    gc.collect()
    gc.freeze()  # collections in the children would copy every page that they touch
    while (received := receive(link)) is not None:
        request, descriptors = received
        pid, number = 0, 0
        try:
            pid = _fork_sibling()
        except OSError as error:
            number = error.errno or 0
        if pid == 0 and number == 0:
            environment, directory = request
            _be_born(link, environment, directory, descriptors)
            return
        for descriptor in descriptors:
            os.close(descriptor)
        _send(link, (pid, number))
    os._exit(0)


def _send(link: _socket.socket, message: str | tuple[int, int]) -> None:
    """Send one message: its length, then what marshal makes of it."""
    data = marshal.dumps(message)
    link.sendall(len(data).to_bytes(4, "big") + data)


def _fork_sibling() -> int:
    """Do what os.fork does, but the child is one of our parent's."""
    # PyDLL keeps the interpreter lock: the child must not have to take it from a thread that does not exist there.
    python, libc = ctypes.pythonapi, ctypes.PyDLL(None, use_errno=True)
    address = ctypes.c_void_p()
    flags = CLONE_PARENT | signal.SIGCHLD
    # The C library keeps its thread id where the kernel will find this address: fork(2) of glibc has it renewed, too.
    if libc.prctl(_PR_GET_TID_ADDRESS, ctypes.byref(address)) == 0 and address.value:
        flags |= _CLONE_CHILD_SETTID | _CLONE_CHILD_CLEARTID
    syscall = libc.syscall
    syscall.restype = ctypes.c_long
    number = CLONE_NUMBERS[os.uname().machine]
    python.PyOS_BeforeFork()
    # The last two arguments are the other way round on some machines; the one that is no thread id is not looked at.
    pid = int(syscall(ctypes.c_long(number), ctypes.c_long(flags), None, None, address, address))
    if pid == 0:
        python.PyOS_AfterFork_Child()
        return 0
    error = ctypes.get_errno()
    python.PyOS_AfterFork_Parent()
    if pid < 0:
        raise OSError(error, os.strerror(error))
    return pid


def _be_born(link: _socket.socket, environment: dict[str, str], directory: str, descriptors: list[int]) -> None:
    """Become a process of its own with its own environment and output, and wait to be told to begin."""
    link.detach()
    os.setsid()
    *standard, begin = descriptors
    begin = place(standard, begin)
    if not os.read(begin, 1):
        os._exit(0)  # nobody knows of us
    os.close(begin)
    for descriptor in descriptors:
        os.close(descriptor)
    if directory:
        os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
