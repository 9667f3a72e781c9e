"""What the SSH configuration says of a host: ``~/.ssh/config`` as asyncssh reads it, and what the inventory adds.

asyncssh's reader knows Host, Match (host, originalhost, user, localuser, exec, tagged, final, canonical), Include,
tokens, and the options of its page "Supported client config options"; it passes over the others. Where more is needed,
the system's ``ssh`` is the transport of choice.
"""

from __future__ import annotations

import getpass
import os
import re
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from socket import AF_UNSPEC
from typing import TYPE_CHECKING, Any, cast

from genii.config.host_pattern import parse_address
from genii.errors import ConfigError, Problem
from genii.fleet.known_hosts import SYSTEM_FILES, USER_FILES
from genii.fleet.library import load_asyncssh, load_reader
from genii.fleet.patience import ALIVE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncssh import SSHClientConnectionOptions
    from asyncssh.config import SSHClientConfig

    from genii.fleet.transport import Host

__all__ = ["SYSTEM_CONFIG", "Route", "SshConfig", "check_given"]

SYSTEM_CONFIG = "/etc/ssh/ssh_config"
_MOST_PATTERNS = 1000
_CIPHERS = "^aes128-gcm@openssh.com,aes256-gcm@openssh.com"
"""Put before asyncssh's own order where the configuration has none: half of the CPU time for large files."""
_LEFT_TO_ASYNCSSH = ("ProxyCommand", "BindAddress", "CanonicalizeHostname")
"""With these, asyncssh itself has to find the way."""
_DIFFERS = re.compile(
    r"^[ \t]*(match\b|(certificatefile|forwardagent|identityagent|identityfile|proxycommand|remotecommand|hostname)"
    r"\b.*%)",
    re.IGNORECASE | re.MULTILINE,
)
"""What may say something else for each host: conditions, and options in which tokens are expanded."""


def check_given(path: str) -> str:
    """Return the path of a configuration that is named instead of the usual ones, if there is one.

    Raises:
        ConfigError: it can't be read.
    """
    given = os.path.expanduser(path)
    if given and not os.access(given, os.R_OK):
        raise ConfigError([Problem(given, 0, 0, "can't be read; name the SSH configuration in [fleet] ssh_config")])
    return given


@dataclass(frozen=True, slots=True)
class Route:
    """How a host is reached, all sources taken together."""

    alias: str
    """The name under which the configuration was asked."""
    host: str
    port: int
    user: str
    jump: str
    known_hosts: tuple[str, ...]
    """Files of known host keys, the user's first."""
    key_alias: str
    """HostKeyAlias; empty: the host itself."""
    direct: bool
    """Whether a TCP connection to host and port is all that it takes, but for the jump hosts."""
    family: int
    """AddressFamily, as sockets know it."""
    config: SSHClientConfig
    """Everything else that the configuration says, for asyncssh."""

    def options(self) -> SSHClientConnectionOptions:
        """Return the options of asyncssh that carry the configuration."""
        asyncssh, known = load_asyncssh(), self.config.get_options(reload=False)
        made: SSHClientConnectionOptions = asyncssh.SSHClientConnectionOptions.__new__(
            asyncssh.SSHClientConnectionOptions
        )
        # asyncssh takes the configuration of earlier options over without reading the files again.
        made.kwargs = {} if "Ciphers" in known else {"encryption_algs": _CIPHERS}
        if "ServerAliveInterval" not in known:
            made.kwargs["keepalive_interval"] = ALIVE
        made.config = self.config
        return made


class SshConfig:
    """Read the configuration for host after host."""

    def __init__(self, path: str = "") -> None:
        """``path``: instead of ~/.ssh/config and the system's; must exist if it is given.

        Raises:
            ConfigError: the file can't be read.
        """
        given = check_given(path)
        usual = (os.path.expanduser("~/.ssh/config"), SYSTEM_CONFIG)
        self._files = [given] if given else [one for one in usual if os.access(one, os.R_OK)]
        self._user = getpass.getuser()
        self._parsed: dict[tuple[object, ...], Any] = {}

    @cached_property
    def _patterns(self) -> list[Any] | None:
        return _host_patterns(self._files)

    def route(self, host: Host) -> Route:
        """Return how a host is reached: what the inventory says, then what the configuration says of its name.

        Raises:
            ConfigError: the configuration is wrong.
        """
        alias = parse_address(host.name).host
        config = self._parse(alias, host)
        known: dict[str, Any] = config.get_options(reload=False)
        if host.address and host.address != alias:
            known["Hostname"] = host.address
        if host.identity:
            known["IdentityFile"] = [os.path.expanduser(host.identity), *known.get("IdentityFile", ())]
        jump = host.jump or known.pop("ProxyJump", "") or ""
        user_files = known.get("UserKnownHostsFile", USER_FILES)
        config._options = known
        return Route(
            alias=alias,
            host=str(known.get("Hostname", alias)),
            port=int(known.get("Port", 22)),
            user=str(known.get("User", self._user)),
            jump="" if jump == "none" else str(jump),
            known_hosts=tuple(user_files) + tuple(known.get("GlobalKnownHostsFile", SYSTEM_FILES)),
            key_alias=str(known.get("HostKeyAlias") or ""),
            direct=not config.has_match_final() and not any(known.get(option) for option in _LEFT_TO_ASYNCSSH),
            family=int(known.get("AddressFamily", AF_UNSPEC)),
            config=config,
        )

    def _parse(self, alias: str, host: Host) -> Any:
        """Return what the files say of a host; hosts to which the same blocks apply are parsed once."""
        key: tuple[object, ...] = (alias, host.user, host.port)
        if self._patterns is not None:
            key = (*(pattern.matches(alias) for pattern in self._patterns), host.user, host.port)
        if key not in self._parsed:
            self._parsed[key] = self._read(alias, host)
        found = copy(self._parsed[key])
        found._orig_host = alias  # the rest of it is the same for both
        return found

    def _read(self, alias: str, host: Host) -> Any:
        reader = load_reader()
        try:
            return reader.SSHClientConfig.load(
                cast("Any", None), cast("Any", self._files), False, False, False,
                self._user, host.user or (), alias, host.port or (),
            )  # fmt: skip
        except reader.ConfigParseError as error:
            raise ConfigError([Problem(self._files[0], 0, 0, str(error))]) from None
        except OSError as error:
            path = error.filename or self._files[0]
            raise ConfigError([Problem(path, 0, 0, f"can't be read: {error.strerror}")]) from None


def _host_patterns(files: Sequence[str]) -> list[Any] | None:
    """Return the patterns of all Host blocks; None where more than these decide what holds for a host."""
    load_reader()
    from asyncssh.pattern import WildcardPatternList

    patterns: list[Any] = []
    for path in files:
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                text = file.read()
        except OSError:
            return None
        if _DIFFERS.search(text) or len(patterns) > _MOST_PATTERNS:
            return None
        hosts = re.findall(r"(?im)^\s*host(?:\s*=\s*|\s+)(.*)$", text)
        patterns += [WildcardPatternList(",".join(line.replace('"', "").split())) for line in hosts]
        for line in re.findall(r"(?im)^\s*include(?:\s*=\s*|\s+)(.*)$", text):
            inner = _host_patterns(_included(line))
            if inner is None:
                return None
            patterns += inner
    return patterns


def _included(line: str) -> list[str]:
    import glob

    names = [os.path.join(os.path.expanduser("~/.ssh"), os.path.expanduser(word.strip('"'))) for word in line.split()]
    return [path for name in names for path in glob.glob(name)]
