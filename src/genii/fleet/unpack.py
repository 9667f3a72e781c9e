"""Install wheels into the virtual environment of the Python that executes this: no pip is needed on a bare host.

It is sent to hosts and executed there by itself, so that it uses nothing but the standard library.
"""

from __future__ import annotations

import compileall
import configparser
import os
import shlex
import sys
import sysconfig
import zipfile

__all__ = ["unpack"]

_LONGEST_SHEBANG = 120


def unpack(folder: str) -> None:
    """Install all wheels of a folder, with their commands and the bytecode."""
    target = sysconfig.get_path("purelib")
    for name in sorted(os.listdir(folder)):
        if name.endswith(".whl"):
            with zipfile.ZipFile(os.path.join(folder, name)) as archive:
                archive.extractall(target)
                for member in archive.namelist():
                    if member.endswith(".dist-info/entry_points.txt"):
                        _write_commands(archive.read(member).decode())
    compileall.compile_dir(target, quiet=2)


def _write_commands(text: str) -> None:
    parser = configparser.ConfigParser(delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign] # how its documentation tells to keep the case
    parser.read_string(text)
    for script, entry in parser.items("console_scripts") if "console_scripts" in parser else ():
        module, _, function = entry.partition("[")[0].strip().partition(":")
        path = os.path.join(os.path.dirname(sys.executable), script)
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"{_shebang()}\nimport sys\nfrom {module} import {function}\nsys.exit({function}())\n")
        os.chmod(path, 0o755)  # noqa: S103 -- a command is for everybody


def _shebang() -> str:
    if len(sys.executable) <= _LONGEST_SHEBANG and not set(sys.executable) & set(" \t'\""):
        return f"#!{sys.executable}"
    # The kernel takes neither long paths nor blanks in them; sh(1) and Python both read these two lines.
    return f"#!/bin/sh\n'''exec' {shlex.quote(sys.executable)} \"$0\" \"$@\"\n' '''"


if __name__ == "__main__":
    unpack(sys.argv[1])
