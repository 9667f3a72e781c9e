"""Start a supervisor: become one, or have one in the background and wait for its answer."""

from __future__ import annotations

import os
import sys

from genii.control.loader import start_reading
from genii.control.plain_json import dumps
from genii.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ["become", "detach", "origin"]


def become(words: dict[str, object]) -> NoReturn:
    """Become a supervisor with these options (see ``genii.control.options``)."""
    descriptor, pid = start_reading(str(words["config"]))
    os.set_inheritable(descriptor, True)
    environment = {**_environment(), "GENII_LOADER": f"{descriptor}:{pid}"}
    os.execve(sys.executable, _argv(words), environment)  # noqa: S606 -- the same process, no shell


def _argv(words: dict[str, object]) -> list[str]:
    """Return the command line of a supervisor: a bare interpreter, see ``genii.control.bootstrap``."""
    return [sys.executable, "-I", "-S", "-X", "no_debug_ranges", origin()["script"], dumps(words)]


def _environment() -> dict[str, str]:
    return {**os.environ, "GENII_SYS_PATH": origin()["path"]}


def origin() -> dict[str, str]:
    """Return where this version of genii is found, see ``genii.supervise.handover.Origin``."""
    script = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "control", "bootstrap.py")
    path = [os.path.abspath(entry) for entry in sys.path if entry and not entry.endswith(".zip")]
    return {"executable": sys.executable, "script": script, "path": os.pathsep.join(path)}


def detach(words: dict[str, object], *, quiet: bool = False) -> int:
    """Start a supervisor in a session of its own and wait for its answer, which is printed unless all is well."""
    while (null := os.open(os.devnull, os.O_RDWR)) <= 2:
        continue  # started without stdin, stdout or stderr: the pipe must not take their numbers
    reading, writing = os.pipe()
    if sys.stdout is not None:
        sys.stdout.flush()
    if os.fork() == 0:
        _become_detached(words, null, writing)
    os.close(writing)
    answer = b""
    while block := os.read(reading, 65536):
        answer += block
    status, _, message = answer.decode(errors="replace").partition(" ")
    if not status.isdigit():
        print("genii: the supervisor ended before it was up; see its log", file=sys.stderr)
        return 1
    if status != "0" or not quiet:
        print(message, file=sys.stderr)
    return int(status)


def _become_detached(words: dict[str, object], null: int, report: int) -> NoReturn:
    """Become the supervisor of ``detach``: in a session of its own, with nothing but the pipe to tell by."""
    try:
        os.setsid()
        for number in range(3):
            os.dup2(null, number)
        os.set_inheritable(report, True)
        become({**words, "report": report})
    except BaseException as error:
        os.write(report, f"1 genii: can't start the supervisor: {error}".encode())
        os._exit(1)
