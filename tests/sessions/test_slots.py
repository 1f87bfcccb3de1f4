"""Slots are counted as a cluster counts them, and what its nodes say is read, also when they say it badly."""

from binascii import crc_hqx
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from smart_router.errors import StoreUnavailable
from smart_router.sessions.slots import (
    SLOTS,
    Place,
    Range,
    Redirection,
    ranges_of,
    redirection,
    slot_of,
    slot_of_key,
)
from tests.redis_topologies import Cluster

ASKED = "10.0.0.1"


@pytest.fixture(scope="module")
def node(three_masters: Cluster) -> Iterator[Any]:
    with redis.Redis(port=three_masters.nodes[0].port) as client:
        yield client


def test_the_slot_is_the_crc16_of_the_specification() -> None:
    assert slot_of_key(b"123456789") == 0x31C3


@pytest.mark.parametrize(
    ("key", "counts"),
    [
        (b"{user1000}.following", b"user1000"),
        (b"{user1000}.followers", b"user1000"),
        (b"foo{}{bar}", b"foo{}{bar}"),
        (b"foo{{bar}}zap", b"{bar"),
        (b"foo{bar}{zap}", b"bar"),
        (b"foo{bar", b"foo{bar"),
        (b"foo}bar{", b"foo}bar{"),
    ],
)
def test_a_hash_tag_counts_alone(key: bytes, counts: bytes) -> None:
    assert slot_of_key(key) == crc_hqx(counts, 0) % SLOTS


@given(key=st.one_of(st.binary(max_size=40), st.text("{}ab", max_size=12).map(str.encode)))
def test_slots_are_those_of_a_real_cluster(node: Any, key: bytes) -> None:
    assert slot_of_key(key) == int(node.execute_command("CLUSTER KEYSLOT", key))


@pytest.mark.parametrize(
    "parts",
    [
        ("GET", "sr:{ann}:s:1"),
        ("DEL", b"sr:{ann}:s:1", "sr:{ann}:h:1"),
        ("EVALSHA", "0" * 40, 2, "sr:{ann}:s:1", "sr:{ann}:h:1", "x"),
        ("EVAL", "return 1", 1, "{ann}"),
    ],
)
def test_the_first_key_of_a_command_is_found(parts: tuple[str | int | bytes, ...]) -> None:
    assert slot_of(parts) == slot_of_key(b"ann")


def test_a_command_without_a_key_has_no_slot() -> None:
    assert slot_of(("PING",)) is None


# what nodes say


def test_who_serves_what_is_read() -> None:
    replica = [b"10.0.0.3", 6379, b"id2"]
    reply = [[0, 99, [b"10.0.0.2", 6379, b"id", [b"hostname", b"x"]], replica], [100, 16383, [b"::1", 6380]]]
    assert ranges_of(reply, ASKED) == [Range(0, 99, Place("10.0.0.2", 6379)), Range(100, 16383, Place("::1", 6380))]


@pytest.mark.parametrize("host", [b"", None])
def test_a_node_that_does_not_know_its_own_host_is_where_it_was_asked(host: bytes | None) -> None:
    assert ranges_of([[0, 16383, [host, 6379]]], ASKED) == [Range(0, 16383, Place(ASKED, 6379))]


@pytest.mark.parametrize(
    "reply",
    [b"OK", 5, None, [1], [[0, 1]], [[0, 1, []]], [[0, 1, [5, 6]]], [[0, 1, [b"h", b"port"]]], [[0, 1, [b"\xff", 1]]]],
)
def test_who_answers_nonsense_is_no_cluster(reply: Any) -> None:
    with pytest.raises(StoreUnavailable, match="no cluster"):
        ranges_of(reply, ASKED)


@pytest.mark.parametrize("reply", [[], [[5, 4, [b"h", 1]]], [[0, 16384, [b"h", 1]]], [[-1, 5, [b"h", 1]]]])
def test_slots_that_do_not_exist_are_not_believed(reply: Any) -> None:
    with pytest.raises(StoreUnavailable, match="no slot"):
        ranges_of(reply, ASKED)


@pytest.mark.parametrize(
    ("error", "found"),
    [
        ("MOVED 3999 127.0.0.1:6381", Redirection(False, 3999, Place("127.0.0.1", 6381))),
        ("ASK 3999 127.0.0.1:6381", Redirection(True, 3999, Place("127.0.0.1", 6381))),
        ("MOVED 3999 :6381", Redirection(False, 3999, Place(ASKED, 6381))),
        ("MOVED 3999 fe80::1:6381", Redirection(False, 3999, Place("fe80::1", 6381))),
        ("MOVED 16384 127.0.0.1:6381", None),
        ("MOVED many 127.0.0.1:6381", None),
        ("MOVED 3999", None),
        ("TRYAGAIN Multiple keys request during rehashing of slot", None),
        ("CLUSTERDOWN Hash slot not served", None),
    ],
)
def test_a_redirection_is_read(error: str, found: Redirection | None) -> None:
    assert redirection(error, ASKED) == found
