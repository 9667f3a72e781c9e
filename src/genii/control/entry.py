"""Begin and end of the supervisor's process: read the configuration, be the only one, answer whoever waits.

asyncio is imported only after the configuration is known, because with it comes ssl (4.4 MiB) unless that is kept out.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import msgspec

from genii.control.answer import answer
from genii.control.claim import Claim
from genii.control.loader import decode, prepare, start_reading
from genii.control.options import Options
from genii.errors import AlreadyRunning, ConfigError, GeniiError, NotAllowed

if TYPE_CHECKING:
    from typing import NoReturn

    from genii.supervise.model import Settings

__all__ = ["main", "take_over"]

_LONGEST_SOCKET = 107


def main(words: str, path: str, loader: tuple[int, int] | None, keeper: tuple[int, int]) -> int:
    """Run a supervisor to its end; return the exit code of the process.

    ``words`` are ``Options`` as JSON, ``path`` is where a process that reads the configuration finds its modules,
    ``loader`` and ``keeper`` are the descriptor and the pid of the two processes that were forked before; without a
    ``loader`` one is made.
    """
    options = msgspec.json.decode(words, type=Options)
    try:
        return _run(options, words, path, loader, keeper)
    except AlreadyRunning as error:
        if options.names:
            return answer(options, 1, f"genii: {error}; to start programs: genii start {' '.join(options.names)}")
        return answer(options, 0, f"genii: {error}")
    except ConfigError as error:
        return answer(options, error.exit_code, str(error))
    except GeniiError as error:
        return answer(options, error.exit_code, f"genii: {error}")
    except OSError as error:
        notes = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
        return answer(options, 1, f"genii: {error}{notes}")


def _run(options: Options, words: str, path: str, loader: tuple[int, int] | None, keeper: tuple[int, int]) -> int:
    loader = loader or start_reading(options.config)
    _import_asyncio()
    from genii.control.daemon import BEGIN_AGAIN, run

    settings = _settings(*loader)
    if not settings.programs and not settings.supervisord:
        raise NotAllowed(f"{settings.path}: no program is declared; add a [program.NAME] section")
    if settings.http.tls_certificate and "GENII_TLS" not in os.environ:
        if options.report >= 0:
            os.set_inheritable(options.report, True)
        _begin_again(words, path, keeper[1], GENII_TLS="1")  # only now is it known that ssl is needed
    if not settings.supervisord:  # there it is only for daemons, see genii.cli.supervisord
        os.umask(settings.umask)
    _check_length(settings.state_dir)
    try:
        os.makedirs(settings.state_dir, mode=0o755, exist_ok=True)
    except OSError as error:
        raise NotAllowed(f"can't make the state directory {settings.state_dir}: {error.strerror}") from None
    if settings.user and not settings.supervisord and os.geteuid() == 0:
        _become_user(settings, keeper[0])
    _check_owner(settings.state_dir)
    with Claim(settings.state_dir) as claim:
        status = run(settings, options, path, keeper, claim)
    return _begin_again(words, path) if status == BEGIN_AGAIN else status


def take_over(words: str, path: str, state: int, keeper: tuple[int, int]) -> int:
    """Go on in the place of another version, which has executed this one; return the exit code of the process.

    ``state`` is the descriptor of what it left, the rest is as for ``main``.
    """
    _import_asyncio()
    from genii.control.inheritance import inherit

    inheritance = inherit(state, keeper[1])
    try:
        from genii.control.daemon import BEGIN_AGAIN, run

        options = msgspec.json.decode(words, type=Options)
        settings = inheritance.handover.settings
        claim = Claim(settings.state_dir)
        claim.adopt(inheritance.handover.pid_file, inheritance.handover.guard)
    except Exception as error:
        inheritance.go_back(error)
    with claim:
        status = run(settings, options, path, keeper, claim, inheritance)
    return _begin_again(words, path) if status == BEGIN_AGAIN else status


def _check_length(state_dir: str) -> None:
    """Refuse a folder whose sockets could not be reached, see unix(7)."""
    path = os.path.join(state_dir, "notify.sock")
    if len(os.fsencode(path)) > _LONGEST_SOCKET:
        raise NotAllowed(
            f"{path} is too long for a socket ({_LONGEST_SOCKET} bytes at most); "
            "set state_dir in [supervisor] to a folder with a shorter path"
        )


def _check_owner(state_dir: str) -> None:
    """Refuse a state directory in which others could tell us what runs, and have us signal it.

    Raises:
        NotAllowed: it belongs to another user, or anybody may write to it.
    """
    found = os.stat(state_dir)
    if found.st_uid not in (0, os.geteuid()):
        raise NotAllowed(
            f"the state directory {state_dir} belongs to another user ({found.st_uid}); run as that user, give it to "
            "yours (chown -R), or set another state_dir in [supervisor]"
        )
    if found.st_mode & 0o002:
        raise NotAllowed(f"anybody may write to the state directory {state_dir}; chmod o-w {state_dir}")


def _become_user(settings: Settings, keeper_link: int) -> None:
    """Give up root for the user that ``[supervisor]`` names, in the keeper as well; its folders are given to that user.

    Raises:
        UsageError: there is no such user.
    """
    import _socket

    from genii.supervise.keeper import send
    from genii.system.privileges import become, resolve

    identity = resolve(settings.user)
    log_dir = settings.log_dir or os.path.join(settings.state_dir, "log")
    os.makedirs(log_dir, mode=0o750, exist_ok=True)
    for folder in (settings.state_dir, log_dir):
        os.chown(folder, identity.uid, identity.gid, follow_symlinks=False)
    link = _socket.socket(fileno=os.dup(keeper_link))
    send(link, ("become", identity.uid, identity.gid, list(identity.groups)))
    link.close()
    become(identity)
    os.environ.update(identity.environment())


def _settings(descriptor: int, pid: int) -> Settings:
    """Return what the process that reads the configuration says."""
    prepare()
    with open(descriptor, "rb") as pipe:
        data = pipe.read()
    os.waitpid(pid, 0)
    return decode(data)


def _import_asyncio() -> None:
    """Import asyncio without ssl unless TLS is wanted, see below."""
    if "GENII_TLS" in os.environ:
        return
    from genii.system.plain_asyncio import import_asyncio

    import_asyncio()


def _begin_again(words: str, path: str, keeper: int = 0, **variables: str) -> NoReturn:
    """Execute this supervisor anew, with ``variables`` in its environment; end the keeper that has nothing yet."""
    from genii.control.again import execute, own_origin

    if keeper:
        os.kill(keeper, signal.SIGKILL)
        os.waitpid(keeper, 0)
    execute(own_origin(path), words, **variables)
