from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import genii
from genii.fleet.ssh_config import SshConfig
from genii.fleet.transport import Host

if TYPE_CHECKING:
    from pathlib import Path


def run(code: str, *options: str) -> str:
    environment = {**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(genii.__file__))}
    command = [sys.executable, *options, "-c", code]
    return subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, timeout=50, check=True).stdout


def test_what_can_t_be_used_without_pyopenssl_is_not_loaded() -> None:
    code = """\
import gc, sys
sys.modules["OpenSSL"] = None
from genii.fleet.library import load_asyncssh
assert load_asyncssh() is load_asyncssh()
print("cryptography.x509" in sys.modules, "asyncssh.crypto.x509" in sys.modules)
print(gc.isenabled(), gc.get_freeze_count() > 0)
"""
    assert run(code) == "False False\nTrue True\n"


def test_a_missing_library_is_told_before_it_is_needed() -> None:
    code = """\
from genii.errors import UsageError
from genii.fleet.library import require_asyncssh
try:
    require_asyncssh()
except UsageError as error:
    print(error)
"""
    assert run(code, "-S") == "SSH needs asyncssh: pip install 'genii[fleet]'\n"
    assert run(code) == ""


def test_each_host_has_its_own_lines(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(
        "Host a\n  HostName 10.0.0.1\n  User 'an ne'\nHost b\n  HostName=10.0.0.2\nHost *\n  Port 2222\n  User bob\n"
    )
    config = SshConfig(str(file))
    routes = [config.route(Host(name)) for name in ("a", "b", "a")]
    assert [(route.host, route.port, route.user) for route in routes] == [
        ("10.0.0.1", 2222, "an ne"), ("10.0.0.2", 2222, "bob"), ("10.0.0.1", 2222, "an ne"),
    ]  # fmt: skip


def test_the_configuration_is_read_without_the_rest(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("Host a\n  HostName 10.0.0.1\n")
    code = f"""\
import sys
from genii.fleet.library import load_asyncssh, load_reader
from genii.fleet.ssh_config import SshConfig
from genii.fleet.transport import Host
route = SshConfig({str(tmp_path / "config")!r}).route(Host("a"))
print(route.host, "asyncssh" in sys.modules, "cryptography" in sys.modules)
library = load_asyncssh()
print(library.config is load_reader(), library.misc.ConnectionLost is library.ConnectionLost, library.pattern.__name__)
import asyncssh
print(asyncssh is library, library.config.SSHClientConfig is type(route.options().config))
"""
    assert run(code) == "10.0.0.1 False False\nTrue True asyncssh.pattern\nTrue True\n"
