"""With a cluster, a call finds the node that serves its slot, also while slots move and nodes die."""

import asyncio
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
import pytest_asyncio
import uvloop

from smart_router.cli.processes import free_port
from smart_router.errors import StoreUnavailable
from smart_router.sessions import asking, chart
from smart_router.sessions.batching import Script
from smart_router.sessions.cluster import ClusterConnection
from smart_router.sessions.link import Link
from smart_router.sessions.places import read_cluster
from smart_router.sessions.search import CONNECT_S
from smart_router.sessions.slots import slot_of_key
from tests.needs import redis_program
from tests.redis_servers import Server, until
from tests.redis_topologies import Cluster, redis_cluster

from .peers import answering

PATIENT_S = 20.0
SHORT_S = 0.3
KEEP = Script.of("redis.call('SET', KEYS[1], ARGV[1], 'EX', 60) return redis.call('GET', KEYS[1])")
Connect = Callable[..., ClusterConnection]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Three masters, a replica each. One node may be lost, by the last test."""
    with redis_cluster(redis_program(), replicas=1, node_timeout_ms=1000) as found:
        yield found


@pytest_asyncio.fixture
async def connected() -> AsyncIterator[Connect]:
    made: list[ClusterConnection] = []

    def connect(url: str, timeout_s: float = PATIENT_S, most_outstanding: int = 10_000) -> ClusterConnection:
        made.append(
            ClusterConnection(read_cluster(url), [KEEP], timeout_s=timeout_s, most_outstanding=most_outstanding)
        )
        return made[-1]

    yield connect
    for connection in made:
        await connection.close()


def a_key_of(cluster: Cluster, node: Server, but: str = "") -> str:
    """A key, of a slot of its own, that *node* serves."""
    keys = (f"key-{number}" for number in range(10_000))
    return next(key for key in keys if key != but and cluster.serving(slot_of_key(key.encode())) is node)


def keep(connection: ClusterConnection, key: str, value: str) -> Awaitable[Any]:
    return connection.call("EVALSHA", KEEP.sha, 1, key, value)


def sent_on(*nodes: Server) -> Counter[str]:
    """How often they refused a call for another node's sake, by the first word of the refusal."""
    found: Counter[str] = Counter()
    for node in nodes:
        for line in node.ask("INFO", "errorstats").splitlines():
            name, _, count = line.removeprefix("errorstat_").partition(":count=")
            if name in ("MOVED", "ASK"):
                found[name] += int(count)
    return found


# finding the node


async def test_a_call_finds_the_node_that_serves_its_slot(connected: Connect, three_masters: Cluster) -> None:
    connection = connected(three_masters.url)
    await connection.open()
    before = sent_on(*three_masters.nodes)
    keys = [f"found-{number}" for number in range(200)]
    assert await asyncio.gather(*(keep(connection, key, key) for key in keys)) == [key.encode() for key in keys]
    assert await asyncio.gather(*(connection.call("GET", key) for key in keys)) == [key.encode() for key in keys]
    assert sent_on(*three_masters.nodes) == before


