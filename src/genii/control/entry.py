"""Begin and end of the supervisor's process: read the configuration, be the only one, answer whoever waits.

asyncio is imported only after the configuration is known, because with it comes ssl (4.4 MiB) unless that is kept out.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

import msgspec

from genii.config.load import load
from genii.control.options import Options
from genii.errors import AlreadyRunning, ConfigError, GeniiError, NotAllowed
from genii.system.pidfile import PidFile

if TYPE_CHECKING:
    from genii.supervise.model import Settings

__all__ = ["answer", "main"]


def main(arguments: list[str], keeper_link: int, keeper_pid: int) -> int:
    """Run a supervisor to its end; return the exit code of the process.

    ``arguments`` is one word, ``Options`` as JSON.
    """
    options = msgspec.json.decode(arguments[0], type=Options)
    try:
        return _run(options, keeper_link, keeper_pid)
    except ConfigError as error:
        return answer(options, error.exit_code, str(error))
    except AlreadyRunning as error:
        return answer(options, 0, f"genii: {error}")
    except GeniiError as error:
        return answer(options, error.exit_code, f"genii: {error}")
    except OSError as error:
        notes = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
        return answer(options, 1, f"genii: {error}{notes}")


def answer(options: Options, status: int, message: str) -> int:
    """Say what became of the start: to the command that waits for it, or on standard error."""
    if options.report >= 0:
        with contextlib.suppress(BrokenPipeError):
            os.write(options.report, f"{status} {message}".encode())
    elif message:
        print(message, file=sys.stderr)
    return status


def _run(options: Options, keeper_link: int, keeper_pid: int) -> int:
    settings = load(options.config)
    if not settings.programs:
        raise NotAllowed(f"{settings.path}: no program is declared; add a [program.NAME] section")
    os.umask(settings.umask)
    try:
        os.makedirs(settings.state_dir, mode=0o755, exist_ok=True)
    except OSError as error:
        raise NotAllowed(f"can't make the state directory {settings.state_dir}: {error.strerror}") from None
    with PidFile(os.path.join(settings.state_dir, "genii.pid")):
        _import_asyncio(settings)
        from genii.control.daemon import run

        return run(settings, options, keeper_link, keeper_pid)


def _import_asyncio(settings: Settings) -> None:
    """Import asyncio, without ssl where no TLS is served: asyncio then takes it for missing (see its sslproto)."""
    if settings.http.tls_certificate or "ssl" in sys.modules:
        return
    sys.modules["ssl"] = None  # type: ignore[assignment]
    import asyncio  # noqa: F401 -- for its side effect

    del sys.modules["ssl"]
