"""The packages that are sent to a host: genii and what it needs, as wheels for the host's own Python.

They come from a folder that is named; or from what is installed here, packed again, where the host's Python is of the
same kind; or from pip. So a host needs no network but the connection that we have to it.
"""

from __future__ import annotations

import hashlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import zipfile
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from genii.errors import UsageError
from genii.fleet.interpreter import Interpreter, fits, wheel_name
from genii.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Wheelhouse", "digest"]

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of all files in our wheels: the same content is the same file, wherever it was packed."""


class Wheelhouse:
    """Wheels by kind of interpreter, made when the first host of that kind asks; ``close`` removes them."""

    def __init__(self, folder: str = "") -> None:
        """``folder``: wheels that somebody has put together; empty: they are packed here, or fetched."""
        self._given = folder
        self._folders: dict[tuple[object, ...], Path] = {}
        self._filling = threading.Lock()
        self._root = Path(tempfile.mkdtemp(prefix="genii-wheels-"))

    def close(self) -> None:
        """Remove what was made."""
        shutil.rmtree(self._root, ignore_errors=True)

    def folder_for(self, interpreter: Interpreter) -> Path:
        """Return a folder with one wheel for genii and one for each of what it needs.

        Raises:
            UsageError: some can't be had for this interpreter; the text says how to get them.
        """
        kind = (interpreter.version, interpreter.machine, interpreter.libc)
        with self._filling:
            if kind not in self._folders:
                folder = self._root / "-".join(map(str, (*interpreter.version, *kind[1:])))
                shutil.rmtree(folder, ignore_errors=True)  # of a host of this kind that failed before
                folder.mkdir()
                self._fill(folder, interpreter)
                self._folders[kind] = folder
            return self._folders[kind]

    def _fill(self, folder: Path, interpreter: Interpreter) -> None:
        wanted = _requirements()
        if self._given:
            _choose(Path(self._given), folder, ["genii", *wanted], interpreter)
            return
        alike = interpreter.version == sys.version_info[:2] and (interpreter.machine, interpreter.libc) == _own_kind()
        _pack_own(folder, compiled=alike)
        if alike:
            for name in wanted:
                _pack_installed(name, folder)
        else:
            _download(wanted, folder, interpreter)


def digest(folder: Path) -> str:
    """Return a fingerprint of the wheels in a folder."""
    found = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        found.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


def _own_kind() -> tuple[str, str]:
    return platform.machine(), "glibc" if platform.libc_ver()[0] == "glibc" else "musl"


def _requirements() -> list[str]:
    """Return the names of what genii needs, without extras."""
    found = metadata.requires("genii") or []
    names = [re.match(r"[A-Za-z0-9._-]+", line) for line in found if "extra ==" not in line]
    return [re.sub(r"[-_.]+", "_", match[0]).lower() for match in names if match is not None]


def _choose(given: Path, folder: Path, wanted: Iterable[str], interpreter: Interpreter) -> None:
    """Copy the wheels that fit from a folder of somebody's."""
    if not given.is_dir():
        raise UsageError(f"--wheels: there is no folder {given}")
    fitting = [path for path in given.glob("*.whl") if fits(path.name, interpreter)]
    for name in wanted:
        found = [path for path in fitting if wheel_name(path.name)[0] == name]
        if not found:
            kind = (
                f"Python {interpreter.version[0]}.{interpreter.version[1]}, {interpreter.machine}, {interpreter.libc}"
            )
            raise UsageError(f"--wheels: {given} has no wheel of {name} for {kind}")
        newest = max(found, key=lambda path: [int(one) for one in re.findall(r"\d+", wheel_name(path.name)[1])])
        shutil.copy(newest, folder)


def _pack_own(folder: Path, *, compiled: bool) -> None:
    """Pack the genii that runs here."""
    import genii

    root = Path(genii.__file__).parent
    files = {
        f"genii/{path.relative_to(root)}": path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts and (compiled or path.suffix != ".so")
    }
    info = f"genii-{__version__}.dist-info"
    requires = "".join(f"Requires-Dist: {line}\n" for line in metadata.requires("genii") or [])
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: genii\nVersion: {__version__}\n{requires}".encode()
    files[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: genii\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files[f"{info}/entry_points.txt"] = b"[console_scripts]\ngenii = genii.cli.main:main\n"
    _write(folder / f"genii-{__version__}-py3-none-any.whl", files, info)


def _pack_installed(name: str, folder: Path) -> None:
    """Pack a distribution that is installed here."""
    try:
        found = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        raise UsageError(f"{name} is not installed here; name a folder of wheels with --wheels") from None
    files = {}
    for file in found.files or ():
        if ".." in file.parts or "__pycache__" in file.parts or file.name in ("RECORD", "INSTALLER", "REQUESTED"):
            continue
        files[str(file)] = Path(str(found.locate_file(file))).read_bytes()
    info = next(part for path in files if (part := path.partition("/")[0]).endswith(".dist-info"))
    tag = re.search(r"(?m)^Tag: (\S+)", files[f"{info}/WHEEL"].decode())
    _write(folder / f"{name}-{found.version}-{tag[1] if tag else 'py3-none-any'}.whl", files, info)


def _write(path: Path, files: dict[str, bytes], info: str) -> None:
    record = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted({**files, f"{info}/RECORD": record.encode()}.items()):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), content, zipfile.ZIP_DEFLATED)


def _download(wanted: Iterable[str], folder: Path, interpreter: Interpreter) -> None:
    """Have pip fetch wheels for another kind of Python than ours."""
    major, minor = interpreter.version
    names = " ".join(wanted)
    platforms = {"glibc": ("manylinux2014", "manylinux_2_28"), "musl": ("musllinux_1_1", "musllinux_1_2")}
    words = ["download", "-q", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "-d", str(folder)]
    words += ["--implementation", "cp", "--python-version", f"{major}.{minor}", "--abi", f"cp{major}{minor}"]
    for kind in platforms[interpreter.libc]:
        words += ["--platform", f"{kind}_{interpreter.machine}"]
    advice = f"fetch them where there is a network, and name their folder with --wheels: pip {' '.join(words)} {names}"
    try:
        command = [sys.executable, "-m", "pip", *words, *wanted]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    except (OSError, subprocess.TimeoutExpired):
        raise UsageError(f"pip does not answer; {advice}") from None
    if ended.returncode:
        said = ended.stderr.strip().splitlines()
        reason = said[-1] if said else f"pip ended with {ended.returncode}"
        raise UsageError(f"{reason}; {advice}")