async def test_calls_of_one_tick_leave_in_one_write_to_each_node(
    connected: Connect, three_masters: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = connected(three_masters.url)
    await connection.open()
    written: dict[Link, list[int]] = {}
    write = Link.write

    def counted(link: Link, data: bytes) -> None:
        written.setdefault(link, []).append(data.count(b"GET"))
        write(link, data)

    keys = [a_key_of(three_masters, node) for node in three_masters.nodes for _ in range(10)]
    monkeypatch.setattr(Link, "write", counted)
    await asyncio.gather(*(connection.call("GET", key) for key in keys))
    assert list(written.values()) == [[1, 9]] * 3


async def test_a_lone_call_leaves_at_once(
    connected: Connect, three_masters: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = connected(three_masters.url, SHORT_S)
    await connection.open()
    written: list[bytes] = []
    monkeypatch.setattr(Link, "write", lambda link, data: written.append(data))
    connection.call("GET", "a")
    connection.post("SET", "b", "1", on_error=lambda trouble: None)
    assert [b"GET" in data or b"SET" in data for data in written] == [True, True]
    monkeypatch.undo()


async def test_a_command_without_a_key_goes_to_every_node(connected: Connect, three_masters: Cluster) -> None:
    connection = connected(three_masters.url)
    await asyncio.gather(*(keep(connection, f"k{i}", "1") for i in range(50)))
    await connection.call("FLUSHALL")
    assert [node.ask("DBSIZE") for node in three_masters.nodes] == [0, 0, 0]
    assert await connection.call("PING") == b"PONG"


async def test_first_calls_need_no_opening(connected: Connect, three_masters: Cluster) -> None:
    connection, heard = connected(three_masters.url), list[StoreUnavailable]()
    waiting = asyncio.gather(*(keep(connection, f"first-{number}", str(number)) for number in range(20)))
    connection.post("SET", "first-posted", "1", "EX", 60, on_error=heard.append)
    assert await waiting == [str(number).encode() for number in range(20)]
    assert await connection.call("GET", "first-posted") == b"1"
    assert heard == []


async def test_first_calls_are_bounded(connected: Connect, three_masters: Cluster) -> None:
    connection, heard = connected(three_masters.url, most_outstanding=2), list[StoreUnavailable]()
    first = [connection.call("GET", "a"), connection.call("GET", "a")]
    with pytest.raises(StoreUnavailable, match="too many"):
        connection.call("GET", "a")
    connection.post("SET", "a", "b", on_error=heard.append)
    assert "too many" in str(heard[0])
    assert await asyncio.gather(*first) == [None, None]


async def test_one_node_of_the_url_that_answers_is_enough(connected: Connect, three_masters: Cluster) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        others = f"127.0.0.1:{free_port()},127.0.0.1:{silent.getsockname()[1]}"
        connection = connected(f"cluster://{others},{three_masters.nodes[2].place}")
        await connection.open()
        assert await asyncio.gather(*(keep(connection, f"k{i}", "1") for i in range(20))) == [b"1"] * 20


async def test_a_server_that_is_no_cluster_is_said_so(connected: Connect, redis_url: str) -> None:
    connection = connected(redis_url.replace("redis://", "cluster://"))
    with pytest.raises(StoreUnavailable, match="cluster support disabled"):
        await connection.open()


async def test_a_cluster_that_is_not_there_fails_calls_in_time(connected: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent_for_long = ",".join([f"127.0.0.1:{silent.getsockname()[1]}"] * 40)
        connection = connected(f"cluster://{silent_for_long}", SHORT_S)
        heard: asyncio.Queue[StoreUnavailable] = asyncio.Queue()
        for _ in range(5):
            started = time.monotonic()
            with pytest.raises(StoreUnavailable):
                await connection.call("GET", "a")
            connection.post("SET", "a", "b", on_error=heard.put_nowait)
            await asyncio.wait_for(heard.get(), PATIENT_S)
            assert time.monotonic() - started < 20  # not one node after the other


async def test_after_the_first_round_no_call_waits_for_one(connected: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        connection = connected(f"cluster://127.0.0.1:{silent.getsockname()[1]}", SHORT_S)
        with pytest.raises(StoreUnavailable):
            await connection.open()
        started = time.monotonic()
        while time.monotonic() - started < 2 * chart.PAUSE_S + SHORT_S:  # into the second round after it
            call = asyncio.ensure_future(connection.call("GET", "a"))
            for _ in range(5):
                await asyncio.sleep(0)
            assert call.done(), "it waits for nothing"
            assert "cannot learn" in str(call.exception())
            await asyncio.sleep(0.01)


async def test_a_closed_connection_refuses_calls_until_it_is_opened(connected: Connect, three_masters: Cluster) -> None:
    connection = connected(three_masters.url)
    await connection.open()
    outstanding = [keep(connection, f"k{i}", str(i)) for i in range(20)]
    await connection.close()
    await connection.close()
    assert await asyncio.gather(*outstanding) == [str(i).encode() for i in range(20)]
    with pytest.raises(StoreUnavailable, match="closed"):
        await connection.call("GET", "a")
    heard: asyncio.Queue[StoreUnavailable] = asyncio.Queue()
    connection.post("SET", "a", "b", on_error=heard.put_nowait)
    assert "closed" in str(await asyncio.wait_for(heard.get(), PATIENT_S))
    await connection.open()
    assert await keep(connection, "a", "1") == b"1"


def test_the_loop_may_differ_between_construction_and_opening(three_masters: Cluster) -> None:
    async def used(one: ClusterConnection) -> object:
        await one.open()
        try:
            return await keep(one, "a", "1")
        finally:
            await one.close()

    one = ClusterConnection(read_cluster(three_masters.url), [KEEP], timeout_s=PATIENT_S)
    assert [asyncio.run(used(one)), uvloop.run(used(one)), asyncio.run(used(one))] == [b"1"] * 3


# slots that move


async def test_a_slot_that_has_moved_is_followed_and_found_at_once_from_then_on(
    connected: Connect, cluster: Cluster
) -> None:
    source, target = cluster.nodes[0], cluster.nodes[1]
    connection, key = connected(cluster.url), a_key_of(cluster, source)
    await keep(connection, key, "before")
    move(cluster, key, source, target)
    target.ask("SCRIPT", "FLUSH")
    before = sent_on(source)
    assert await keep(connection, key, "after") == b"after"
    heard: list[StoreUnavailable] = []
    connection.post("SET", key, "posted", "EX", 60, on_error=heard.append)
    assert await connection.call("GET", key) == b"posted"
    assert heard == []
    assert sent_on(source) - before == {"MOVED": 1}
    move(cluster, key, target, source)


async def test_what_was_posted_to_a_slot_that_has_moved_arrives(connected: Connect, cluster: Cluster) -> None:
    source, target = cluster.nodes[0], cluster.nodes[1]
    connection, key, heard = connected(cluster.url), a_key_of(cluster, source), list[StoreUnavailable]()
    await connection.open()
    move(cluster, key, source, target)
    connection.post("SET", key, "posted", "EX", 60, on_error=heard.append)
    await answering(connection, "PING")  # the redirection is under way
    await answering(connection, "PING")
    assert (await connection.call("GET", key), heard) == (b"posted", [])
    move(cluster, key, target, source)


async def test_a_slot_that_is_moving_is_asked_for_where_its_key_is(connected: Connect, cluster: Cluster) -> None:
    source, target = cluster.nodes[0], cluster.nodes[1]
    connection, key = connected(cluster.url), a_key_of(cluster, source)
    slot = slot_of_key(key.encode())
    await keep(connection, key, "1")
    cluster.begin_move(slot, source, target)
    assert await connection.call("GET", key) == b"1"
    cluster.move_keys(slot, source, target)
    target.ask("SCRIPT", "FLUSH")
    before = sent_on(source)
    calls = [keep(connection, key, "2"), connection.call("GET", key), connection.call("GET", key)]
    assert await asyncio.gather(*calls) == [b"2"] * 3
    assert sent_on(source) - before == {"ASK": 3}
    cluster.end_move(slot, target)
    assert await connection.call("GET", key) == b"2"
    move(cluster, key, target, source)


async def test_keys_that_are_in_two_places_fail_their_call_alone(connected: Connect, cluster: Cluster) -> None:
    source, target = cluster.nodes[0], cluster.nodes[1]
    connection, key = connected(cluster.url), a_key_of(cluster, source)
    slot, absent = slot_of_key(key.encode()), f"{{{key}}}absent"
    await keep(connection, key, "1")
    cluster.begin_move(slot, source, target)
    cluster.move_keys(slot, source, target)
    found = await asyncio.gather(
        connection.call("DEL", key, absent), connection.call("GET", key), return_exceptions=True
    )
    assert isinstance(found[0], StoreUnavailable)
    assert "TRYAGAIN" in str(found[0])
    assert found[1] == b"1"
    cluster.end_move(slot, target)
    assert await connection.call("DEL", key, absent) == 1
    move(cluster, key, target, source)


async def test_a_call_is_sent_on_once(connected: Connect, cluster: Cluster) -> None:
    """Two nodes that name each other would be asked for ever."""
    source, target = cluster.nodes[:2]
    connection, key = connected(cluster.url), a_key_of(cluster, source)
    slot = slot_of_key(key.encode())
    await keep(connection, key, "1")
    cluster.begin_move(slot, source, target)
    cluster.move_keys(slot, source, target)
    target.ask("CLUSTER", "SETSLOT", slot, "STABLE")  # whoever asks there is sent back
    before = sent_on(source, target)
    with pytest.raises(StoreUnavailable, match="MOVED"):
        await connection.call("GET", key)
    assert sent_on(source, target) - before == {"ASK": 1, "MOVED": 1}
    cluster.end_move(slot, target)
    assert await connection.call("GET", key) == b"1"
    move(cluster, key, target, source)


def move(cluster: Cluster, key: str, source: Server, target: Server) -> None:
    slot = slot_of_key(key.encode())
    cluster.begin_move(slot, source, target)
    cluster.move_keys(slot, source, target)
    cluster.end_move(slot, target)


# asking who serves what


async def test_however_many_find_out_the_cluster_is_asked_once_in_a_while(
    connected: Connect, three_masters: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []
    ask = asking.ask

    async def counted(*question: Any) -> Any:
        asked.append(time.monotonic())
        return await ask(*question)

    monkeypatch.setattr(chart, "ask", counted)
    monkeypatch.setattr(chart, "PAUSE_S", 0.2)
    connection = connected(three_masters.url)
    await connection.open()
    async with asyncio.timeout(PATIENT_S):
        while len(asked) < 5:  # a counter has no event
            connection._chart.renew()
            await asyncio.sleep(0.01)
    assert min(later - earlier for earlier, later in pairwise(asked)) > 0.19  # a sleep may end a little early


async def test_the_cluster_is_asked_now_and_then(
    connected: Connect, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chart, "PAUSE_S", 0.01)
    monkeypatch.setattr(chart, "RENEW_S", 0.01)
    asked = 0
    ask = asking.ask

    async def counted(*question: Any) -> Any:
        nonlocal asked
        found = await ask(*question)
        asked += 1
        return found

    monkeypatch.setattr(chart, "ask", counted)
    source, target = cluster.nodes[1], cluster.nodes[2]
    connection, key = connected(cluster.url), a_key_of(cluster, cluster.nodes[1])
    await keep(connection, key, "1")
    move(cluster, key, source, target)
    before, asked = sent_on(source), 0
    async with asyncio.timeout(10):
        while asked < 3:  # noqa: ASYNC110  # a counter has no event
            await asyncio.sleep(0.01)
    assert await connection.call("GET", key) == b"1"
    assert sent_on(source) == before
    move(cluster, key, target, source)


# clusters that are unwell


async def test_a_cluster_that_is_down_says_so_and_is_found_again(connected: Connect) -> None:
    with redis_cluster(redis_program(), masters=1) as lone:
        connection, node = connected(lone.url), lone.nodes[0]
        await keep(connection, "a", "1")
        node.ask("CLUSTER", "DELSLOTS", 5)
        with pytest.raises(StoreUnavailable, match="CLUSTERDOWN"):
            await connection.call("GET", "a")
        node.ask("CLUSTER", "ADDSLOTS", 5)
        await answering(connection, "GET", "a")
        assert await connection.call("GET", "a") == b"1"


async def test_a_node_that_hangs_fails_its_own_calls_in_time_and_no_others(
    connected: Connect, three_masters: Cluster
) -> None:
    connection = connected(three_masters.url, SHORT_S)
    hanging, well = three_masters.nodes[:2]
    lost, kept = a_key_of(three_masters, hanging), a_key_of(three_masters, well)
    await connection.open()
    hanging.pause()
    started = time.monotonic()
    try:
        for _ in range(40):
            with pytest.raises(StoreUnavailable):
                lost_call = connection.call("GET", lost)
                assert await keep(connection, kept, "1") == b"1"
                await lost_call
        assert time.monotonic() - started < 20 * CONNECT_S  # as long as half of them would take to connect
    finally:
        hanging.go_on()
    await answering(connection, "GET", lost)


async def test_a_killed_node_fails_its_own_calls_until_its_replica_serves_them(
    connected: Connect, cluster: Cluster
) -> None:
    connection = connected(cluster.url, SHORT_S)
    lost, others = cluster.nodes[0], cluster.nodes[1:3]
    key, kept = a_key_of(cluster, lost), [a_key_of(cluster, node) for node in others]
    slot = slot_of_key(key.encode())
    await answering(connection, "SET", key, "1")
    before = connection._serving[slot]
    cluster.kill(lost)
    refused, started = Counter[str](), time.monotonic()
    while time.monotonic() - started < 0.5:  # before the others have noticed
        assert await asyncio.gather(*(keep(connection, one, "1") for one in kept)) == [b"1", b"1"]
        try:
            await connection.call("GET", key)
        except StoreUnavailable as exc:
            refused[str(exc).partition(":")[0]] += 1
        await asyncio.sleep(0.02)
    assert set(refused) <= {"the connection was lost", "cannot connect"}
    await asyncio.to_thread(until, lambda: cluster.serving(slot) is not lost, "the replica takes over")
    async with asyncio.timeout(PATIENT_S):  # nobody calls; the connection finds out all the same
        while (node := connection._serving[slot]) in (None, before) or not node.connected:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert await keep(connection, key, "2") == b"2"
