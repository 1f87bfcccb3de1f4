"""
A Redis that hangs, is slow, read-only, full, or gone and back: nobody waits for it, and nobody has to help it back.

Who waited is told by who asked: a turn asks Redis only over a connection that is good, and else goes on at once. How
long the machine took for it says nothing.

SMART_ROUTER_CHAOS=long makes outages last for minutes.
"""

import asyncio
import os
import random
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from smart_router.cli.processes import free_port
from smart_router.decide.breaker import LONGEST_PAUSE_S
from smart_router.errors import StoreUnavailable
from smart_router.sessions.address import Address
from smart_router.sessions.base import Key, Limits, Pin
from smart_router.sessions.batching import BatchedConnection
from smart_router.sessions.fallback import FallbackStore
from smart_router.sessions.memory import EmbeddedStore
from smart_router.sessions.redis import RedisStore
from tests.e2e.asking import FOLLOW_UP, PICTURE, PYTHON, a_session, an_image
from tests.e2e.models import three_models
from tests.e2e.routers import Router, a_client, a_registry, eventually, running_router
from tests.fakes import a_lane
from tests.needs import redis_program
from tests.redis_servers import Server, all_started, until
from tests.sessions.peers import answering
from tests.sessions.worlds import an_owner

from .slow_redis import SlowRedis, slow_redis

LONG = os.environ.get("SMART_ROUTER_CHAOS") == "long"
HANGS_S = 90.0 if LONG else 3.0
SLOW_S = 60.0 if LONG else 5.0
DEADLINE_S = 0.05  # the shipped REDIS_TIMEOUT_MS
TOO_LATE_S = 1.0  # so that no machine takes it for in time
PATIENT_S = 10.0
CALLERS = 4
STEP_S = 0.005  # between two turns of a caller
BACK_WITHIN_S = 30.0  # a bound for slow machines
PIN = Pin("gpu0", a_lane(), 0)

pytestmark = pytest.mark.timeout(200 + 2 * (HANGS_S + SLOW_S))


def a_server() -> Server:
    port = free_port()
    return Server([redis_program(), "--port", str(port), "--bind", "127.0.0.1", "--save", ""], port)


@pytest.fixture
def server() -> Iterator[Server]:
    found = a_server()
    with all_started([found]):
        yield found


@pytest_asyncio.fixture
async def proxy(server: Server) -> AsyncIterator[SlowRedis]:
    async with slow_redis(server.port) as found:
        yield found


class Turn(NamedTuple):
    asked: bool  # Redis, as it was connected, and so may have waited for it
    degraded: bool  # the store, afterwards


