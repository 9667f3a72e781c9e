"""Row 8: the program's own check decides before a restart or reload; with Debian's Apache and nginx."""

from __future__ import annotations

import asyncio
import os
import subprocess
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest
from tests.ports import free_port

from genii.errors import CheckFailed
from genii.fleet.local import LocalTransport
from genii.fleet.remote import Settings
from genii.fleet.transport import Host
from genii.fleet.verbs import AsyncRemote

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

T = TypeVar("T")

pytestmark = [
    pytest.mark.compat,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("web servers"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can install and run them"),
]


def here(work: Callable[[AsyncRemote], Awaitable[T]]) -> T:
    async def run() -> T:
        connection = await LocalTransport().connect(Host("here"))
        try:
            return await work(AsyncRemote(connection, Settings()))
        finally:
            await connection.close()

    return asyncio.run(run())


def fetch(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as answer:
        text: str = answer.read().decode()
        return text


class Site:
    """One web server with a configuration of its own, not the machine's."""

    def __init__(self, folder: Path, check: str, control: str, text: Callable[[str], str]) -> None:
        self.folder = folder
        self.config = str(folder / "site.conf")
        self.check = check
        self.control = control
        self.port = free_port()
        self._text = text

    def text(self, word: str, broken: str = "") -> str:
        return self._text(word).replace("PORT", str(self.port)).replace("BROKEN", broken)

    def write(self, word: str, broken: str = "") -> bool:
        """Bring out a configuration as a task would: it stays only if the server itself takes it."""
        return here(lambda host: host.file(self.config, content=self.text(word, broken), check=self.check)).changed


APACHE = """\
ServerRoot "FOLDER"
ServerName localhost
PidFile FOLDER/pid
ErrorLog FOLDER/error.log
Listen 127.0.0.1:PORT
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule alias_module /usr/lib/apache2/modules/mod_alias.so
DocumentRoot "FOLDER/WORD"
DirectoryIndex index.html
LoadModule dir_module /usr/lib/apache2/modules/mod_dir.so
User www-data
Group www-data
BROKEN
"""
NGINX = """\
pid FOLDER/pid;
error_log FOLDER/error.log;
events {}
http {
    access_log off;
    server { listen 127.0.0.1:PORT; location / { return 200 "WORD"; } }
    BROKEN
}
"""


@pytest.fixture
def apache(debian: Callable[[str, str], str], tmp_path: Path) -> Iterator[Site]:
    program = debian("apache2", "apache2")
    os.chmod(tmp_path, 0o755)
    for parent in (tmp_path, *tmp_path.parents):
        if parent.name.startswith(("pytest-", "popen-")):
            os.chmod(parent, 0o755)  # its workers are another user's
    for word in ("one", "two"):
        (tmp_path / word).mkdir()
        (tmp_path / word / "index.html").write_text(word)

    def text(word: str) -> str:
        return APACHE.replace("FOLDER", str(tmp_path)).replace("WORD", word)

    command = f"{program} -f {tmp_path}/site.conf -d {tmp_path}"
    site = Site(tmp_path, f"{command} -t", f"{command} -k", text)
    yield site
    subprocess.run(f"{site.control} stop", shell=True, capture_output=True, timeout=60)


@pytest.fixture
def nginx(debian: Callable[[str, str], str], tmp_path: Path) -> Iterator[Site]:
    program = debian("nginx", "nginx-light")

    def text(word: str) -> str:
        return NGINX.replace("FOLDER", str(tmp_path)).replace("WORD", word)

    command = f"{program} -c {tmp_path}/site.conf -p {tmp_path} -e {tmp_path}/error.log"
    site = Site(tmp_path, f"{command} -t", f"{command} -s", text)
    yield site
    subprocess.run(f"{site.control} stop", shell=True, capture_output=True, timeout=60)


@pytest.mark.parametrize("server", ["apache", "nginx"])
def test_a_broken_configuration_never_replaces_a_working_one(server: str, request: pytest.FixtureRequest) -> None:
    site: Site = request.getfixturevalue(server)
    start = f"{site.control} start" if server == "apache" else site.check.removesuffix(" -t")
    reload = f"{site.control} graceful" if server == "apache" else f"{site.control} reload"
    assert site.write("one")
    subprocess.run(start, shell=True, check=True, timeout=60)
    assert fetch(site.port) == "one"

    with pytest.raises(CheckFailed) as caught:
        site.write("two", broken="NoSuchDirective on" + (";" if server == "nginx" else ""))
    # The server's own words, with its file and line.
    line = 1 + site.text("two", "NoSuchDirective").partition("NoSuchDirective")[0].count("\n")
    told = f"line {line} of {site.config}" if server == "apache" else f"{site.config}:{line}"
    assert told in caught.value.output
    assert "NoSuchDirective" in caught.value.output
    assert caught.value.exit_code == 5
    assert Path(site.config).read_text() == site.text("one")
    assert fetch(site.port) == "one"

    assert site.write("two")
    assert not site.write("two")
    here(lambda host: host.check(site.check))
    subprocess.run(reload, shell=True, check=True, timeout=60)
    _until(site, "two")


def _until(site: Site, word: str) -> None:
    """Wait until the workers with the new configuration answer; each answer is from a worker of one or the other."""
    import time

    deadline, said = time.monotonic() + 60, ""
    while said != word:
        assert time.monotonic() < deadline, said
        time.sleep(0.02)
        with suppress(OSError):  # a server may drop what it had not taken yet; that is not what is tried here
            said = fetch(site.port)


@pytest.mark.parametrize("server", ["apache", "nginx"])
def test_a_program_of_genii_is_left_alone_when_its_check_fails(server: str, request: pytest.FixtureRequest) -> None:
    """The same through `genii up`: check = "apachectl configtest" of a supervised server."""
    import sys

    site: Site = request.getfixturevalue(server)
    site.write("one")
    run = site.check.removesuffix(" -t") + (" -D FOREGROUND" if server == "apache" else " -g 'daemon off;'")
    reload = "HUP" if server == "nginx" else "USR1"
    config = site.folder / "genii.toml"
    config.write_text(
        f'[program.web]\ncommand = {_quoted(run)}\ncheck = {_quoted(site.check)}\nreload = "{reload}"\n'
        f'ready = {{ tcp = "127.0.0.1:{site.port}", timeout = "60s" }}\n'
    )
    genii = [sys.executable, "-m", "genii", "-c", str(config)]
    subprocess.run([*genii, "up", "-d"], check=True, timeout=90, capture_output=True)
    try:
        Path(site.config).write_text(site.text("two", "NoSuchDirective;"))
        for verb in ("restart", "reload"):
            refused = subprocess.run([*genii, verb, "web"], capture_output=True, text=True, timeout=90)
            assert refused.returncode == 5, refused.stderr
            assert "NoSuchDirective" in refused.stderr
            assert fetch(site.port) == "one"
        Path(site.config).write_text(site.text("two"))
        subprocess.run([*genii, "restart", "web"], check=True, timeout=90, capture_output=True)
        assert fetch(site.port) == "two"
    finally:
        subprocess.run([*genii, "down"], timeout=90, capture_output=True)


def _quoted(text: str) -> str:
    return '"""' + text.replace("\\", "\\\\") + '"""'
