"""What the connection to Redis promises: one write per tick, replies to whom they belong, and an end to waiting."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, closing
from typing import Any

import pytest
import pytest_asyncio
import uvloop
from hiredis import Reader, pack_command
from redis.asyncio import Redis

from smart_router.decide.breaker import PAUSE_S
from smart_router.errors import StoreUnavailable
from smart_router.sessions.address import Address
from smart_router.sessions.batching import BatchedConnection, Script, WrongType
from smart_router.sessions.link import Link, Part
from smart_router.sessions.search import CONNECT_S
from tests.chaos.slow_redis import slow_redis
from tests.e2e.redis_process import RedisProcess

from .peers import ScriptedPeer, answering, peer_of

PATIENT_S = 20.0
SHORT_S = 0.2
LATE_S = 0.6
ECHO = Script.of("return {KEYS[1], ARGV[1]}")
Connect = Callable[..., BatchedConnection]


@pytest_asyncio.fixture
async def connected() -> AsyncIterator[Connect]:
    made: list[BatchedConnection] = []

    def connect(url: str, timeout_s: float = PATIENT_S, most_outstanding: int = 10_000) -> BatchedConnection:
        made.append(BatchedConnection(Address.of(url), [ECHO], timeout_s=timeout_s, most_outstanding=most_outstanding))
        return made[-1]

    yield connect
    for connection in made:
        await connection.close()


@pytest.fixture
def connection(connected: Connect, redis_url: str) -> BatchedConnection:
    return connected(redis_url)


@pytest.fixture
def own_redis() -> Iterator[RedisProcess]:
    process = RedisProcess()
    process.start()
    yield process
    process.stop()


@pytest_asyncio.fixture
async def peer() -> AsyncIterator[ScriptedPeer]:
    async with peer_of() as found:
        yield found


# what leaves together


async def test_calls_of_one_tick_leave_in_one_write_when_others_are_outstanding(
    connected: Connect, peer: ScriptedPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = connected(peer.url)
    await connection.open()
    sizes: list[int] = []
    write = Link.write

    def counted(link: Link, data: bytes) -> None:
        sizes.append(data.count(b"ECHO"))
        write(link, data)

    monkeypatch.setattr(Link, "write", counted)
    replies = await asyncio.gather(*(connection.call("ECHO", str(i)) for i in range(32)))
    assert replies == [b"OK"] * 32
    assert sizes == [1, 31]


async def test_calls_of_two_ticks_leave_in_two(connected: Connect, peer: ScriptedPeer) -> None:
    connection = connected(peer.url)
    await connection.open()
    peer.writes.clear()
    await connection.call("ECHO", "1")
    await connection.call("ECHO", "2")
    assert [len(commands) for commands in peer.writes] == [1, 1]


@asynccontextmanager
async def held_still(connected: Connect) -> AsyncIterator[tuple[BatchedConnection, socket.socket]]:
    """A connection, and its other end: what the kernel has can be read there while the loop does not run."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connection = connected(f"redis://127.0.0.1:{listener.getsockname()[1]}", timeout_s=LATE_S)
        opening = asyncio.create_task(connection.open())
        accepted, _ = await asyncio.to_thread(listener.accept)
        with closing(accepted):
            greeting = pack_command(("SCRIPT", "LOAD", ECHO.text))  # type: ignore[arg-type]
            assert await asyncio.to_thread(accepted.recv, len(greeting)) == greeting
            accepted.sendall(b"+OK\r\n")
            assert await asyncio.to_thread(commands_at, accepted, 1) == [[b"PING"]]
            accepted.sendall(b"+PONG\r\n")
            await opening
            accepted.settimeout(1)
            yield connection, accepted


def commands_at(other_end: socket.socket, count: int) -> list[object]:
    reader = Reader()
    reader.feed(other_end.recv(1000))
    return [reader.gets() for _ in range(count)]


async def test_a_call_with_nobody_to_share_a_write_with_is_with_the_kernel_on_return(connected: Connect) -> None:
    async with held_still(connected) as (connection, other_end):
        waiting = connection.call("GET", "a")
        assert commands_at(other_end, 1) == [[b"GET", b"a"]]
        other_end.sendall(b"+1\r\n")
        assert await waiting == b"1"


async def test_what_is_posted_is_with_the_kernel_on_return(connected: Connect) -> None:
    async with held_still(connected) as (connection, other_end):
        waiting = connection.call("GET", "a")
        connection.post("SET", "a", "b", on_error=lambda trouble: None)
        assert commands_at(other_end, 2) == [[b"GET", b"a"], [b"SET", b"a", b"b"]]
        other_end.sendall(b"+1\r\n+2\r\n")
        assert await waiting == b"1"


