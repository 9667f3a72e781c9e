"""Read the configuration in a process of its own, so that what that needs never counts as the supervisor's memory.

``genii up`` forks it before it becomes the supervisor, so that the configuration is read while the supervisor is
loaded. For an update this file is executed (``python -I -S loader.py CONFIG``).
"""

from __future__ import annotations

import gc
import os
import sys

TYPE_CHECKING = False  # this file is executed by itself, before there is a path to anything but the standard library
if TYPE_CHECKING:
    from genii.supervise.model import Settings

__all__ = ["decode", "load_encoded", "prepare", "start_reading"]


def start_reading(path: str) -> tuple[int, int]:
    """Fork a process that reads a configuration; return the descriptor of its answer (for ``decode``) and its pid."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid:
        os.close(writing)
        return reading, pid
    try:
        os.close(reading)
        gc.disable()  # nearly all that is made stays until the end, which is near
        with open(writing, "wb") as pipe:
            pipe.write(load_encoded(path))
    except BrokenPipeError:
        pass  # who wanted to know is gone
    except Exception:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(0)


def load_encoded(path: str) -> bytes:
    """Return the settings of a configuration, or what is wrong with it, for ``decode``, to be sent to our parent."""
    from genii.system.lean_msgspec import import_msgspec

    import_msgspec()
    import msgspec

    from genii.config.load import load
    from genii.errors import ConfigError, GeniiError

    try:
        settings = load(path)
        if settings.supervisord:
            from genii.supervisord.prepare import prepare

            settings = prepare(settings, os.getppid())
        return b"S" + msgspec.json.encode(settings)
    except ConfigError as error:
        return b"C" + msgspec.json.encode(error.problems)
    except GeniiError as error:
        return b"E" + str(error).encode()


def prepare() -> None:
    """Have msgspec look at the types of the settings, while whoever reads the configuration is still at it."""
    decode(b"S{}")


def decode(data: bytes) -> Settings:
    """Return the settings.

    Raises:
        ConfigError: the configuration is broken.
        NotAllowed: it can't be read for another reason.
    """
    import msgspec

    from genii.errors import ConfigError, NotAllowed, Problem
    from genii.supervise.model import Settings

    kind, body = data[:1], data[1:]
    if kind == b"S":
        settings = msgspec.json.decode(body, type=Settings)
        _share(settings)
        return settings
    if kind == b"C":
        raise ConfigError(msgspec.json.decode(body, type=list[Problem]))
    raise NotAllowed(body.decode(errors="replace") or "the configuration could not be read; is memory short?")


_ALIKE = ("backoff", "check_timeout", "directory", "exit_codes", "scaling", "startsecs", "stop")
"""Keys that most programs have alike."""
_OFTEN_EMPTY = ("environment", "limits")


def _share(settings: Settings) -> None:
    """Keep what is equal in many programs once: with 1,000 of them it is a MiB."""
    from msgspec.structs import force_setattr

    from genii.supervise.model import Program

    standard = Program(name="", command=())
    pools: dict[str, dict[object, object]] = {key: {} for key in _ALIKE}
    words: dict[str, str] = {}
    nothing: dict[str, object] = {}
    for name, program in settings.programs.items():
        words[name] = name
        for key in _ALIKE:
            value = getattr(program, key)
            if value is not getattr(standard, key):
                force_setattr(program, key, pools[key].setdefault(value, value))
        for key in _OFTEN_EMPTY:
            if not getattr(program, key):
                force_setattr(program, key, nothing)
        force_setattr(program, "name", name)
        force_setattr(program, "command", tuple([words.setdefault(word, word) for word in program.command]))


def main() -> int:
    """Print the encoded settings of the configuration that is named in the command line."""
    sys.path[:0] = os.environ.pop("GENII_SYS_PATH", "").split(os.pathsep)
    with open(1, "wb", closefd=False) as out:
        out.write(load_encoded(sys.argv[1]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
