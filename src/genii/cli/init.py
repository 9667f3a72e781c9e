"""``genii init``: write a commented genii.toml for this folder."""

from __future__ import annotations

import os
import re
import shlex
import sys
from typing import TYPE_CHECKING, Any

from genii.errors import NotAllowed

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

__all__ = ["configure", "run"]

_EPILOG = """\
examples:
  genii init && genii check && genii up

It looks for a Procfile, manage.py, package.json, pyproject.toml, app.py, main.py or server.py and never overwrites
a file."""

_HEAD = """\
# What genii keeps running in this folder.
#   genii check     tells what is wrong with this file        genii up       runs it (Ctrl-C ends it)
#   genii status    tells how the programs are                genii logs -f  follows what they write
# All keys: docs/configuration.md.  For an editor that completes and checks:
#   genii export schema > genii.schema.json   and the line   #:schema ./genii.schema.json   at the top

"""

_TAIL = """
# More that a program may say:
# processes  = 2                                   # how many; or { min = 1, max = 5 }
# depends_on = ["database"]                        # starts when that one is ready
# ready      = { tcp = 8000, timeout = "30s" }     # or line, http, notify, command
# health     = { http = "http://127.0.0.1:8000/", interval = "10s", failures = 3 }
# check      = "./selfcheck"                       # must pass before a running program is restarted
# restart    = "on-failure"                        # always | on-failure | never
# stop       = { signal = "TERM", timeout = "10s" }
# limits     = { nofile = 100000, memory = "512MB" }
# logs       = { stdout = "log/web.log", size = "50MB", backups = 10 }
# environment = { PORT = "8000" }
# env_file   = ".env"

# [program.report]
# command  = "python3 report.py"
# schedule = "*/5 * * * *"                         # cron fields; six with seconds first

# [program.assets]
# command = "make assets"
# watch   = ["assets"]                             # started (or restarted) when files change
"""

_PROCFILE_LINE = re.compile(r"([A-Za-z0-9_-]+):\s*(.+?)\s*")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.description = "Write a commented genii.toml for this folder, with a first program where one is recognised."
    parser.epilog = _EPILOG


def run(options: argparse.Namespace) -> int:
    """Write the file; return the exit code.

    Raises NotAllowed if there is one already.
    """
    path = os.path.abspath(getattr(options, "config", None) or "genii.toml")
    programs, origin = _recognised(os.path.dirname(path))
    text = _HEAD + "\n".join(_table(name, command, comment) for name, command, comment in programs) + _TAIL
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise NotAllowed(f"{path} is there already and was left as it is; 'genii check' checks it") from None
    names = ", ".join(name for name, _, _ in programs)
    print(f"wrote {os.path.relpath(path)} with {names} ({origin}); next: genii check && genii up", file=sys.stderr)
    return 0


Found = list[tuple[str, str, str]]
"""Name, command and comment of programs."""


def _recognised(folder: str) -> tuple[Found, str]:
    """Return the first programs of a folder, and what they were made from."""
    for name, look in _LOOKS:
        path = os.path.join(folder, name)
        try:
            with open(path, encoding="utf-8") as file:
                found = look(file.read(1 << 20))
        except (OSError, ValueError):
            continue
        if found:
            return found, f"from {name}"
    python = "python3 -u -m http.server --bind 127.0.0.1 8000"
    return [("web", python, "an example: this folder as a web page")], "an example: replace its command"


def _procfile(text: str) -> Found:
    matches = (_PROCFILE_LINE.fullmatch(line) for line in text.splitlines() if not line.lstrip().startswith("#"))
    found = {match[1]: match[2] for match in matches if match}
    return [(name, _foreign(command), "from the Procfile") for name, command in found.items() if name != "all"]


def _foreign(command: str) -> str:
    """Return a command written for a shell so that genii, too, leaves its variables to the shell."""
    command = re.sub(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", r"$\1", command)
    if "$$" in command or "${" in command:
        command = "sh -c " + shlex.quote(command).replace("$", "$$")
    return re.sub(r"\{([a-z_]+)\}", r"{{\1}}", command)


def _package_json(text: str) -> Found:
    import msgspec

    package: Any = msgspec.json.decode(text)
    scripts = package.get("scripts") if isinstance(package, dict) else None
    names = scripts if isinstance(scripts, dict) else {}
    script = next((name for name in ("start", "dev", "serve") if name in names), None)
    return [("web", f"npm run {script}", "the script of package.json")] if script else []


def _pyproject(text: str) -> Found:
    import tomllib

    project = tomllib.loads(text).get("project", {})
    scripts = project.get("scripts", {}) if isinstance(project, dict) else {}
    names = [name for name in scripts if re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name)] if scripts else []
    return [(name, name, "the script of pyproject.toml") for name in names[:1] if name != "all"]


def _django(_: str) -> Found:
    return [("web", "python3 manage.py runserver --noreload 127.0.0.1:8000", "the Django project")]


def _script(name: str) -> Callable[[str], Found]:
    return lambda _: [(name.removesuffix(".py"), f"python3 -u {shlex.quote(name)}", f"runs {name}")]


_LOOKS: tuple[tuple[str, Callable[[str], Found]], ...] = (
    ("Procfile", _procfile),
    ("manage.py", _django),
    ("package.json", _package_json),
    ("pyproject.toml", _pyproject),
    *((name, _script(name)) for name in ("server.py", "app.py", "main.py", "worker.py")),
)


def _table(name: str, command: str, comment: str) -> str:
    return f"[program.{name}]  # {comment}\ncommand = {_quoted(command)}\n"


def _quoted(text: str) -> str:
    """Write a TOML string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + re.sub(r"[\x00-\x1f\x7f]", lambda match: f"\\u{ord(match[0]):04x}", escaped) + '"'
