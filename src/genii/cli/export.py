"""``genii export KIND``: write what other tools want to have."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from genii.errors import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from genii.cli.service import SupervisorService

__all__ = ["configure", "run"]

_EPILOG = """\
examples:
  genii export systemd | sudo tee /etc/systemd/system/shop.service        then: systemctl enable --now shop
  genii export sysv | sudo tee /etc/init.d/shop                           then: chmod +x, update-rc.d shop defaults
  genii export docker > Dockerfile
  genii export man > ~/.local/share/man/man1/genii.1
  genii export schema > genii.schema.json     then, in the first line of genii.toml: #:schema ./genii.schema.json
  genii export completion bash > ~/.local/share/bash-completion/completions/genii
  genii export completion zsh  > ~/.zfunc/_genii        (a directory of $fpath)
  genii export completion fish > ~/.config/fish/completions/genii.fish
  genii export toml -c supervisord.conf > genii.toml"""


_SHELLS = ("bash", "zsh", "fish")


def _schema(options: argparse.Namespace) -> str:  # noqa: ARG001 -- every kind gets the options
    import msgspec

    from genii.config.json_schema import json_schema

    return msgspec.json.format(msgspec.json.encode(json_schema()), indent=2).decode() + "\n"


def _completion(options: argparse.Namespace) -> str:
    from genii.cli.completion import known_commands
    from genii.cli.shells import render

    shell = options.shell or os.path.basename(os.environ.get("SHELL", "bash"))
    if shell not in _SHELLS:
        raise UsageError(f"there is no completion for {shell}; name one of {', '.join(_SHELLS)}")
    return render(shell, list(known_commands()))


def _toml(options: argparse.Namespace) -> str:
    from genii.cli.supervisord import find_ini
    from genii.config.ini.convert import convert

    return convert(os.path.abspath(getattr(options, "config", None) or find_ini()))


def _man(options: argparse.Namespace) -> str:  # noqa: ARG001 -- every kind gets the options
    from genii.cli.completion import parsers
    from genii.cli.manual import manual_page
    from genii.version import __version__

    return manual_page(__version__, parsers())


def _systemd(options: argparse.Namespace) -> str:
    from genii.cli.unit import supervisor_unit

    return supervisor_unit(_service(options))


def _sysv(options: argparse.Namespace) -> str:
    from genii.cli.initscript import supervisor_script

    return supervisor_script(_service(options))


def _docker(options: argparse.Namespace) -> str:
    from genii.cli.dockerfile import dockerfile
    from genii.version import __version__

    return dockerfile(_service(options), f"{sys.version_info.major}.{sys.version_info.minor}", __version__)


def _service(options: argparse.Namespace) -> SupervisorService:
    """Read the configuration, which must be right, and look where genii and whose the file is."""
    from genii.cli.service import describe
    from genii.config.find import find
    from genii.config.load import load

    path = os.path.abspath(getattr(options, "config", None) or find(os.getcwd(), os.environ))
    settings = load(path)
    return describe(settings, _own_command(), _owner(path))


def _own_command() -> tuple[str, ...]:
    """Return what runs this genii: its script where it is installed with one, else the interpreter."""
    script = os.path.join(os.path.dirname(sys.executable), "genii")
    return (script,) if os.access(script, os.X_OK) else (sys.executable, "-m", "genii")


def _owner(path: str) -> str:
    """Return the name of the user who owns a file; empty: root. A user without a name is told by number."""
    uid = os.stat(path).st_uid
    if uid == 0:
        return ""
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


_KINDS: dict[str, tuple[Callable[[argparse.Namespace], str], str]] = {
    "completion": (_completion, "completion of commands, options and names for a shell"),
    "docker": (_docker, "a Dockerfile that runs this configuration"),
    "man": (_man, "the manual page genii(1)"),
    "schema": (_schema, "the JSON Schema of genii.toml, for editors"),
    "systemd": (_systemd, "a unit for the supervisor of this configuration"),
    "sysv": (_sysv, "an LSB init script for it"),
    "toml": (_toml, "the genii.toml for a supervisord.conf (-c FILE)"),
}
"""Kind -> the function that makes the text, and what it is."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.description = "Write to standard output: " + "; ".join(
        f"{kind}: {text}" for kind, (_, text) in _KINDS.items()
    )
    parser.epilog = _EPILOG
    parser.add_argument("kind", metavar="KIND", choices=sorted(_KINDS), help=" | ".join(sorted(_KINDS)))
    parser.add_argument("shell", nargs="?", choices=_SHELLS, help="for completion (default: yours)")


def run(options: argparse.Namespace) -> int:
    """Write the text; return the exit code."""
    if options.shell and options.kind != "completion":
        raise UsageError(f"'export {options.kind}' takes no shell")
    make, _ = _KINDS[options.kind]
    sys.stdout.write(make(options))
    return 0