# replies


async def test_replies_come_to_those_who_asked(connection: BatchedConnection) -> None:
    texts = [str(i).encode() * (i % 50) for i in range(1000)]
    assert await asyncio.gather(*(connection.call("ECHO", text) for text in texts)) == texts


async def test_large_replies_come_whole(connection: BatchedConnection) -> None:
    texts = [bytes([65 + i]) * 1_000_000 for i in range(5)]
    assert await asyncio.gather(*(connection.call("ECHO", text) for text in texts)) == texts


async def test_who_is_cancelled_does_not_shift_the_replies_of_others(connection: BatchedConnection) -> None:
    async def ask(text: bytes) -> object:
        return await connection.call("ECHO", text)

    tasks = [asyncio.create_task(ask(str(i).encode())) for i in range(100)]
    await asyncio.sleep(0)
    for task in tasks[::3]:
        task.cancel()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [reply for i, reply in enumerate(found) if i % 3] == [str(i).encode() for i in range(100) if i % 3]
    assert await ask(b"last") == b"last"


async def test_an_error_reply_fails_its_call_alone(connection: BatchedConnection) -> None:
    calls = [connection.call("ECHO", "a"), connection.call("NONSENSE"), connection.call("ECHO", "b")]
    found: list[object] = await asyncio.gather(*calls, return_exceptions=True)
    assert (found[0], found[2]) == (b"a", b"b")
    assert isinstance(found[1], StoreUnavailable)
    assert "unknown command" in str(found[1])


async def test_a_wrong_type_can_be_told_apart(connection: BatchedConnection) -> None:
    await connection.call("SET", "text", "a", "EX", 10)
    with pytest.raises(WrongType):
        await connection.call("HGETALL", "text")


async def test_what_was_posted_and_refused_is_heard(connection: BatchedConnection) -> None:
    heard: list[StoreUnavailable] = []
    await connection.open()
    connection.post("NONSENSE", on_error=heard.append)
    connection.post("ECHO", "a", on_error=heard.append)
    await connection.call("PING")
    assert ["unknown command" in str(trouble) for trouble in heard] == [True]


# scripts


async def test_a_script_runs_also_after_redis_forgot_it(connection: BatchedConnection, redis_url: str) -> None:
    def ask() -> asyncio.Future[object]:
        return connection.call("EVALSHA", ECHO.sha, 1, "key", "argument")

    assert await ask() == [b"key", b"argument"]
    async with Redis.from_url(redis_url) as controller:
        await controller.script_flush()
        calls = [ask(), connection.call("ECHO", "a"), ask()]
        found: list[object] = await asyncio.gather(*calls)
        assert found == [[b"key", b"argument"], b"a", [b"key", b"argument"]]
        assert await controller.script_exists(ECHO.sha) == [True]


async def test_what_was_posted_runs_also_after_redis_forgot_the_script(
    connection: BatchedConnection, redis_url: str
) -> None:
    heard: list[StoreUnavailable] = []
    await connection.open()
    async with Redis.from_url(redis_url) as controller:
        await controller.script_flush()
        connection.post("EVALSHA", ECHO.sha, 1, "key", "argument", on_error=heard.append)
        await connection.call("PING")
        await connection.call("PING")  # after the script's second sending
        assert await controller.script_exists(ECHO.sha) == [True]
    assert heard == []


async def test_a_flushed_redis_is_an_empty_one(connected: Connect, own_redis: RedisProcess) -> None:
    connection = connected(own_redis.url)
    await connection.call("SET", "a", "b", "EX", 10)
    async with Redis.from_url(own_redis.url) as controller:
        await controller.flushall()
    assert await connection.call("GET", "a") is None


# deadlines


async def test_a_paused_redis_fails_all_calls_in_time(connected: Connect, own_redis: RedisProcess) -> None:
    connection = connected(own_redis.url, timeout_s=SHORT_S)
    await connection.open()
    async with Redis.from_url(own_redis.url) as controller:
        await controller.client_pause(2000)
        found = await asyncio.gather(*(connection.call("GET", "a") for _ in range(50)), return_exceptions=True)
        assert {str(trouble) for trouble in found} == {"no answer within 200 ms"}
    await answering(connection)
    assert await connection.call("ECHO", "mine") == b"mine"  # and no reply of before


async def test_a_busy_redis_fails_what_was_posted_too(connected: Connect, own_redis: RedisProcess) -> None:
    connection = connected(own_redis.url, timeout_s=SHORT_S)
    await connection.open()
    heard: asyncio.Queue[StoreUnavailable] = asyncio.Queue()
    connection.post("DEBUG", "SLEEP", "2", on_error=heard.put_nowait)
    assert "no answer" in str(await asyncio.wait_for(heard.get(), PATIENT_S))
    await answering(connection)


