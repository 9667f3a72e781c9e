"""The ``genii`` command: finds the command asked for, loads only its module, and turns errors into exit codes."""

from __future__ import annotations

import gc
import os
import sys

from genii.cli.options import add_common, add_on
from genii.cli.plain import NotPlain, PlainParser
from genii.cli.table import COMMANDS, GROUPS
from genii.errors import ConfigError, GeniiError, UsageError
from genii.typed import TYPE_CHECKING, NamedTuple
from genii.version import __version__

if TYPE_CHECKING:
    import argparse
    from typing import Any

    from genii.cli.plain import Options
    from genii.cli.table import Command

__all__ = ["main"]

_CODE_OF_OTHERS = frozenset({"deploy", "prefork", "rollback", "task", "tasks", "work"})
"""Commands that run what others wrote, which may count on being cleaned up at the end."""
_INTERRUPTED = 130
_LINKS = ("supervisord", "supervisorctl", "echo_supervisord_conf", "pidproxy")


class _Words(NamedTuple):
    """The command line, cut where the command begins."""

    command: str
    rest: list[str]
    config: str | None = None
    server: str | None = None


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    if arguments is None:
        # msgspec imports it only to find the functions that typing has, too: 5 MiB and 40 ms for nothing.
        sys.modules.setdefault("typing_extensions", None)  # type: ignore[arg-type]
        _open_closed_streams()
    words = sys.argv[1:] if arguments is None else arguments
    called = os.path.basename(sys.argv[0])
    if arguments is None and called in _LINKS:  # a symbolic link in their place
        words = [called, *words]
    status = 0  # for what is stopped in its midst because nobody reads on
    try:
        status = _carry_out(words)
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        _stop_writing()
    if arguments is None and _CODE_OF_OTHERS.isdisjoint(words):
        gc.freeze()  # else Python looks at all that it has, twice, before it ends: a seventh of `genii status`
    return status


def _stop_writing() -> None:
    """Write nothing more: whoever read has seen enough. Python would complain when it flushes at exit."""
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(null, stream.fileno())


def _carry_out(words: list[str]) -> int:
    """Run the command line; tell its errors."""
    try:
        status = _run(words)
    except SystemExit as request:  # argparse has shown its help
        status = request.code if isinstance(request.code, int) else 0
    except GeniiError as error:
        status = _report(error)
    except BrokenPipeError:
        raise
    except KeyboardInterrupt:
        print(file=sys.stderr)
        status = _INTERRUPTED
    except OSError as error:
        notes = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
        print(
            f"genii: {error.strerror or error}{f': {error.filename}' if error.filename else ''}{notes}", file=sys.stderr
        )
        status = 1
    return status


def _open_closed_streams() -> None:
    """Let streams that we were started without (``>&-``) lead to the null device, so that no file gets their number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)
            if descriptor != number:
                os.dup2(descriptor, number)
                os.close(descriptor)
            os.set_inheritable(number, True)
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))


def _run(words: list[str]) -> int:
    if words[:1] == ["__complete"]:
        from genii.cli.complete import print_names

        return print_names(words[1:])
    split = _split(words)
    if split.command == "help":
        split = _Words(split.rest[0], ["--help"]) if split.rest else _Words("--help", [])
    if split.command in ("-h", "--help", ""):
        _print_help()
        return 0 if split.command else 2
    if split.command in ("-V", "--version"):
        print(f"genii {__version__}")
        return 0
    if split.command not in COMMANDS:
        from genii.cli.parser import suggest

        raise UsageError(f"there is no command {split.command!r}{suggest(split.command, COMMANDS)} (see genii --help)")
    return _run_command(split)


def _run_command(split: _Words) -> int:
    from importlib import import_module

    command = COMMANDS[split.command]
    module = import_module(f"genii.cli.{command.module}")
    options: Any = _parse_plain(split, command, module) or _parse(split, command, module)
    if command.on_hosts and options.on:
        module = import_module("genii.cli.remote")
        options.command = split.command
    status: int = module.run(options)
    return status


def _parse_plain(split: _Words, command: Command, module: Any) -> Options | None:
    """Read the words after the command without argparse; None: only that can."""
    parser: Any = PlainParser()
    try:
        add_common(parser)
        module.configure(parser)
        if command.on_hosts:
            add_on(parser)
        options: Options = parser.parse(split.rest, config=split.config, server=split.server)
    except NotPlain:
        return None
    return options


def _parse(split: _Words, command: Command, module: Any) -> argparse.Namespace:
    import argparse

    from genii.cli.parser import build_parser

    parser = build_parser(split.command, command.help)
    module.configure(parser)
    if command.on_hosts:
        add_on(parser)
    return parser.parse_command(split.rest, argparse.Namespace(config=split.config, server=split.server))


def _split(words: list[str]) -> _Words:
    """Take the options before the command by hand: argparse is loaded for one command only."""
    found: dict[str, str] = {}
    position = 0
    while position < len(words):
        word = words[position]
        name, equals, value = word.partition("=")
        key = {"-c": "config", "--config": "config", "--server": "server"}.get(name)
        if key is None:
            if word == "-T":  # as rex and rake list their tasks
                return _Words("tasks", words[position + 1 :], found.get("config"), found.get("server"))
            if word.startswith("-") and word not in ("-h", "--help", "-V", "--version"):
                raise UsageError(f"there is no option {word!r} (see genii --help)")
            return _Words(word, words[position + 1 :], found.get("config"), found.get("server"))
        if not equals:
            position += 1
            if position == len(words):
                raise UsageError(f"{word} needs a value")
            value = words[position]
        found[key] = value
        position += 1
    return _Words("", [])


def _print_help() -> None:
    from genii.cli.terminal import Paint

    paint = Paint(sys.stdout)
    print(f"genii {__version__}: write a long-running program, run it, keep it alive, steer it.\n")
    print(f"{paint('Usage', 'bold')}: genii [-c FILE] [--server ADDRESS] COMMAND [OPTIONS]")
    for group in GROUPS:
        print(f"\n{paint(group, 'bold')}")
        for name, command in COMMANDS.items():
            if command.group == group:
                print(f"  {paint(f'{name:<12}', 'cyan')} {command.help}")
    print(f"\n{paint('Examples', 'bold')}")
    for line in ("genii up -d            run what genii.toml declares", "genii status           see how it is",
                 "genii logs -f web      read along"):  # fmt: skip
        print(f"  {line}")
    print("\n'genii COMMAND --help' tells about one command.")


def _report(error: GeniiError) -> int:
    """Say on standard error what is wrong; return the exit code."""
    from genii.cli.terminal import Paint

    text = str(error)
    if not isinstance(error, ConfigError):  # each of its lines begins with a file, as editors want it
        text = f"{Paint(sys.stderr)('genii:', 'red')} {text}"
    sys.stdout.flush()
    print(text, file=sys.stderr)
    output = getattr(error, "output", "")
    if output:
        print(output.rstrip("\n"), file=sys.stderr)
    return error.exit_code
