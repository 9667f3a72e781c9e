"""Put Python and genii on a host that has neither.

Each set of wheels becomes a virtual environment of its own in ``PLACE/VERSION-DIGEST``; ``PLACE/current`` leads to the
one in use and is switched at once. So what runs keeps its files, and a bootstrap that broke off is begun anew.
"""

from __future__ import annotations

import asyncio
import posixpath
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from genii.fleet.interpreter import INTERPRETER, PACKAGES, Interpreter
from genii.fleet.remote import RemoteFailed
from genii.fleet.state.plan import StateError
from genii.fleet.wheelhouse import digest
from genii.version import __version__

if TYPE_CHECKING:
    from genii.fleet.verbs import AsyncRemote
    from genii.fleet.wheelhouse import Wheelhouse

__all__ = ["bootstrap"]


async def bootstrap(host: AsyncRemote, house: Wheelhouse, place: str = "") -> str:
    """Install Python, if there is none, and this version of genii; return in a few words what there is then.

    ``place`` is the folder for all of it. Empty: ``/opt/genii`` for root, else ``~/.local/share/genii``; the command is
    then linked into ``/usr/local/bin`` or ``~/.local/bin``.

    Raises:
        StateError: the host has no Python that is new enough, and none can be installed.
        UsageError: there are no wheels for its Python.
        RemoteFailed: a step failed; carries what it said.
    """
    system = await host.system()
    root = system.is_root or host.settings.sudo
    link = f"{place}/bin/genii" if place else "/usr/local/bin/genii" if root else f"{system.home}/.local/bin/genii"
    place = place or ("/opt/genii" if root else f"{system.home}/.local/share/genii")
    interpreter = await _interpreter(host) or await _install_python(host)
    if not interpreter.executable:  # a dry run
        return "would install Python and genii"
    wheels = await asyncio.to_thread(house.folder_for, interpreter)
    folder = f"{place}/{__version__}-{(await asyncio.to_thread(digest, wheels))[:8]}"
    complete = shlex.quote(f"{folder}/complete")
    if not await host.run(f"test -f {complete}", changes=False, may_fail=True):
        await host.run(f"rm -rf -- {shlex.quote(folder)} && mkdir -p -- {shlex.quote(folder)}")
        await host.put(str(wheels), f"{folder}/wheels")
        await host.run(_making(interpreter.executable, folder))
    await host.file(f"{place}/current", state="link", target=posixpath.basename(folder))
    await host.file(posixpath.dirname(link), state="directory")
    await host.file(link, state="link", target=f"{place}/current/bin/genii")
    major, minor = interpreter.version
    return f"genii {__version__} at {link}, Python {major}.{minor}"


def _making(python: str, folder: str) -> str:
    """Return the script that makes the environment and tries it."""
    quoted = shlex.quote(folder)
    unpack = Path(__file__).with_name("unpack.py").read_text()
    return "\n".join(
        [
            f"{shlex.quote(python)} -m venv --without-pip {quoted} || exit",
            f"{quoted}/bin/python -c {shlex.quote(unpack)} {quoted}/wheels || exit",
            f"{quoted}/bin/genii --version && {quoted}/bin/genii --help >/dev/null || exit",
            f"rm -rf -- {quoted}/wheels && : > {quoted}/complete",
        ]
    )


async def _interpreter(host: AsyncRemote) -> Interpreter | None:
    said = await host.run(INTERPRETER.script, changes=False)
    found = INTERPRETER.read(said.stdout.encode())
    return found if found.executable else None


async def _install_python(host: AsyncRemote) -> Interpreter:
    """Try the packages that may bring a Python that is new enough."""
    family = (await host.system()).packages
    reason = f"no package manager is known for {(await host.system()).distribution or 'this system'}"
    for name in PACKAGES.get(family, ()):
        try:
            options = "--no-install-recommends" if family == "apt" else ""
            await host.package(name, options=options)
        except RemoteFailed as error:
            reason = str(error)
            continue
        if host.dry_run:
            return Interpreter()
        if (found := await _interpreter(host)) is not None:
            return found
        reason = f"{name} of this system is older than 3.11"
    raise StateError(f"there is no Python 3.11 or newer on the host, and none could be installed: {reason}")