class Watched(FallbackStore):
    """The store as the router has it, and what it told of its outages."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self.redis = RedisStore(url, Limits(), timeout_ms=round(timeout_s * 1000))
        super().__init__(self.redis, EmbeddedStore(Limits()))
        self.outages: list[StoreUnavailable] = []
        self.on_trouble = self.outages.append

    @property
    def connection(self) -> BatchedConnection:
        found = self.redis._redis
        assert isinstance(found, BatchedConnection)
        return found

    async def turn(self, key: Key) -> Turn:
        """As the pipeline takes it."""
        asked = self.connection.connected
        begun = await self.begin(key, history=True)
        if begun.session is None:
            asked = asked or self.connection.connected
            await self.commit(key, PIN)
        return Turn(asked, self.degraded)

    async def turns(self, for_s: float) -> list[Turn]:
        """What callers found who took turns all the time, in conversations of two or three."""
        found = list[Turn]()

        async def call() -> None:
            until_s, owner, number = time.monotonic() + for_s, an_owner(), 0
            while time.monotonic() < until_s:
                found.append(await self.turn(Key(owner, f"s{number // 3}")))
                number += 1
                await asyncio.sleep(STEP_S)

        async with asyncio.timeout(for_s + BACK_WITHIN_S):
            await asyncio.gather(*(call() for _ in range(CALLERS)))
        return found

    async def is_in_use(self) -> None:
        """Return when turns are kept in Redis, and forget what trouble a busy machine made before."""
        await self.turns(0.3)
        await self.back()
        async with asyncio.timeout(BACK_WITHIN_S):
            while not await self._is_kept(Key(an_owner(), "s1")):  # noqa: ASYNC110  # only another look tells
                await asyncio.sleep(0.01)
        self.outages.clear()

    async def _is_kept(self, key: Key) -> bool:
        await self.turn(key)
        try:
            return await self.redis.get(key) is not None
        except StoreUnavailable:
            return False

    async def back(self) -> None:
        """Return when the outage is over; nobody calls meanwhile."""
        await happens(lambda: not self.degraded)


@asynccontextmanager
async def watched(url: str, timeout_s: float = DEADLINE_S) -> AsyncIterator[Watched]:
    store = Watched(url, timeout_s)
    await store.start()
    try:
        yield store
    finally:
        await store.close()


async def happens(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(BACK_WITHIN_S):
        while not what():  # noqa: ASYNC110  # what happens to a server has no event
            await asyncio.sleep(0.005)


def changes(turns: Sequence[Turn]) -> int:
    """How often the store went from one state to the other."""
    return sum(one.degraded != other.degraded for one, other in pairwise(turns))


def asked(turns: Sequence[Turn]) -> int:
    """How many of them did."""
    return sum(turn.asked for turn in turns)


# R3: it hangs


@pytest.mark.parametrize("how", ["CLIENT PAUSE", "SIGSTOP"])
async def test_a_redis_that_hangs_is_waited_for_once(server: Server, how: str) -> None:
    async with watched(server.url) as store:
        with capture_logs() as lines:
            await store.is_in_use()
            lines.clear()
            if how == "SIGSTOP":
                server.pause()
            else:
                server.ask("CLIENT", "PAUSE", round(1000 * (HANGS_S + 2)))
            turns = await store.turns(HANGS_S - 1)
            assert asked(turns) <= CALLERS < len(turns), "each once"
            assert (len(store.connection._calls), len(asyncio.all_tasks()) < 10) == (0, True)
            assert await share_of_a_processor() < 0.2
            server.go_on()
            await store.back()
            assert [line["event"] for line in lines] == ["the session store answers again"]
            assert len(store.outages) == 1
            await store.is_in_use()


async def share_of_a_processor() -> float:
    """What this process takes while nobody calls, 0..1."""
    began, used = time.monotonic(), time.process_time()
    await asyncio.sleep(0.5)
    return (time.process_time() - used) / (time.monotonic() - began)


async def test_no_call_waits_while_the_one_probe_hangs(server: Server) -> None:
    connection = BatchedConnection(Address.of(server.url), timeout_s=DEADLINE_S)
    await connection.open()
    server.pause()
    with pytest.raises(StoreUnavailable, match="no answer"):
        await connection.call("PING")
    refused, until_s = 0, time.monotonic() + 2.2  # each probe hangs for a second
    while time.monotonic() < until_s:
        with pytest.raises(StoreUnavailable):
            connection.call("PING")  # no need to await it
        refused += 1
        await asyncio.sleep(0.005)
    assert refused > 10
    server.go_on()
    await answering(connection)
    await connection.close()


# R4: it is slow


async def test_a_redis_that_is_too_slow_is_left_until_it_is_not(proxy: SlowRedis) -> None:
    async with watched(proxy.url) as store:
        await store.is_in_use()
        proxy.late = lambda: TOO_LATE_S
        turns = await store.turns(SLOW_S)
        assert (len(store.outages), changes(turns)) == (1, 0)
        assert asked(turns) <= CALLERS < len(turns), "each once"
        proxy.late = lambda: 0.0
        await store.back()
        await store.is_in_use()


async def test_a_latency_near_the_deadline_does_not_go_to_and_fro(proxy: SlowRedis) -> None:
    chance = random.Random(7)
    async with watched(proxy.url) as store:
        await store.is_in_use()
        proxy.late = lambda: chance.uniform(0.6 * DEADLINE_S, 1.4 * DEADLINE_S)
        turns = await store.turns(SLOW_S)
        assert len(store.outages) == 1
        assert asked(turns) <= 8 * CALLERS < len(turns), "each time that it answers four times in a row"
        proxy.late = lambda: 0.0
        await store.back()


async def test_who_starts_with_a_slow_redis_does_without_it(proxy: SlowRedis) -> None:
    proxy.late = lambda: TOO_LATE_S
    async with watched(proxy.url) as store:
        turns = await store.turns(1.5)
        assert (len(store.outages), changes(turns), asked(turns)) == (1, 0, 0)
        proxy.late = lambda: 0.0
        await store.back()


# R5: it is read-only


async def test_once_it_is_a_master_again_writes_go_on(server: Server) -> None:
    connection = BatchedConnection(Address.of(server.url), timeout_s=PATIENT_S)
    await connection.call("SET", "a", "1")
    for replica_for_s in (0.05, 0.5, 1.7):
        server.ask("REPLICAOF", "127.0.0.1", 1)
        with pytest.raises(StoreUnavailable, match="READONLY"):
            await connection.call("SET", "a", "2")
        assert not connection.connected, "a new connection may find the master"
        await writes(connection, for_s=replica_for_s)
        server.ask("REPLICAOF", "NO", "ONE")
        await answering(connection, "SET", "a", "3")
    await connection.close()


async def writes(connection: BatchedConnection, for_s: float) -> None:
    """As clients go on to write to a replica, which refuses every time."""
    until_s = time.monotonic() + for_s
    while time.monotonic() < until_s:
        with pytest.raises(StoreUnavailable):
            await connection.call("SET", "a", "2")
        await asyncio.sleep(0.005)


# R6: it is full


async def test_while_redis_is_full_sessions_begin_and_go_on_all_the_same(server: Server) -> None:
    async with watched(server.url, PATIENT_S) as store:
        before, meanwhile = Key(an_owner(), "s1"), Key(an_owner(), "s2")
        await store.commit(before, PIN)
        server.ask("CONFIG", "SET", "maxmemory", "1")
        until_s = time.monotonic() + 2.5  # longer than it takes to count as well
        for key in (before, meanwhile):
            await store.turn(key)
        while time.monotonic() < until_s:
            for key in (before, meanwhile):
                begun = await store.begin(key, history=True)
                assert begun.session is not None
                assert begun.session.lane == PIN.lane
            assert store.degraded
            await asyncio.sleep(0.02)
        assert ["OOM" in str(trouble) for trouble in store.outages] == [True]
        server.ask("CONFIG", "SET", "maxmemory", "0")
        await store.back()
        assert await store.redis.get(meanwhile) is not None


# R12: it may be back


@pytest.mark.parametrize("how", ["hangs", "is gone"])
async def test_a_hundred_callers_of_a_redis_that_was_away_make_one_connection(
    server: Server, proxy: SlowRedis, how: str
) -> None:
    connection = BatchedConnection(Address.of(proxy.url), timeout_s=PATIENT_S if how == "is gone" else TOO_LATE_S)
    await connection.open()
    await asyncio.gather(*(connection.call("PING") for _ in range(100)))
    assert proxy.connections == 1
    refused, began = 0, time.monotonic()

    async def call() -> None:
        nonlocal refused
        while True:
            try:
                await connection.call("PING")
            except StoreUnavailable:
                refused += 1
                await asyncio.sleep(0.01)
            else:
                return

    if how == "hangs":
        server.pause()
    else:
        server.kill()
    calling = [asyncio.create_task(call()) for _ in range(100)]
    await happens(lambda: refused > 1000 and proxy.connections > 2)
    if how == "hangs":
        server.go_on()
    else:
        server.start()
    await asyncio.wait_for(asyncio.gather(*calling), BACK_WITHIN_S)
    most = 5 + (time.monotonic() - began) / LONGEST_PAUSE_S  # with pauses that double
    assert proxy.connections - 1 <= most
    connections = proxy.connections
    await asyncio.gather(*(connection.call("PING") for _ in range(100)))
    assert proxy.connections == connections
    await connection.close()


# a whole router


class Talk(threading.Thread):
    """One conversation after the other, by chance of *seed*; each stays with one model."""

    def __init__(self, url: str, seed: int) -> None:
        super().__init__(name=f"talk-{seed}", daemon=True)
        self.turns = 0
        self.trouble: list[str] = []
        self._url = url
        self._chance = random.Random(seed)
        self._over = threading.Event()

    def run(self) -> None:
        with a_client(self._url) as http:
            while not self._over.is_set():
                self._converse(Router(self._url, http))

    def end(self) -> None:
        self._over.set()
        self.join()

    def _converse(self, router: Router) -> None:
        id = a_session()
        opening: dict[str, Any] = self._chance.choice(
            [{"query": PYTHON}, {"query": PICTURE, "attachments": [an_image()]}]
        )
        models = [self._turn(router, session_id=id, **opening)]
        further = range(self._chance.randint(5, 40))
        models += [self._turn(router, session_id=id, query="Please go on") for _ in further]
        if len(set(models)) != 1:
            self.trouble.append(f"{id} was answered by {models}")

    def _turn(self, router: Router, **fields: Any) -> str | None:
        response = router.route(**fields)
        self.turns += 1
        time.sleep(self._chance.uniform(0, 0.03))
        if response.status_code != 200:
            self.trouble.append(f"{response.status_code}: {response.text}")
            return None
        return str(response.json()["selected_model"])


@pytest.fixture(scope="module")
def router_and_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Router, Server]]:
    redis = a_server()
    with three_models() as models, all_started([redis]):
        registry = a_registry(tmp_path_factory.mktemp("registry"), models.endpoints)
        with running_router(registry, redis_url=redis.url, redis_timeout_ms=1000) as router:
            yield router, redis


def sessions_are(router: Router, state: Literal["connected", "degraded"]) -> None:
    """Return when `/health` and the metric say so."""
    eventually(router, "/health", "bypass_router", state)
    degraded = float(state == "degraded")
    assert f"smart_router_redis_degraded {degraded}\n" in router.http.get("/metrics").text


def go_on(talks: Sequence[Talk]) -> None:
    """Return when each took some more turns."""
    enough = [talk.turns + 5 for talk in talks]
    until(lambda: all(talk.turns >= least for talk, least in zip(talks, enough, strict=True)), "all go on", 60)


def test_conversations_outlive_a_redis_that_hangs_is_killed_and_comes_back(
    router_and_redis: tuple[Router, Server],
) -> None:
    router, server = router_and_redis
    sessions_are(router, "connected")
    talks = [Talk(router.url, seed) for seed in range(CALLERS)]
    for talk in talks:
        talk.start()
    try:
        go_on(talks)
        server.pause()
        sessions_are(router, "degraded")
        time.sleep(HANGS_S - 1)
        go_on(talks)
        server.go_on()
        sessions_are(router, "connected")
        go_on(talks)
        server.kill()
        sessions_are(router, "degraded")
        go_on(talks)
        server.start()
        sessions_are(router, "connected")
        go_on(talks)
    finally:
        for talk in talks:
            talk.end()
    assert [trouble for talk in talks for trouble in talk.trouble] == []
    sessions_are(router, "connected")


def test_while_redis_is_full_conversations_begin_and_go_on(router_and_redis: tuple[Router, Server]) -> None:
    router, server = router_and_redis
    sessions_are(router, "connected")
    server.ask("CONFIG", "SET", "maxmemory", "1")
    id = a_session()
    first = router.answer(PYTHON, session_id=id)
    answers = [router.answer(FOLLOW_UP, session_id=id) for _ in range(3)]
    assert {answer["selected_model"] for answer in answers} == {first["selected_model"]}
    assert all(answer["bypass_used"] for answer in answers)
    sessions_are(router, "degraded")
    server.ask("CONFIG", "SET", "maxmemory", "0")
    sessions_are(router, "connected")
    assert server.ask("EXISTS", *(name for name in server.ask("KEYS", "*") if id in name)) == 2
