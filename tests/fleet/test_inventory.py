from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genii.config.host_pattern import Address, expand_ranges, parse_address, split_terms
from genii.errors import ConfigError, UsageError
from genii.fleet.foreign import parse_list, read_inventory
from genii.fleet.inventory import Inventory, merge
from genii.fleet.result import fold
from genii.fleet.transport import Host

WEB = {f"web{number:03}": Host(f"web{number:03}", user="admin") for number in range(1, 11)}
FLEET = Inventory(
    {**WEB, "db1": Host("db1", "10.0.0.5", "root", 2222), "db2": Host("db2")},
    {"web": ["web[001-010]", "!web007"], "db": ["db[1,2]"], "both": ["@web", "@db"], "eu": ["web00[1-3]", "db1"]},
)


def names(pattern: str, inventory: Inventory = FLEET) -> str:
    return fold(host.name for host in inventory.select(pattern))


@pytest.mark.parametrize(
    ("pattern", "chosen"),
    [
        ("web", "web[001-006,008-010]"),
        ("@web", "web[001-006,008-010]"),
        ("web,!web008", "web[001-006,009-010]"),
        ("!web008,web", "web[001-006,009-010]"),
        ("both", "db[1-2],web[001-006,008-010]"),
        ("both,!@db", "web[001-006,008-010]"),
        ("both,&eu", "db1,web[001-003]"),
        ("web007", "web007"),
        ("web[008-010] db1", "db1,web[008-010]"),
        ("web*", "web[001-010]"),
        ("web00?,!web00[1-5]", "web[006-009]"),
        ("all,!web*", "db[1-2]"),
        ("!web", "db[1-2],web007"),
        ("d*", "db[1-2]"),
    ],
)
def test_patterns_choose_hosts(pattern: str, chosen: str) -> None:
    assert names(pattern) == chosen


def test_a_host_is_chosen_once_and_in_the_order_of_naming() -> None:
    assert [host.name for host in FLEET.select("db2,db1,db,db1")] == ["db2", "db1"]


def test_a_host_that_looks_like_one_need_not_be_declared() -> None:
    (host,) = FLEET.select("me@shop.example:2200")
    assert host == Host("me@shop.example:2200", "shop.example", "me", 2200)
    assert FLEET.select("10.1.1.1") == (Host("10.1.1.1"),)


def test_another_user_of_a_known_host_keeps_the_rest() -> None:
    (host,) = FLEET.select("me@db1")
    assert (host.address, host.user, host.port) == ("10.0.0.5", "me", 2222)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("wbe", "there is no host or group 'wbe' .did you mean 'web'"),
        ("@wbe", "there is no group 'wbe' .did you mean 'web'"),
        ("web,!web07", "!web07: there is no such host or group .did you mean"),
        ("", "no hosts are named"),
        ("db,!db", "chooses no host"),
        ("web[9-1]", "counts backwards"),
        ("web[", "is not a range"),
        ("web[1-99999999]", "more than 100000"),
        ("a b[1-2]:99999", "99999 is not a port"),
        ("-oProxyCommand=evil", "is not a host"),
    ],
)
def test_a_pattern_that_leads_nowhere_says_so(pattern: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        FLEET.select(pattern)


def test_an_empty_group_says_so() -> None:
    with pytest.raises(UsageError, match="chooses no host"):
        Inventory({}, {"web": []}).select("web")


def test_groups_in_a_circle_are_told() -> None:
    with pytest.raises(UsageError, match="a -> b -> a"):
        Inventory({}, {"a": ["@b"], "b": ["@a"]}).select("a")


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("web[08-11].example", ["web08.example", "web09.example", "web10.example", "web11.example"]),
        ("web[8-11]", ["web8", "web9", "web10", "web11"]),
        ("[a-c]1", ["a1", "b1", "c1"]),
        ("r[1,3]n[1-2]", ["r1n1", "r1n2", "r3n1", "r3n2"]),
        ("h[0-10/5]", ["h0", "h5", "h10"]),
        ("h[01:03]", ["h01", "h02", "h03"]),
        ("[fe80::1]:22", ["[fe80::1]:22"]),
        ("plain", ["plain"]),
    ],
)
def test_ranges(text: str, expanded: list[str]) -> None:
    assert expand_ranges(text) == expanded


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    for term in split_terms(text):
        with suppress(ValueError):
            assert all(parse_address(name).host for name in expand_ranges(term)[:50])


@given(st.lists(st.from_regex(r"[a-z]{1,3}[0-9]{0,3}[a-z]{0,2}", fullmatch=True), min_size=1, max_size=30))
def test_folded_names_unfold_to_the_same(some: list[str]) -> None:
    unfolded = {name for term in split_terms(fold(some)) for name in expand_ranges(term)}
    assert unfolded == set(some)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("a.example", Address("a.example")),
        ("me@a:22", Address("a", "me", 22)),
        ("::1", Address("::1")),
        ("me@[fe80::1%eth0]:2222", Address("fe80::1%eth0", "me", 2222)),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    assert parse_address(text) == address


