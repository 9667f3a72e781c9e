from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from genii.config.load import examine, load_fleet
from genii.errors import ConfigError
from genii.fleet.inventory import from_settings

if TYPE_CHECKING:
    from pathlib import Path

FILE = """\
[fleet]
limit = 20
connect_timeout = "5s"
ssh_config = "ssh_config"
known_hosts = "accept-new"
inventory = "hosts.ini"
[hosts]
db1 = { address = "10.0.0.5", user = "admin", port = 2222, tags = ["db"], variables = { size = 3 } }
"web[01-03].example" = { user = "www" }
[groups]
web = ["web[01-20].example", "!web07.example"]
all-of-it = ["@web", "db1"]
far = { hosts = "far[1-2]", jump = "gate.example", identity = "~/.ssh/far", variables = { size = 1 } }
"""


def test_hosts_and_groups_are_read(tmp_path: Path) -> None:
    path = tmp_path / "genii.toml"
    path.write_text(FILE)
    settings = load_fleet(str(path), {})
    assert (settings.limit, settings.connect_timeout, settings.known_hosts) == (20, 5.0, "accept-new")
    assert settings.ssh_config == str(tmp_path / "ssh_config")
    assert settings.inventory == (str(tmp_path / "hosts.ini"),)
    inventory = from_settings(settings)
    (database,) = inventory.select("db")
    assert (database.address, database.user, database.port, database.variables) == (
        "10.0.0.5",
        "admin",
        2222,
        {"size": 3},
    )
    web = inventory.select("web")
    assert len(web) == 19
    assert {host.name: host.user for host in web}["web03.example"] == "www"
    assert {host.jump for host in inventory.select("far")} == {"gate.example"}
    assert inventory.select("far1")[0].variables == {"size": 1}
    assert examine(str(path), {}).problems == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[fleet]\ntransport = "telnet"', "2:13: transport: expected asyncssh, local, openssh or salt"),
        ('[fleet]\nconnect_timeout = "soon"', "2:19: connect_timeout: 'soon' is not a duration"),
        ("[fleet]\nlimits = 3", "2:1: limits: unknown key .did you mean 'limit'"),
        ('[fleet]\nknown_hosts = "off"', "2:15: known_hosts: expected accept-new or strict"),
        ('[hosts]\ndb1 = "10.0.0.1"', "2:.: expected a table such as"),
        ("[hosts]\ndb1 = { port = 70000 }", "2:16: port: must be between 1 and 65535"),
        ('[hosts]\n"web[1-2]" = { address = "10.0.0.1" }', "2 hosts can't have one address"),
        ('[groups]\nweb = ["web[5-1]"]', "2:7: web: .* counts backwards"),
        ("[groups]\nweb = 3", "2:7: web: expected a list of hosts"),
        ('[groups]\nweb = ["@wbe"]\nweb2 = ["a"]', "2:7: groups.web: there is no group '@wbe' .did you mean"),
    ],
)
def test_what_is_wrong_is_placed(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "genii.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_fleet(str(path), {})
    assert examine(str(path), {}).problems  # genii check tells it, too
