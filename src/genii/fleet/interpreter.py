"""The Python of a host: which there is, and which packages built for whom it can load. No I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass

from genii.fleet.state.plan import Question, fields

__all__ = ["INTERPRETER", "PACKAGES", "Interpreter", "fits", "wheel_name"]

OLDEST = (3, 11)
PACKAGES = {
    "apt": ("python3", "python3.13", "python3.12", "python3.11"),
    "dnf": ("python3", "python3.13", "python3.12", "python3.11"),
    "yum": ("python3.12", "python3.11"),
    "zypper": ("python313", "python312", "python311"),
    "apk": ("python3",),
    "pacman": ("python",),
}
"""The packages that may bring a Python that is new enough, the likeliest first."""

_CODE = """
import sys, platform
if sys.version_info < (3, 11): sys.exit(1)
import venv, zipfile
print("executable=" + sys.executable)
print("version=%d.%d" % sys.version_info[:2])
print("machine=" + platform.machine())
print("libc=" + ("glibc" if platform.libc_ver()[0] == "glibc" else "musl"))
"""
_SCRIPT = f"""
for name in python3.13 python3.12 python3.11 python3; do
  path=$(PATH=$PATH:/usr/local/bin:/usr/bin command -v $name) || continue
  "$path" -c '{_CODE}' 2>/dev/null && break
done
true
"""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python that genii can run with."""

    executable: str = ""
    """Empty: there is none."""
    version: tuple[int, int] = (0, 0)
    machine: str = ""
    libc: str = "glibc"


def _read(answer: bytes) -> Interpreter:
    said = fields(answer)
    match = re.fullmatch(r"(\d+)\.(\d+)", said.get("version", ""))
    if match is None or not said.get("executable"):
        return Interpreter()
    version = (int(match[1]), int(match[2]))
    return Interpreter(said["executable"], version, said.get("machine", ""), said.get("libc", "glibc"))


INTERPRETER = Question(_SCRIPT, _read)
"""Asks for the newest Python that genii can run with, venv included."""

_WHEEL = re.compile(
    r"(?P<name>[^-]+)-(?P<version>[^-]+)(?:-\d[^-]*)?-(?P<python>[^-]+)-(?P<abi>[^-]+)-(?P<platform>[^-]+)\.whl"
)


def wheel_name(file: str) -> tuple[str, str]:
    """Return the name (in lower case, with ``_``) and the version that the name of a wheel's file tells.

    Raises:
        ValueError: it is no name of a wheel.
    """
    match = _WHEEL.fullmatch(file)
    if match is None:
        raise ValueError(f"{file!r} is no name of a wheel")
    return re.sub(r"[-_.]+", "_", match["name"]).lower(), match["version"]


def fits(file: str, interpreter: Interpreter) -> bool:
    """Say whether a wheel can be installed for an interpreter, by the tags in its name (PEP 425, 600, 656)."""
    match = _WHEEL.fullmatch(file)
    if match is None:
        return False
    abi = any(
        _fits_python(python, abi, interpreter.version)
        for python in match["python"].split(".")
        for abi in match["abi"].split(".")
    )
    return abi and any(_fits_platform(one, interpreter) for one in match["platform"].split("."))


def _fits_python(python: str, abi: str, version: tuple[int, int]) -> bool:
    own = f"cp{version[0]}{version[1]}"
    if abi == "none":
        return python in ("py3", f"py{version[0]}{version[1]}", own)
    if abi == "abi3":
        match = re.fullmatch(r"cp3(\d+)", python)
        return match is not None and int(match[1]) <= version[1]
    return python == own and abi == own


def _fits_platform(platform: str, interpreter: Interpreter) -> bool:
    if platform == "any":
        return True
    kind, _, machine = platform.partition("_")
    if kind in ("manylinux", "musllinux"):  # manylinux_2_17_x86_64
        machine = re.sub(r"^\d+_\d+_", "", machine)
    kinds = {"glibc": ("manylinux", "manylinux1", "manylinux2010", "manylinux2014"), "musl": ("musllinux",)}
    return machine == interpreter.machine and kind in (*kinds[interpreter.libc], "linux")
