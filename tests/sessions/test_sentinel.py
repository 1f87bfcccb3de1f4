"""With sentinels, the connection leads to the master they name, and to the next one after a failover."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress

import pytest
import pytest_asyncio
from hiredis import pack_command

from smart_router.cli.processes import free_port
from smart_router.errors import StoreUnavailable
from smart_router.sessions import sentinel
from smart_router.sessions.batching import BatchedConnection, Script
from smart_router.sessions.places import read_sentinels
from smart_router.sessions.sentinel import SentinelMaster
from tests.needs import redis_program
from tests.redis_servers import Server
from tests.redis_topologies import MASTER, Guarded, redis_sentinel

from .peers import answering, peer_of

PATIENT_S = 20.0
SHORT_S = 0.3
ECHO = Script.of("redis.call('SET', KEYS[1], ARGV[1], 'EX', 60) return redis.call('GET', KEYS[1])")
Connect = Callable[..., BatchedConnection]


@pytest.fixture(scope="module")
def guarded() -> Iterator[Guarded]:
    """One master, two replicas, three sentinels. Two masters may be lost, one after the other."""
    with redis_sentinel(redis_program()) as found:
        yield found


@pytest.fixture(scope="module")
def locked() -> Iterator[Guarded]:
    """A master and a sentinel, with a password each."""
    with redis_sentinel(redis_program(), 0, 1, down_after_ms=30_000, password="p1", sentinel_password="p2") as found:
        yield found


@pytest_asyncio.fixture
async def connected() -> AsyncIterator[Connect]:
    made: list[BatchedConnection] = []

    def connect(url: str, timeout_s: float = PATIENT_S) -> BatchedConnection:
        made.append(BatchedConnection(SentinelMaster(read_sentinels(url)), [ECHO], timeout_s=timeout_s))
        return made[-1]

    yield connect
    for connection in made:
        await connection.close()


def reply(*parts: str) -> bytes:
    """A list of strings; a command looks the same."""
    return bytes(pack_command(parts))  # type: ignore[arg-type]


# who is asked, and what they say


async def test_a_connection_leads_to_the_master(connected: Connect, one_master: Guarded) -> None:
    connection = connected(one_master.url)
    await connection.open()
    assert await connection.call("EVALSHA", ECHO.sha, 1, "a", "1") == b"1"
    assert one_master.servers[0].ask("GET", "a") == "1"


async def test_the_database_of_the_url_is_the_masters(connected: Connect, one_master: Guarded) -> None:
    await connected(f"{one_master.url}/3").call("SET", "in", "three", "EX", 60)
    assert await connected(f"{one_master.url}?db=3").call("GET", "in") == b"three"
    assert await connected(one_master.url).call("GET", "in") is None


async def test_sentinels_that_are_gone_or_silent_are_passed_over(connected: Connect, one_master: Guarded) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        others = f"127.0.0.1:{free_port()},127.0.0.1:{silent.getsockname()[1]}"
        connection = connected(one_master.url.replace("//", f"//{others},"))
        await connection.open()
        assert await connection.call("PING") == b"PONG"


async def test_more_silent_sentinels_than_an_attempt_has_time_for_are_passed_over_by_several(
    connected: Connect, one_master: Guarded
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        others = ",".join([f"127.0.0.1:{silent.getsockname()[1]}"] * 16)
        connection = connected(one_master.url.replace("//", f"//{others},"))
        started = time.monotonic()
        with pytest.raises(StoreUnavailable):
            await connection.open()
        assert time.monotonic() - started < 10  # not one after the other
        await answering(connection)


async def test_a_master_that_no_sentinel_knows_is_said_so(connected: Connect, one_master: Guarded) -> None:
    with pytest.raises(StoreUnavailable, match="no master called other"):
        await connected(one_master.url.replace(MASTER, "other")).open()


async def test_who_is_no_sentinel_is_said_so(connected: Connect, one_master: Guarded) -> None:
    with pytest.raises(StoreUnavailable, match=r"no sentinel names a master.*unknown command"):
        await connected(f"sentinel://{one_master.servers[0].place}/{MASTER}").open()


async def test_a_replica_is_not_taken_for_the_master(connected: Connect, guarded: Guarded) -> None:
    replica = next(one for one in guarded.servers if one.answers("ROLE", holding="slave"))
    async with peer_of() as outdated:
        outdated.reply = reply("127.0.0.1", str(replica.port))
        place = outdated.url.removeprefix("redis://").removesuffix("/0")
        with pytest.raises(StoreUnavailable, match="is no master"):
            await connected(f"sentinel://{place}/{MASTER}").open()
        connection = connected(guarded.url.replace("//", f"//{place},"))
        with pytest.raises(StoreUnavailable, match="is no master"):
            await connection.open()
        await connection.open()  # another sentinel is asked
        assert await connection.call("SET", "a", "b", "EX", 60) == b"OK"


async def test_a_sentinel_whose_word_was_good_is_asked_again(connected: Connect, one_master: Guarded) -> None:
    async with peer_of() as good:
        good.reply = reply("127.0.0.1", str(one_master.servers[0].port))
        place = good.url.removeprefix("redis://").removesuffix("/0")
        connection = connected(one_master.url.replace("//", f"//{place},"))
        for number in (1, 2, 3):
            await connection.open()
            await connection.close()
            assert good.connections == number


async def test_a_connection_outlives_sentinels_that_forgot_its_master(
    connected: Connect, one_master: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sentinel, "WATCH_S", 0.01)
    async with peer_of() as forgetful:
        forgetful.reply = reply("127.0.0.1", str(one_master.servers[0].port))
        connection = connected(f"sentinel://{forgetful.url.removeprefix('redis://')}")
        first = await connection.call("CLIENT", "ID")
        forgetful.reply = b"*-1\r\n"
        async with asyncio.timeout(10):
            while forgetful.connections < 5:  # noqa: ASYNC110  # it has no event
                await asyncio.sleep(0.01)
        assert await connection.call("CLIENT", "ID") == first


# who we are


@pytest.mark.parametrize(
    ("user", "option"), [(":p1@", "?sentinel_password=p2"), ("default:p1@", "?sentinel_password=p2")]
)
async def test_passwords_are_given_to_whom_they_belong(
    connected: Connect, locked: Guarded, user: str, option: str
) -> None:
    connection = connected(locked.url.replace("//", f"//{user}") + option)
    await connection.open()
    assert await connection.call("PING") == b"PONG"


async def test_a_sentinel_that_wants_no_password_may_be_given_one(connected: Connect, one_master: Guarded) -> None:
    connection = connected(one_master.url + "?sentinel_password=p2")
    await connection.open()
    assert await connection.call("PING") == b"PONG"


@pytest.mark.parametrize(
    ("user", "option", "reason"),
    [
        (":p1@", "", "no sentinel names a master.*WRONGPASS"),
        (":p1@", "?sentinel_password=", "no sentinel names a master.*NOAUTH"),
        (":p2@", "", "WRONGPASS"),
        ("", "?sentinel_password=p2", "NOAUTH"),
    ],
)
async def test_a_wrong_password_is_said_so(
    connected: Connect, locked: Guarded, user: str, option: str, reason: str
) -> None:
    with pytest.raises(StoreUnavailable, match=reason):
        await connected(locked.url.replace("//", f"//{user}") + option).open()


# failover


async def writes_resume(connection: BatchedConnection, guarded: Guarded, old: Server) -> None:
    """Return when a write has arrived at another master than *old*."""
    named_at = float("inf")
    async with asyncio.timeout(50):
        while True:
            if named_at == float("inf") and guarded.named(guarded.sentinels[0]) is not old:
                named_at = time.monotonic()
            with suppress(StoreUnavailable):
                await connection.call("EVALSHA", ECHO.sha, 1, "a", str(old.port))
                if old.port != await port_of(connection):
                    break
            await asyncio.sleep(0.02)
    print(f"writes resumed {time.monotonic() - named_at:.2f} s after a sentinel named the new master")


async def port_of(connection: BatchedConnection) -> int:
    """Where *connection* leads."""
    info = await connection.call("INFO", "server")
    return int(info.partition(b"tcp_port:")[2].split()[0])


async def test_a_master_that_is_demoted_is_left(connected: Connect, guarded: Guarded) -> None:
    connection, old = connected(guarded.url, SHORT_S), guarded.master()
    await answering(connection, "SET", "a", "b")
    guarded.sentinels[0].ask("SENTINEL", "FAILOVER", MASTER)
    await writes_resume(connection, guarded, old)


async def test_a_killed_master_is_replaced(connected: Connect, guarded: Guarded) -> None:
    connection, old = connected(guarded.url, SHORT_S), guarded.master()
    await answering(connection, "SET", "a", "b")
    guarded.kill(old)
    await writes_resume(connection, guarded, old)


async def test_a_master_that_hangs_is_replaced_and_not_believed_when_it_is_back(
    connected: Connect, guarded: Guarded
) -> None:
    connection, old = connected(guarded.url, SHORT_S), guarded.master()
    await answering(connection, "SET", "a", "b")
    old.pause()
    try:
        await writes_resume(connection, guarded, old)
    finally:
        old.go_on()
    assert await connection.call("SET", "a", "c") == b"OK"
    assert await port_of(connection) != old.port