async def test_a_loop_that_was_late_itself_reads_what_has_come(connected: Connect, redis_url: str) -> None:
    connection = connected(redis_url, timeout_s=LATE_S / 3)
    await connection.open()
    text = b"x" * 40_000
    await connection.call("SET", "long", text, "EX", 10)
    for _ in range(3):
        waiting = asyncio.gather(*(connection.call("GET", "long") for _ in range(10)))  # more than is read at once
        for _ in range(3):
            await asyncio.sleep(0)
        time.sleep(LATE_S)  # noqa: ASYNC251  # somebody blocks the loop
        assert await waiting == [text] * 10


async def test_one_timer_serves_all_calls(connected: Connect, redis_url: str) -> None:
    connection = connected(redis_url, timeout_s=LATE_S)
    started = time.monotonic()
    while time.monotonic() - started < 3 * LATE_S:  # busy for longer than a deadline, and nothing is too old
        await asyncio.gather(*(connection.call("PING") for _ in range(5)))


async def test_too_many_outstanding_calls_are_refused(connected: Connect, peer: ScriptedPeer) -> None:
    connection = connected(peer.url, most_outstanding=3)
    await connection.open()
    calls = [connection.call("PING") for _ in range(3)]
    with pytest.raises(StoreUnavailable, match="too many"):
        await connection.call("PING")
    heard: list[StoreUnavailable] = []
    connection.post("PING", on_error=heard.append)
    assert "too many" in str(heard[0])
    await asyncio.gather(*calls)
    await connection.call("PING")


# connections that break, and new ones


async def test_a_restarted_redis_is_found_again(connected: Connect, own_redis: RedisProcess) -> None:
    connection = connected(own_redis.url)
    await connection.call("PING")
    own_redis.stop()
    with pytest.raises(StoreUnavailable):
        await connection.call("PING")
    own_redis.start()
    await answering(connection)
    assert await connection.call("EVALSHA", ECHO.sha, 1, "a", "b") == [b"a", b"b"]


async def test_calls_fail_at_once_between_attempts_to_connect(connected: Connect, own_redis: RedisProcess) -> None:
    own_redis.stop()
    connection = connected(own_redis.url)
    with pytest.raises(StoreUnavailable, match="cannot connect"):
        await connection.open()
    for _ in range(3):
        with pytest.raises(StoreUnavailable, match="cannot connect"):
            connection.call("PING")  # no need to await it
    await asyncio.sleep(PAUSE_S)
    with pytest.raises(StoreUnavailable, match="cannot connect"):
        await connection.call("PING")


async def test_after_the_first_attempt_no_call_waits_for_one(connected: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        connection = connected(f"redis://127.0.0.1:{silent.getsockname()[1]}", SHORT_S)
        with pytest.raises(StoreUnavailable, match="still connecting"):
            await connection.call("PING")
        started, heard = time.monotonic(), list[StoreUnavailable]()
        while time.monotonic() - started < CONNECT_S + 2 * SHORT_S:  # into the second attempt
            with pytest.raises(StoreUnavailable, match="connect"):
                connection.call("PING")  # no need to await it
            connection.post("PING", on_error=heard.append)
            assert len(heard) == 1
            heard.clear()
            await asyncio.sleep(0.01)


async def test_it_is_found_though_nobody_calls(connected: Connect, own_redis: RedisProcess) -> None:
    connection = connected(own_redis.url)
    await connection.open()
    own_redis.stop()
    await until(lambda: not connection.connected)
    own_redis.start()
    await until(lambda: connection.connected)
    assert await connection.call("PING") == b"PONG"


async def test_whatever_an_attempt_comes_to_there_is_another(redis_url: str) -> None:
    class Odd:
        attempts = 0

        async def open(self, link: Link, commands: Sequence[tuple[Part, ...]] = ()) -> list[Any]:
            self.attempts += 1
            if self.attempts == 1:
                raise TypeError("a reply of another form")
            return await Address.of(redis_url).open(link, commands)

    connection = BatchedConnection(Odd(), timeout_s=PATIENT_S)
    with pytest.raises(StoreUnavailable, match="another form"):
        await connection.open()
    await until(lambda: connection.connected)
    await connection.close()


async def test_who_answers_too_late_is_not_connected_to(connected: Connect, own_redis: RedisProcess) -> None:
    async with slow_redis(own_redis.port) as way:
        connection = connected(way.url, SHORT_S)
        way.late = lambda: 3 * SHORT_S
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match="no answer to PING"):
                await connection.open()
        way.late = lambda: 0.0
        await until(lambda: connection.connected)
        await connection.close()