def test_a_list_of_hosts_may_have_comments_and_ranges() -> None:
    assert parse_list("# mine\nweb[1-2]\n\ndb1  # the first\n", "hosts").names() == ["web1", "web2", "db1"]


INI = """\
mail.example.com
[web]
web[01:03].example.com ansible_port=2222 colour='dark red'
special ansible_host=10.0.0.9 ansible_user=deploy ansible_ssh_private_key_file=~/.ssh/special
[db:vars]
ansible_user=postgres
size=3
[db]
db-[a:b].example.com
[all:vars]
ntp=ntp.example.com
[site:children]
web
db
[site:vars]
size=1
"""


def test_an_ansible_inventory_in_ini_form() -> None:
    inventory = read_inventory(INI, "hosts.ini")
    assert names("site", inventory) == "db-a.example.com,db-b.example.com,special,web[01-03].example.com"
    (special,) = inventory.select("special")
    assert (special.address, special.user, special.identity) == ("10.0.0.9", "deploy", "~/.ssh/special")
    (first,) = inventory.select("web01.example.com")
    assert (first.port, first.variables) == (2222, {"ntp": "ntp.example.com", "size": 1, "colour": "dark red"})
    (database,) = inventory.select("db-a.example.com")
    assert (database.user, database.variables["size"]) == ("postgres", 3)  # the child group goes before its parent
    assert "mail.example.com" in inventory.names()


YAML = """\
all:
  vars: {ntp: ntp.example.com}
  hosts:
    mail.example.com:
  children:
    web:
      hosts:
        web[1:2].example.com: {ansible_port: 2222}
      vars: {ansible_user: www}
    site:
      children:
        web:
"""


def test_an_ansible_inventory_in_yaml() -> None:
    inventory = read_inventory(YAML, "hosts.yml")
    assert names("site", inventory) == "web[1-2].example.com"
    (first,) = inventory.select("web1.example.com")
    assert (first.port, first.user, first.variables) == (2222, "www", {"ntp": "ntp.example.com"})


def test_what_a_dynamic_inventory_prints() -> None:
    text = '{"_meta": {"hostvars": {"a": {"ansible_host": "10.0.0.1"}}}, "web": {"hosts": ["a", "b"]}, "all": {}}'
    inventory = read_inventory(text, "inventory.json")
    assert names("web", inventory) == "a,b"
    assert inventory.select("a")[0].address == "10.0.0.1"


ROSTER = """\
web1: 192.168.42.1
web2:
  host: 192.168.42.2
  user: fred
  port: 2222
  priv: /etc/salt/key
  minion_opts: {grains: {role: web}}
"""


def test_a_salt_roster() -> None:
    inventory = read_inventory(ROSTER, "/etc/salt/roster")
    assert inventory.hosts["web1"] == Host("web1", "192.168.42.1")
    assert inventory.hosts["web2"] == Host(
        "web2", "192.168.42.2", "fred", 2222, "/etc/salt/key", variables={"role": "web"}
    )


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ("[web\nnonsense here", "hosts.ini", r"hosts\.ini:1:1: "),
        ("[web:nonsense]", "hosts.ini", r"hosts\.ini:1:1: \[web:nonsense\] is none of"),
        ("[web]\na b", "hosts.ini", r"hosts\.ini:2:1: 'b' is no variable of a"),
        ("[web:vars]\nnothing", "hosts.ini", r"hosts\.ini:2:1: 'nothing' is no variable"),
        ("a 'open", "hosts.ini", r"hosts\.ini:1:1: a quote is not closed"),
        ("all: [", "hosts.yml", r"hosts\.yml:1:7: "),
        ("- a\n- b", "hosts.yml", "neither an Ansible inventory nor a Salt roster"),
        ("web: {nonsense: 1}", "hosts.yml", "group 'web': expected hosts, vars and children, not nonsense"),
        ("{", "hosts.json", r"hosts\.json:1:2: "),
    ],
)
def test_a_broken_inventory_is_placed(text: str, path: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_inventory(text, path)


@given(st.text(max_size=200), st.sampled_from(["a.ini", "a.yml", "a.json", "a"]))
def test_garbage_is_read_or_refused(text: str, path: str) -> None:
    with suppress(ConfigError):
        assert isinstance(read_inventory(text, path), Inventory)


def test_inventories_are_put_together() -> None:
    one = Inventory({"a": Host("a", "1.1.1.1")}, {"web": ["a"]})
    other = Inventory({"a": Host("a", "2.2.2.2"), "b": Host("b")}, {"web": ["b"]})
    merged = merge(one, other)
    assert names("web", merged) == "a,b"
    assert merged.hosts["a"].address == "1.1.1.1"
