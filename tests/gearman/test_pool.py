from __future__ import annotations

import pytest

from genii.errors import UsageError
from genii.gearman.pool import Pool, read_servers


def test_reads_addresses() -> None:
    assert [str(address) for address in read_servers("a, b:1, unix:/run/x, [::1]:2, :3")] == [
        "a:4730", "b:1", "unix:/run/x", "[::1]:2", "127.0.0.1:3",
    ]  # fmt: skip
    assert [str(address) for address in read_servers([])] == ["127.0.0.1:4730"]
    with pytest.raises(UsageError):
        read_servers("a:b:c")


def test_a_failed_server_rests_longer_each_time_and_is_tried_last_meanwhile() -> None:
    servers = read_servers("a,b,c")
    pool = Pool(servers)
    assert pool.order(0.0) == servers
    first = pool.failed(servers[0], 0.0)
    assert pool.order(0.0) == [servers[1], servers[2], servers[0]]
    assert pool.order(first + 0.01)[0] == servers[0]
    assert pool.failed(servers[0], 1.0) > first


def test_a_server_that_answers_is_kept() -> None:
    servers = read_servers("a,b,c")
    pool = Pool(servers)
    pool.failed(servers[0], 0.0)
    pool.succeeded(servers[1])
    assert pool.order(100.0)[0] == servers[1]


def test_equal_unique_ids_go_to_the_same_server_whatever_was_used_last() -> None:
    servers = read_servers("a,b,c")
    one, two = Pool(servers), Pool(servers, first=2)
    chosen = {one.order(0.0, b"key%d" % number)[0] for number in range(50)}
    assert chosen == set(servers)
    for number in range(50):
        assert one.order(0.0, b"key%d" % number) == two.order(0.0, b"key%d" % number)