async def until(happens: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENT_S):
        while not happens():  # noqa: ASYNC110  # it has no event
            await asyncio.sleep(0.01)


async def test_a_hundred_first_calls_make_one_connection(connected: Connect, peer: ScriptedPeer) -> None:
    connection = connected(peer.url)
    await asyncio.gather(*(connection.call("PING") for _ in range(100)))
    assert peer.connections == 1


async def test_a_lost_connection_fails_what_is_outstanding(connected: Connect, peer: ScriptedPeer) -> None:
    connection = connected(peer.url)
    await connection.open()
    peer.hang_up_at("QUIT")
    heard: list[StoreUnavailable] = []
    calls = [connection.call("QUIT"), connection.call("PING")]
    connection.post("PING", on_error=heard.append)
    found = await asyncio.gather(*calls, return_exceptions=True)
    assert ["connection was lost" in str(trouble) for trouble in [*found, *heard]] == [True, True, True]
    await answering(connection)
    assert peer.connections == 2


async def test_a_redis_that_became_a_replica_is_left(connected: Connect, own_redis: RedisProcess) -> None:
    connection = connected(own_redis.url)
    first = await connection.call("CLIENT", "ID")
    async with Redis.from_url(own_redis.url) as controller:
        await controller.replicaof("127.0.0.1", 1)
        for command in (("SET", "a", "b"), ("EVAL", "return redis.call('SET', KEYS[1], 'b')", 1, "a")):
            await answering(connection)
            with pytest.raises(StoreUnavailable, match="READONLY"):
                await connection.call(*command)
        await controller.replicaof("NO", "ONE")
    await answering(connection)
    assert await connection.call("CLIENT", "ID") > first + 2


async def test_who_is_no_redis_is_given_up(connected: Connect, peer: ScriptedPeer) -> None:
    peer.reply = b"HTTP/1.1 400 Bad Request\r\n\r\n"
    with pytest.raises(StoreUnavailable, match="no Redis"):
        await connected(peer.url).open()


async def test_a_reply_that_nobody_asked_for_ends_the_connection(connected: Connect, peer: ScriptedPeer) -> None:
    connection = connected(peer.url)
    await connection.open()
    peer.reply = b"+OK\r\n+OK\r\n"
    await connection.call("PING")
    peer.reply = b"+OK\r\n"
    await answering(connection)
    assert peer.connections == 2


# the end


async def test_closing_gives_outstanding_calls_their_time(connection: BatchedConnection) -> None:
    calls = [connection.call("ECHO", str(i)) for i in range(10)]
    await connection.close()
    assert await asyncio.gather(*calls) == [str(i).encode() for i in range(10)]


@pytest.mark.parametrize("most_outstanding", [2, 1])
async def test_closing_does_not_wait_for_ever(
    connected: Connect, own_redis: RedisProcess, most_outstanding: int
) -> None:
    connection = connected(own_redis.url, SHORT_S, most_outstanding)
    await connection.open()
    async with Redis.from_url(own_redis.url) as controller:
        await controller.client_pause(2000)
        waiting = connection.call("PING")
        await asyncio.wait_for(connection.close(), PATIENT_S)
        assert waiting.done()
        with pytest.raises(StoreUnavailable):
            await waiting


@pytest.mark.parametrize("most_outstanding", [2, 1])
async def test_closing_while_connecting_fails_the_calls(connected: Connect, most_outstanding: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        connection = connected(f"redis://127.0.0.1:{silent.getsockname()[1]}", SHORT_S, most_outstanding)
        waiting = connection.call("PING")
        await connection.close()
        assert waiting.done()
        with pytest.raises(StoreUnavailable):
            await waiting


async def test_a_closed_connection_refuses_calls_until_it_is_opened(connection: BatchedConnection) -> None:
    await connection.open()
    await connection.close()
    await connection.close()
    await asyncio.sleep(PAUSE_S)
    with pytest.raises(StoreUnavailable, match="closed"):
        await connection.call("PING")
    await connection.open()
    await connection.call("PING")


def test_the_loop_may_differ_between_construction_and_opening(redis_url: str) -> None:
    async def made() -> BatchedConnection:
        return BatchedConnection(Address.of(redis_url), timeout_s=PATIENT_S)

    async def used(one: BatchedConnection) -> object:
        await one.open()
        try:
            return await one.call("ECHO", "a")
        finally:
            await one.close()

    one = asyncio.run(made())
    assert [asyncio.run(used(one)), uvloop.run(used(one)), asyncio.run(used(one))] == [b"a"] * 3
