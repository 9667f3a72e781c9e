"""Completion scripts for bash, zsh and fish from a description of the commands. No I/O.

Commands and options are written into the script; the names of programs, tasks and hosts are asked for while one types
(``genii __complete`` with the words up to the one that is typed).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Known", "Option", "render"]


class Option(NamedTuple):
    """One option of a command."""

    names: tuple[str, ...]
    help: str
    takes_value: bool
    choices: tuple[str, ...] = ()
    value: str = ""
    """``files`` where the value is a path, ``names`` where genii knows what it can be."""


class Known(NamedTuple):
    """One command."""

    name: str
    help: str
    options: tuple[Option, ...]
    arguments: str
    """``names``, ``files`` or empty."""
    words: tuple[str, ...] = ()
    """What its first argument can be."""


def render(shell: str, commands: Sequence[Known]) -> str:
    """Write the script for ``bash``, ``zsh`` or ``fish``."""
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](commands)


_BASH = """\
# bash completion for genii
_genii() {{
    local word previous command="" index
    COMPREPLY=()
    word="${{COMP_WORDS[COMP_CWORD]}}"
    previous="${{COMP_WORDS[COMP_CWORD-1]}}"
    for ((index = 1; index < COMP_CWORD; index++)); do
        case "${{COMP_WORDS[index]}}" in
            -c|--config|--server) ((index++)) ;;
            -*|=) ;;
            *) command="${{COMP_WORDS[index]}}"; break ;;
        esac
    done
    case "$previous" in
        -c|--config) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
    esac
    case "$command" in
        "") mapfile -t COMPREPLY < <(compgen -W "{commands} -c --config --server --help --version" -- "$word") ;;
{cases}
    esac
}}
_genii_names() {{
    local candidates
    candidates="$(genii __complete "${{COMP_WORDS[@]:1:COMP_CWORD}}" 2>/dev/null)"
    mapfile -t COMPREPLY < <(compgen -W "$candidates" -- "$1")
    if declare -F __ltrim_colon_completions >/dev/null; then __ltrim_colon_completions "$1"; fi
}}
complete -F _genii genii
"""


def _bash(commands: Sequence[Known]) -> str:
    cases = "\n".join(_bash_case(command) for command in commands)
    return _BASH.format(commands=" ".join(command.name for command in commands), cases=cases)


def _bash_case(command: Known) -> str:
    lines = [f"        {command.name})"]
    values = [option for option in command.options if option.takes_value]
    if values:
        lines.append('            case "$previous" in')
        for option in values:
            choices = " ".join(option.choices)
            reply = '_genii_names "$word"; ' if option.value == "names" else ""
            if choices:
                reply = f'mapfile -t COMPREPLY < <(compgen -W "{choices}" -- "$word"); '
            lines.append(f"                {'|'.join(option.names)}) {reply}return ;;")
        lines.append("            esac")
    names = " ".join(name for option in command.options for name in option.names)
    lines.append('            if [[ "$word" == -* ]]; then')
    lines.append(f'                mapfile -t COMPREPLY < <(compgen -W "{names}" -- "$word")')
    lines.append("            else")
    if command.arguments == "names":
        lines.append('                _genii_names "$word"')
    elif command.arguments == "files":
        lines.append('                compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$word")')
    else:
        lines.append(f'                mapfile -t COMPREPLY < <(compgen -W "{" ".join(command.words)}" -- "$word")')
    lines.append("            fi ;;")
    return "\n".join(lines)


_ZSH = """\
#compdef genii
# zsh completion for genii
_genii_names() {{
    local -a names
    names=("${{(@f)$(genii __complete "${{(@)words[1,CURRENT]}}" 2>/dev/null)}}")
    compadd -a names
}}
_genii() {{
    local context state line
    typeset -A opt_args
    local -a commands
    commands=(
{commands}
    )
    _arguments -C \\
        '(-c --config)'{{-c,--config}}'[the configuration]:file:_files' \\
        '--server[the address of the supervisor]:address:' \\
        '(- *)--help[show help]' '(- *)--version[show the version]' \\
        '1:command:->command' '*::argument:->argument'
    case $state in
        command) _describe 'command' commands ;;
        argument)
            case $words[1] in
{cases}
            esac ;;
    esac
}}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _genii "$@"; else compdef _genii genii; fi
"""


def _zsh(commands: Sequence[Known]) -> str:
    listed = "\n".join(f"        {_quoted(f'{command.name}:{command.help}')}" for command in commands)
    return _ZSH.format(commands=listed, cases="\n".join(_zsh_case(command) for command in commands))


def _zsh_case(command: Known) -> str:
    specifications = []
    for option in command.options:
        text = _zsh_text(option.help)
        value = ""
        if option.takes_value:
            action = {"files": "_files", "names": "_genii_names"}.get(option.value, "")
            action = f"({' '.join(option.choices)})" if option.choices else action
            value = f":value:{action}"
        group = f"({' '.join(option.names)})" if len(option.names) > 1 else ""
        specifications += [_quoted(f"{group}{name}[{text}]{value}") for name in option.names]
    action = {"names": "_genii_names", "files": "_files"}.get(command.arguments, "")
    if not action and command.words:
        action = f"({' '.join(command.words)})"
    specifications.append(_quoted(f"*:argument:{action}"))
    lines = " \\\n                    ".join(specifications)
    return f"                {command.name}) _arguments \\\n                    {lines} ;;"


def _zsh_text(text: str) -> str:
    return "".join(f"\\{character}" if character in "[]:\\" else character for character in text)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _fish(commands: Sequence[Known]) -> str:
    lines = [
        "# fish completion for genii",
        "function __genii_names",
        "    genii __complete (commandline -opc)[2..] (commandline -ct) 2>/dev/null",
        "end",
        "complete -c genii -f",
        "complete -c genii -n __fish_use_subcommand -s c -l config -r -F -d 'the configuration'",
        "complete -c genii -n __fish_use_subcommand -l server -x -d 'the address of the supervisor'",
        "complete -c genii -n __fish_use_subcommand -l version -d 'show the version'",
    ]
    for command in commands:
        lines.append(f"complete -c genii -n __fish_use_subcommand -a {command.name} -d {_fish_quoted(command.help)}")
        seen = f"-n '__fish_seen_subcommand_from {command.name}'"
        lines += [f"complete -c genii {seen} {_fish_option(option)}" for option in command.options]
        if command.arguments == "names":
            lines.append(f"complete -c genii {seen} -a '(__genii_names)'")
        elif command.arguments == "files":
            lines.append(f"complete -c genii {seen} -F")
        elif command.words:
            lines.append(f"complete -c genii {seen} -a '{' '.join(command.words)}'")
    return "\n".join(lines) + "\n"


def _fish_option(option: Option) -> str:
    parts = [f"-l {name[2:]}" if name.startswith("--") else f"-s '{name[1:]}'" for name in option.names]
    if option.takes_value:
        parts.append("-r -F" if option.value == "files" else "-x")
    if option.value == "names":
        parts.append("-a '(__genii_names)'")
    if option.choices:
        parts.append(f"-a '{' '.join(option.choices)}'")
    return " ".join([*parts, "-d", _fish_quoted(option.help)])


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
